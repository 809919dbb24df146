"""What a turn came to, written down: answers, ends, who holds what now, and the messages that say so, in one commit."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Literal

from msgspec import Struct, json

from agent.actions.action import Result
from agent.journal import answers
from agent.journal.networks import Networks
from agent.journal.planning import FOREVER, NEXT_END, SAME, Ending, Holder, Joining, Name, Turn, Work
from agent.journal.times import Now
from shared import outbox
from shared.actions import LASTING
from shared.broker import Publication
from shared.messages import Acknowledgement, Expiry, Status
from shared.store import Connection

_HOLD = """
INSERT INTO holders (order_id, action, key, ends, expires_at, exempt, slow, counted, lifted)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, EXISTS (SELECT 1 FROM tombstones WHERE order_id = ?1))
"""
_LET_GO = "DELETE FROM holders WHERE order_id = ?"
_IN_FORCE = """
INSERT INTO effects (action, key, target, arguments, slow, body, boot, since_at)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, (SELECT boot FROM identity), ?7)
ON CONFLICT (action, key) DO UPDATE SET since_at = excluded.since_at, body = excluded.body, boot = excluded.boot
WHERE ?8
"""
_AGAIN_IN_FORCE = "UPDATE effects SET boot = (SELECT boot FROM identity) WHERE action = ? AND key = ?"
_LIFTED = "SELECT outcome, ended_detail FROM orders WHERE id = ? AND cause = 'lifted' AND ended_at >= ?"
_GONE = "DELETE FROM effects WHERE action = ? AND key = ?"
_ADOPTED = "SELECT 1 FROM holders WHERE action = ? AND key = ? AND adopted = 1 AND lifted = 0"
# by the target too: a script's key isn't what the order names
_OWED = """
SELECT 1 FROM (
    SELECT action, key FROM effects WHERE action = ?1 AND key = ?2
    UNION ALL SELECT action, key FROM effects WHERE slow = 1 AND action = ?1 AND target = ?2
) e WHERE NOT EXISTS (SELECT 1 FROM holders h WHERE h.action = e.action AND h.key = e.key)
"""

DONE = Result(key="")
End = Literal["reverted", "kept", "failed"]

_Answer = tuple[Status, str, float]  # status, detail, the effect's end after the order


class Outcome(Struct, frozen=True, kw_only=True):
    """What the host said to one effect's work."""

    revert: Result = DONE
    apply: Result = DONE

    @property
    def problem(self) -> str:
        """What went wrong; empty when all was done."""
        return self.apply.problem or self.revert.problem


class Settled(Struct, frozen=True, kw_only=True):
    """What a turn came to."""

    acknowledgements: tuple[Acknowledgement, ...] = ()
    expiries: tuple[Expiry, ...] = ()
    waits: tuple[float, ...] = ()  # s from taking to applied, for each that was
    next_end: float | None = None  # the boot clock's reading when the next hold is over; None: nothing ends by itself


def settle(connection: Connection, turn: Turn, outcomes: Mapping[Name, Outcome], agent_id: str, now: Now) -> Settled:
    """Writes down what became of `turn`."""
    settling = _Settling(connection, agent_id, now)
    for work in turn.works:
        settling.work(work, outcomes[(work.action, work.key)])
    for ending in turn.deletes:
        settling.delete(ending)
    outbox.put(connection, settling.say)
    return Settled(
        acknowledgements=tuple(settling.acknowledgements),
        expiries=tuple(settling.expiries),
        waits=tuple(settling.waits),
        next_end=connection.execute(NEXT_END).fetchone()[0],
    )


class _Settling:
    """One turn on its way into the journal."""

    def __init__(self, connection: Connection, agent_id: str, now: Now) -> None:
        self._connection, self._agent_id, self._now = connection, agent_id, now
        self._networks = Networks(connection, now)
        self.acknowledgements: list[Acknowledgement] = []
        self.expiries: list[Expiry] = []
        self.waits: list[float] = []
        self.say: list[Publication] = []

    def work(self, work: Work, outcome: Outcome) -> None:
        """Ends first, then orders: the sequence in which the host was changed."""
        for holder in work.leaving:
            self._connection.execute(_LET_GO, (holder.order_id,))
        for holder, kind, detail in _ends(work, outcome, self._now):
            self._end(work, holder, kind, detail or self._still_covered(work, kind))
        joined = [self._join(work, joining, said, outcome) for joining, said in _joins(work, outcome)]
        self._keep(work, outcome, any(joined))

    def delete(self, ending: Ending) -> None:
        """Answers a delete by what became of the orders that it names since it was taken, in this turn or before."""
        since = min(ending.received_at, self._now.wall - (self._now.boot - ending.received_boot))  # were it set back
        rows = [self._connection.execute(_LIFTED, (each, since)).fetchone() for each in ending.order.lifts]
        ended = [row for row in rows if row is not None]
        failed = next((row["ended_detail"] for row in ended if row["outcome"] == "failed"), None)
        failed = failed if ended else self._owed(ending)
        covered = next((row["ended_detail"] for row in ended if row["outcome"] == "reverted"), "")
        detail = failed or (covered if ended else self._absent(ending))
        self._answer(ending.order.id, ending.received_at, "failed" if failed is not None else "lifted", detail)

    def _owed(self, ending: Ending) -> str | None:
        """An earlier end of what it names has failed, and nobody knows that it is gone."""
        owed = self._connection.execute(_OWED, (ending.action, ending.order.target)).fetchone()
        return "it could not be ended yet, and is tried again" if owed else None

    def _absent(self, ending: Ending) -> str:
        """Nothing that it names was in force; but who believes that its target is free may be wrong."""
        adopted = self._connection.execute(_ADOPTED, (ending.action, ending.order.target)).fetchone()
        return "adopted: held until all that is in force has been sent" if adopted else "not in force"

    def _still_covered(self, work: Work, kind: End) -> str:
        """Its end frees nobody from a block of the network around it."""
        network = self._networks.around(work.action, work.key) if kind == "reverted" else ""
        return f"still covered by {network}" if network else ""

    def _end(self, work: Work, holder: Holder, kind: End, detail: str) -> None:
        said = Expiry(
            order_id=holder.order_id,
            agent_id=self._agent_id,
            action=holder.named,
            target=work.target,
            cause="lifted" if holder.lifted else "timeout",
            outcome=kind,
            detail=detail,
            at=self._now.wall,
        )
        answers.keep_end(self._connection, said)
        self.expiries.append(said)
        self.say.append(answers.of_expiry(said))

    def _join(self, work: Work, joining: Joining, answer: _Answer, outcome: Outcome) -> bool:
        """Answers an order; True when it holds the effect now."""
        order, (status, detail, until) = joining.order, answer
        answers.forget_alert(self._connection, order)
        if status not in ("applied", "unchanged") or (not order.lasting and outcome.apply.happened):
            self._answer(order.id, joining.received_at, status, detail, outcome.apply.exit_code)
            return False
        expires_at = self._now.wall_of(_or_none(until))
        self._answer(order.id, joining.received_at, status, detail, outcome.apply.exit_code, expires_at)
        # what counts as one end is written down as one: else each of many could be a little later than the last
        ends = _or_none(min(joining.ends, until))
        row = (order.id, work.action, work.key, ends, order.expires_at, order.exempt, work.slow)
        self._connection.execute(_HOLD, (*row, order.lasting or order.action in LASTING))
        if status == "applied":
            self.waits.append(self._now.boot - joining.received_boot)
        return True

    def _answer(
        self,
        order_id: str,
        received_at: float,
        status: Status,
        detail: str,
        exit_code: int | None = None,
        expires_at: float | None = None,
    ) -> None:
        said = Acknowledgement(
            order_id=order_id,
            agent_id=self._agent_id,
            status=status,
            detail=detail,
            exit_code=exit_code,
            received_at=received_at,
            settled_at=self._now.wall,
            expires_at=expires_at,
        )
        answers.keep_answer(self._connection, said)
        self.acknowledgements.append(said)
        self.say.append(answers.of_acknowledgement(said))

    def _keep(self, work: Work, outcome: Outcome, joined: bool) -> None:
        """The effect's row: in force, gone, or owed a revert because nobody can tell whether it is there."""
        if work.staying:  # it was there before, and is
            if work.slow and work.apply and not outcome.problem:
                self._connection.execute(_AGAIN_IN_FORCE, work.name)
        elif joined or outcome.revert.problem or (outcome.apply.problem and not work.just_happens):
            # with a problem nobody can tell whether it is there
            arguments = json.encode(work.arguments).decode()
            row = (*work.name, work.target, arguments, work.slow, work.body or None, self._now.wall, joined)
            self._connection.execute(_IN_FORCE, row)
        else:
            self._connection.execute(_GONE, work.name)


def _ends(work: Work, outcome: Outcome, now: Now) -> list[tuple[Holder, End, str]]:
    """Each order that leaves, with its outcome and detail. Only the last holder's end is a revert."""
    by_end = sorted((each for each in work.leaving if not each.adopted), key=lambda each: (each.ends, each.seq))
    if work.staying:
        return [(each, "kept", f"held by others {_until(work.stood_until, now)}") for each in by_end]
    problem = outcome.revert.problem
    said: list[tuple[Holder, End, str]] = [(each, "kept", f"held by others {_until(now.boot, now)}") for each in by_end]
    said[-1:] = [(each, "failed" if problem else "reverted", problem) for each in by_end[-1:]]
    return said


def _joins(work: Work, outcome: Outcome) -> list[tuple[Joining, _Answer]]:
    """Each that joins, with its answer."""
    said: list[tuple[Joining, _Answer]] = []
    until = work.ordered_until
    for joining in work.joining:
        if joining.word == "lifted":
            said.append((joining, ("lifted", "lifted before it was carried out", until)))
        elif joining.word:
            said.append((joining, ("stale", "its end had passed before it could be carried out", until)))
        elif not joining.order.lasting and outcome.apply.was_there:
            said.append((joining, ("unchanged", "in force already", until)))
        elif joining.ends <= until + SAME and not (work.slow and not joining.order.lasting):
            said.append((joining, ("unchanged", "", until)))
        elif outcome.apply.problem:
            said.append((joining, ("failed", outcome.apply.problem, until)))
        elif not joining.order.lasting and outcome.apply.happened:
            said.append((joining, ("applied", "done", until)))
        else:
            detail = "new" if until == -FOREVER else "extended"
            until = joining.ends
            said.append((joining, ("applied", detail, until)))
    return said


def _until(ends: float, now: Now) -> str:
    wall = now.wall_of(_or_none(ends))
    if wall is None:
        return "until lifted"
    return f"until {datetime.fromtimestamp(wall, UTC).isoformat(timespec='seconds')}"


def _or_none(ends: float) -> float | None:
    return None if ends == FOREVER else ends
