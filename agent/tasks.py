"""What runs beside the executor for as long as the daemon does, and what a full disk does to it."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress

import structlog
import tenacity

from agent.metrics import AgentMetrics
from agent.trouble import Trouble
from shared.broker import Consumer
from shared.errors import StoreDamaged, StoreError

PAUSE = 5.0  # s before what failed for the journal's sake is begun anew
HALF_OPEN = 4  # AMQP heartbeats: within that time the broker notices that a link of our own died

log = structlog.get_logger()


async def again(run: Callable[[], Awaitable[None]], trouble: Trouble, name: str) -> None:
    """Runs what a full disk ends, again and again until it returns: expiries and everything else go on meanwhile.

    Raises StoreDamaged: no pause makes that good.
    """
    attempts = tenacity.AsyncRetrying(
        retry=tenacity.retry_if_exception_type(StoreError) & tenacity.retry_if_not_exception_type(StoreDamaged),
        wait=tenacity.wait_fixed(PAUSE),
        before=lambda _: trouble.over(name),
        before_sleep=lambda state: trouble.say(name, f"the {name} can't go on: {_said(state)}"),
        reraise=True,
    )
    await attempts(run)


async def every(seconds: float, work: Callable[[], Awaitable[None]]) -> None:
    """Does `work` now and then."""
    while True:
        await asyncio.sleep(seconds)
        with suppress(StoreError):  # whoever has something to write says so
            await work()


async def watch_lock(consumer: Consumer, mine: str, metrics: AgentMetrics) -> None:
    """Says it out loud when another host has this agent's id: nothing else here would ever show it."""
    while True:
        await asyncio.sleep(consumer.heartbeat)
        since = consumer.lock_refused_since
        taken = since is not None and time.monotonic() - since > HALF_OPEN * consumer.heartbeat
        metrics.id_taken(taken=taken)
        if taken:
            log.error(
                f"another host is running an agent with the id {mine}: this one takes no orders until that one stops; "
                "give one of them another agent.id",
                action="id_taken",
            )


def _said(state: tenacity.RetryCallState) -> BaseException | None:
    return state.outcome.exception() if state.outcome else None
