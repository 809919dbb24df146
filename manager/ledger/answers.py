"""What agents said, merged: answers and expiries may come twice and in any order, and end in the same state.

An order's row for an agent holds three voices apart (the manager's view, the answer, the end); each keeps its own
latest word, and the end outranks the answer, which outranks the manager's view.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Literal

from msgspec import Struct

from manager.ledger.schema import FOREVER
from shared import codec
from shared.messages import Acknowledgement, Expiry, Order
from shared.store import Connection, Row

Event = Acknowledgement | Expiry
Kind = Literal["acknowledgement", "expiry"]

# Two answers of one agent to one order differ only when its journal was lost; the later one is true then. This
# decides between answers of the same instant, so that their order of arrival doesn't.
_WEIGHTS = {"stale": 0, "refused": 1, "failed": 2, "lifted": 3, "simulated": 4, "unchanged": 5, "applied": 6}
_CHUNK = 500  # parameters in one IN (...)
SOME = 2_000  # rows that lapse in one transaction: whoever decides something waits for the writer

_REMEMBER = """
INSERT INTO history
    (order_id, agent_id, said_at, kind, word, detail, cause, exit_code, received_at, expires_at, recorded_at)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING
"""
_ANSWER = """
UPDATE order_agents SET
    state = CASE WHEN ended_at IS NULL THEN ? ELSE 'ended' END, status = ?, weight = ?, detail = ?, exit_code = ?,
    received_at = ?, settled_at = ?, expires_at = ?, answered_at = COALESCE(answered_at, ?)
WHERE order_id = ? AND agent_id = ? AND (status IS NULL OR (settled_at, weight, detail) < (?, ?, ?))
RETURNING state
"""
_END = """
UPDATE order_agents SET state = 'ended', ended_at = ?, outcome = ?, ended_detail = ?, cause = ?
WHERE order_id = ? AND agent_id = ? AND (ended_at IS NULL OR (ended_at, outcome, ended_detail) < (?, ?, ?))
RETURNING state
"""
_SAID = "SELECT * FROM history WHERE order_id = ? AND agent_id = ?"
_NAMED = "SELECT id, action, target, issued_at, is_foreign FROM orders WHERE id IN ({})"
_STATE = "SELECT state FROM order_agents WHERE order_id = ? AND agent_id = ?"
_KNOWN = "SELECT id, is_foreign FROM orders WHERE id IN ({})"
_FOREIGN = """
INSERT INTO orders (id, origin, response, operation, action, location, target, dry_run, lasting, is_foreign,
    issued_at, deadline, until, body)
VALUES (?, '', '', 'add', ?, '', ?, 0, 0, 1, ?, ?, ?, ?) ON CONFLICT DO NOTHING
"""
_FOREIGN_AGENT = """
INSERT INTO order_agents (order_id, agent_id, state, since, deadline, until, note)
VALUES (?, ?, 'waiting', ?, ?, ?, '') ON CONFLICT DO NOTHING
"""
# The other voices stay as they are: an end that is told yet outranks this.
_LIFTED = """
UPDATE order_agents SET state = 'lifted', note = 'by its delete'
WHERE order_id = ? AND agent_id = ? AND state IN ('waiting', 'applied', 'unchanged')
"""
_DELETE = "SELECT body FROM orders WHERE id = ? AND operation = 'delete' AND is_foreign = 0"
_LAPSE = """
UPDATE order_agents SET state = 'stale', note = 'no answer' WHERE (order_id, agent_id) IN (
    SELECT order_id, agent_id FROM order_agents WHERE state = 'waiting' AND deadline < ? LIMIT ?)
RETURNING order_id
"""
_OPEN = ("waiting", "applied", "unchanged")  # states that more is to be heard of
_CLOSED = """
SELECT oa.order_id, o.action, o.target, oa.state FROM orders o JOIN order_agents oa ON oa.order_id = o.id
WHERE o.id IN ({}) AND NOT EXISTS (
    SELECT 1 FROM order_agents other WHERE other.order_id = o.id
        AND other.state IN ('waiting', 'applied', 'unchanged'))
"""


class Closed(Struct, frozen=True, kw_only=True):
    """An order of which nothing more is to be heard, and in which states its agents are left, with how many."""

    order_id: str
    action: str
    target: str
    states: dict[str, int]


class Named(Struct, frozen=True, kw_only=True):
    """What an order is about."""

    action: str
    target: str
    issued_at: float | None  # None: a foreign one, whose beginning nobody here knows


class Recorded(Struct, frozen=True, kw_only=True):
    """What became of a batch of events."""

    news: tuple[Event, ...]  # heard for the first time, in the order given
    settling: tuple[Event, ...]  # of these, what an agent said that its order is for
    foreign: tuple[str, ...]  # ids of orders that nobody here has given
    closed: tuple[Closed, ...] = ()  # orders that this was the last word on


class Lapsed(Struct, frozen=True, kw_only=True):
    """What was settled without an answer: how many rows, and the orders that this was the last word on."""

    count: int
    closed: tuple[Closed, ...]


class _Said(Struct, frozen=True, kw_only=True):
    """An event as the history keeps it."""

    order_id: str
    agent_id: str
    at: float
    kind: Kind
    word: str
    detail: str
    cause: str = ""
    exit_code: int | None = None
    received_at: float | None = None
    expires_at: float | None = None


def record(connection: Connection, events: Sequence[Event], now: float) -> Recorded:
    """Writes down `events` and merges them. Recording an event again changes nothing."""
    foreign = _admit_foreign(connection, events, now)
    news, settling, done = [], [], set()
    for event in events:
        said = _said(event)
        if said.word == "lifted":
            done |= _settle_lifted(connection, said)
        if not _remember(connection, said, now):
            continue
        news.append(event)
        before = _state(connection, said)
        if before is None:
            continue
        settling.append(event)
        after = _merge(connection, said, now) or before
        if before in _OPEN and after not in _OPEN:  # an order was closed before unless one of its agents is done now
            done.add(event.order_id)
    over = tuple(closed(connection, done))
    return Recorded(news=tuple(news), settling=tuple(settling), foreign=tuple(foreign), closed=over)


def _settle_lifted(connection: Connection, said: _Said) -> set[str]:
    """Nothing that a delete names is in force on the agent that has carried it out, nor comes to be; which are done.

    Also said when it is heard again. Who never got an order, or lost its journal with it, never tells its end.
    """
    row = connection.execute(_DELETE, (said.order_id,)).fetchone()
    lifts = codec.decode(row["body"], Order).lifts if row is not None and _state(connection, said) else ()
    return {each for each in lifts if connection.execute(_LIFTED, (each, said.agent_id)).rowcount}


def recall(connection: Connection, order_id: str, agent_id: str, now: float) -> None:
    """Merges what `agent_id` had said about the order before it was known that the order is for it."""
    for row in connection.execute(_SAID, (order_id, agent_id)).fetchall():
        _merge(connection, _of(row), now)


def lapse(connection: Connection, before: float) -> Lapsed:
    """Settles as `stale` some of what was due `before` and never answered; fewer than SOME once it is all.

    An answer that comes yet still wins.
    """
    rows = connection.execute(_LAPSE, (before, SOME)).fetchall()
    return Lapsed(count=len(rows), closed=tuple(closed(connection, {row["order_id"] for row in rows})))


def closed(connection: Connection, ids: Iterable[str]) -> list[Closed]:
    """Which of these orders are closed: nothing more is to be heard of them."""
    found: dict[str, Closed] = {}
    for row in _in_chunks(connection, _CLOSED, ids):
        one = found.setdefault(
            row["order_id"],
            Closed(order_id=row["order_id"], action=row["action"], target=row["target"], states={}),
        )
        one.states[row["state"]] = one.states.get(row["state"], 0) + 1
    return list(found.values())


def named(connection: Connection, ids: Iterable[str]) -> dict[str, Named]:
    """What these orders are about, by id."""
    return {
        row["id"]: Named(
            action=row["action"], target=row["target"], issued_at=None if row["is_foreign"] else row["issued_at"]
        )
        for row in _in_chunks(connection, _NAMED, ids)
    }


def _said(event: Event) -> _Said:
    if isinstance(event, Acknowledgement):
        return _Said(
            order_id=event.order_id,
            agent_id=event.agent_id,
            at=event.settled_at,
            kind="acknowledgement",
            word=event.status,
            detail=event.detail,
            exit_code=event.exit_code,
            received_at=event.received_at,
            expires_at=event.expires_at,
        )
    return _Said(
        order_id=event.order_id,
        agent_id=event.agent_id,
        at=event.at,
        kind="expiry",
        word=event.outcome,
        detail=event.detail,
        cause=event.cause,
    )


def _of(row: Row) -> _Said:
    return _Said(
        order_id=row["order_id"],
        agent_id=row["agent_id"],
        at=row["said_at"],
        kind=row["kind"],
        word=row["word"],
        detail=row["detail"],
        cause=row["cause"],
        exit_code=row["exit_code"],
        received_at=row["received_at"],
        expires_at=row["expires_at"],
    )


def _remember(connection: Connection, said: _Said, now: float) -> bool:
    """False when it was known already."""
    values = (said.order_id, said.agent_id, said.at, said.kind, said.word, said.detail)
    more = (said.cause, said.exit_code, said.received_at, said.expires_at, now)
    return connection.execute(_REMEMBER, (*values, *more)).rowcount == 1


def _merge(connection: Connection, said: _Said, now: float) -> str | None:
    """The state that the row of the order and the agent is in now; None when it didn't change."""
    key = (said.order_id, said.agent_id)
    if said.kind == "expiry":
        end = (said.at, said.word, said.detail)
        return _state_of(connection.execute(_END, (*end, said.cause, *key, *end)).fetchone())
    weight = _WEIGHTS[said.word]
    answer = (said.word, said.word, weight, said.detail, said.exit_code, said.received_at, said.at, said.expires_at)
    return _state_of(connection.execute(_ANSWER, (*answer, now, *key, said.at, weight, said.detail)).fetchone())


def _state(connection: Connection, said: _Said) -> str | None:
    """The state of the row of the order and the agent; None when the order isn't for it."""
    return _state_of(connection.execute(_STATE, (said.order_id, said.agent_id)).fetchone())


def _state_of(row: Row | None) -> str | None:
    return None if row is None else row["state"]


def _in_chunks(connection: Connection, query: str, ids: Iterable[str]) -> Iterator[Row]:
    """The rows of `query`, whose one placeholder takes a list of ids."""
    wanted = list(ids)
    for start in range(0, len(wanted), _CHUNK):
        some = wanted[start : start + _CHUNK]
        yield from connection.execute(query.format(", ".join("?" * len(some))), some)


def _admit_foreign(connection: Connection, events: Sequence[Event], now: float) -> list[str]:
    """Makes rows for orders that are known from these events alone; the ids of those that are new."""
    known = _known(connection, {event.order_id for event in events})
    fresh: list[str] = []
    for event in events:
        if known.get(event.order_id) is False:
            continue
        if event.order_id not in known:
            known[event.order_id] = True
            fresh.append(event.order_id)
        action, target = (event.action, event.target) if isinstance(event, Expiry) else ("", "")
        connection.execute(_FOREIGN, (event.order_id, action, target, now, now, now, b""))
        connection.execute(_FOREIGN_AGENT, (event.order_id, event.agent_id, now, FOREVER, now))
    return fresh


def _known(connection: Connection, ids: Iterable[str]) -> dict[str, bool]:
    """Which of `ids` have a row, and whether it is a foreign one."""
    return {row["id"]: bool(row["is_foreign"]) for row in _in_chunks(connection, _KNOWN, ids)}
