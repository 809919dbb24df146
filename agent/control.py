"""The way in for a person on this host: a Unix socket in the state folder, for root alone. No broker, no manager.

One JSON line in, one JSON line out. While the daemon runs it is the only one that touches journal and host.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

import msgspec
from msgspec import Struct

from agent import sockets
from agent.executor import Executor
from agent.folder import CONTROL
from agent.journal.holding import Hold
from agent.trials import ListAnswer, ListRequest, TrialAnswer, TrialRequest, Trials
from shared.errors import ThwartError, Unreachable
from shared.targets import one_spelling

SILENCE = 5.0  # s that a request may take to come
LONGEST = 64 * 1024 * 1024  # bytes of an answer: it names every effect that was lifted


class LiftRequest(Struct, frozen=True, kw_only=True, tag="lift"):
    """Ends what is in force on `target`; None: everything on this host, which nobody asks for by leaving it out."""

    target: str | None


class LiftedEffect(Struct, frozen=True, kw_only=True, order=True):
    """An effect that was ended."""

    action: str
    target: str
    orders: int  # that held it, or were to; none: it was adopted, or could not be ended before


class LiftAnswer(Struct, frozen=True, kw_only=True):
    """What was ended, and the networks around the target that stay in force. `problems` are the reverts that failed,
    with their words; `error` says why nothing was done.
    """

    lifted: tuple[LiftedEffect, ...] = ()
    covered: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    error: str = ""


Request = LiftRequest | ListRequest | TrialRequest
Answer = LiftAnswer | ListAnswer | TrialAnswer
SomeAnswer = TypeVar("SomeAnswer", LiftAnswer, ListAnswer, TrialAnswer)


def concerns(target: str | None) -> Callable[[Hold], bool]:
    """Which orders a lift of `target` ends."""
    return lambda hold: target is None or one_spelling(hold.target) == one_spelling(target)


async def lift(executor: Executor, request: LiftRequest) -> LiftAnswer:
    """Carries a lift out. Raises StoreError."""
    done = await executor.lift(concerns(request.target))
    orders: dict[tuple[str, str], int] = {}
    for hold in done.orders:
        orders[hold.action, hold.target] = orders.get((hold.action, hold.target), 0) + (not hold.adopted)
    lifted = [
        LiftedEffect(action=name[0], target=name[1], orders=n)
        for name, n in orders.items()
        if name not in done.problems
    ]
    problems = tuple(f"{action} on {target}: {words}" for (action, target), words in sorted(done.problems.items()))
    covered = () if request.target is None else await executor.around(one_spelling(request.target))
    return LiftAnswer(lifted=tuple(sorted(lifted)), covered=tuple(covered), problems=problems)


class Control:
    """The daemon's end."""

    def __init__(self, folder: Path, executor: Executor, trials: Trials) -> None:
        self._folder, self._executor, self._trials = folder, executor, trials

    async def run(self) -> None:
        """Listens until cancelled. Call it with the folder's lock held: it takes the socket of a dead owner away."""
        listener = sockets.listener(self._folder, CONTROL)
        try:
            async with await asyncio.start_unix_server(self._serve, sock=listener) as server:
                await server.serve_forever()
        finally:
            (self._folder / CONTROL).unlink(missing_ok=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, ValueError):  # who asked has gone, says nothing, or sent more than a line
            # nobody types here: who is silent would hold up the agent's end
            answer = await self._answer(await asyncio.wait_for(reader.readline(), SILENCE))
            writer.write(msgspec.json.encode(answer) + b"\n")
            await writer.drain()
        writer.close()

    async def _answer(self, line: bytes) -> Answer:
        try:
            request: Request = msgspec.json.decode(line, type=Request)
            if isinstance(request, LiftRequest):
                return await lift(self._executor, request)
            if isinstance(request, TrialRequest):
                return await self._trials.try_out(request)
            return self._trials.list()
        except (ThwartError, msgspec.MsgspecError) as error:
            return LiftAnswer(error=str(error))  # every answer can have an error


async def ask(folder: Path, request: Request, answer: type[SomeAnswer]) -> SomeAnswer | None:
    """What the daemon that owns `folder` answers; None when there is none. Raises Unreachable when it hangs up."""
    try:
        reader, writer = await asyncio.open_unix_connection(sock=sockets.connected(folder, CONTROL), limit=LONGEST)
    except (FileNotFoundError, ConnectionRefusedError):
        return None
    except OSError as error:
        raise Unreachable(f"{folder / CONTROL}: {error.strerror}; run this as root") from error
    try:
        writer.write(msgspec.json.encode(request) + b"\n")
        return msgspec.json.decode(await reader.readline(), type=answer)
    except (OSError, msgspec.MsgspecError) as error:
        raise Unreachable("the agent hung up before it answered; try again") from error
    finally:
        writer.close()
