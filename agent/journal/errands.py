"""Errands: what slow actions have to do, each for one effect, read from the journal whenever a worker is free.

An action that takes many at once is given many: what comes for it is gathered until nothing more has come for a moment,
or the first has waited long enough, or there are as many as it takes. That is read from the journal like the rest.

Who is out on an errand has that effect to himself: nothing else is planned for it, and what comes for it waits here, in
order, until the errand is settled. So a crash finds everything unsettled and nothing lost. What was about to be started
is written down before it is: what lasts is done again after a crash, and what just happens never is, because nobody can
tell how far it came.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from functools import cache, partial
from itertools import takewhile

from msgspec import Struct
from msgspec.structs import replace

from agent.journal import planning
from agent.journal.planning import Ending, Name, Work
from agent.journal.times import Now
from shared import codec
from shared.messages import Order
from shared.store import Connection, Row

_ENDED = """
SELECT h.action, h.key, COALESCE(e.target, '') AS target FROM (
    SELECT action, key, ends FROM holders WHERE lifted = 1 AND +slow = 1
    UNION ALL SELECT action, key, ends FROM holders WHERE lifted = 0 AND slow = 1 AND ends <= ?
) h LEFT JOIN effects e ON e.action = h.action AND e.key = h.key ORDER BY h.ends
"""
_ACTIONS = """
WITH RECURSIVE actions (action) AS (
    SELECT min(action) FROM orders WHERE status IS NULL AND slow = 1
    UNION ALL
    SELECT (SELECT min(action) FROM orders WHERE status IS NULL AND slow = 1 AND action > actions.action) FROM actions
    WHERE actions.action IS NOT NULL
)
SELECT action FROM actions WHERE action IS NOT NULL
"""
_GATHERED = """
SELECT count(*) AS number, min(received_boot) AS first, max(received_boot) AS last FROM (
    SELECT received_boot FROM orders WHERE status IS NULL AND slow = 1 AND action = ? AND key != ''
    ORDER BY seq LIMIT ?
)
"""
_TAKEN = """
SELECT action, key, target FROM orders WHERE status IS NULL AND slow = 1 AND action = ? AND key != '' ORDER BY seq
"""
_FORGOTTEN = """
SELECT action, key, target FROM effects e WHERE slow = 1 AND boot != (SELECT boot FROM identity) AND EXISTS
    (SELECT 1 FROM holders h WHERE h.action = e.action AND h.key = e.key)
"""
_LEFT_OVER = """
SELECT action, key, target FROM effects e WHERE slow = 1 AND NOT EXISTS
    (SELECT 1 FROM holders h WHERE h.action = e.action AND h.key = e.key)
"""
_FIRST = """
SELECT o.*, EXISTS (SELECT 1 FROM tombstones t WHERE t.order_id = o.id) AS buried FROM orders o
WHERE status IS NULL AND slow = 1 AND action = ? AND key = ? ORDER BY seq LIMIT 1
"""
_EFFECT = """
SELECT body, boot = (SELECT boot FROM identity) AS is_of_this_boot FROM effects WHERE action = ? AND key = ?
"""
_DELETES = "SELECT * FROM orders WHERE status IS NULL AND slow = 1 AND key = '' ORDER BY seq"
_IS_OPEN = """
SELECT 1 FROM holders WHERE order_id = ?1 UNION ALL SELECT 1 FROM orders WHERE id = ?1 AND status IS NULL LIMIT 1
"""
_START = "UPDATE orders SET started_at = ? WHERE id = ?"
_NEXT_END = "SELECT min(ends) FROM holders WHERE slow = 1"

QUIET = 1.0  # s without another one, after which what was gathered goes
LONGEST = 5.0  # s that the first one waits for others


class Errand(Struct, frozen=True, kw_only=True):
    """One effect's work, with at most one order that joins. `interrupted`: that one just happens, and was started
    before, by an agent that was killed.
    """

    work: Work
    ordered: Order | None  # the order that put it in force
    coming: Order | None
    in_force: bool
    interrupted: bool

    @property
    def lane(self) -> Name:
        """In which one comes after the other: an action's target, and for those without one the effect."""
        return self.work.action, self.work.target or self.work.key


class Begun(Struct, frozen=True, kw_only=True):
    """What is to be done now."""

    errands: tuple[Errand, ...]
    deletes: tuple[Ending, ...]  # all that they lift has ended
    next_at: float | None  # the boot clock's reading when a hold is over, or what is being gathered goes
    owed: bool  # something that nobody ordered just now is still to be done


def begin(
    connection: Connection,
    now: Now,
    *,
    busy: Collection[Name],
    limit: int,
    at_once: Callable[[str], int],
    owed: Collection[Name] | None,
) -> Begun:
    """What can be started in other lanes than the `busy` ones; marked as started. No action has more than `limit` out,
    and one that takes several `at_once` is given them when none of its is out. `owed`: also what a reboot or a failure
    left to be done, those effects aside; None: not that.
    """
    choice = _Choice(connection, now, busy, limit, at_once)
    choice.add(connection.execute(_ENDED, (now.boot,)))  # first: who is let go late is wronged
    for (action,) in connection.execute(_ACTIONS).fetchall():
        if choice.has_room_for(action) and choice.has_gathered(action):
            # no further than there is room: else thousands that wait would be read each time
            choice.add(takewhile(partial(choice.has_room_for, action), connection.execute(_TAKEN, (action,))))
    left = [] if owed is None else [row for each in (_FORGOTTEN, _LEFT_OVER) for row in connection.execute(each)]
    choice.add(row for row in left if (row["action"], row["key"]) not in (owed or ()))
    started = (each.coming.id for each in choice.errands if each.work.apply and each.coming)
    connection.executemany(_START, [(now.wall, order_id) for order_id in started])
    return Begun(
        errands=tuple(choice.errands),
        deletes=tuple(_deletes(connection)),
        next_at=choice.next_at(),
        owed=bool(left),
    )


class _Choice:
    """Who goes now."""

    def __init__(
        self, connection: Connection, now: Now, busy: Collection[Name], limit: int, at_once: Callable[[str], int]
    ) -> None:
        self._connection, self._now, self._limit = connection, now, limit
        self._at_once = cache(at_once)  # it may read files, and each is asked for more than once
        self._lanes, self._out = set(busy), Counter(action for action, _ in busy)
        self._room: dict[str, int] = {}  # by action, how many more may go
        self._gathering: list[float] = []  # until when
        self.errands: list[Errand] = []

    def has_room_for(self, action: str, _: Row | None = None) -> bool:
        """Whether one more of it may go."""
        if action not in self._room:
            most, out = self._at_once(action), self._out[action]
            self._room[action] = self._limit - out if most == 1 else 0 if out else most
        return self._room[action] > 0

    def has_gathered(self, action: str) -> bool:
        """Whether what has come for it goes now, or waits for more."""
        most = self._at_once(action)
        number, first, last = self._connection.execute(_GATHERED, (action, most)).fetchone() if most > 1 else (0, 0, 0)
        if not 0 < number < most or last > self._now.boot:  # as many as it takes; or of an earlier boot's clock
            return True
        until: float = min(first + LONGEST, last + QUIET)
        if until > self._now.boot:
            self._gathering.append(until)
        return until <= self._now.boot

    def next_at(self) -> float | None:
        """When there is something to do, though nobody says so."""
        (next_end,) = self._connection.execute(_NEXT_END).fetchone()
        return min([*self._gathering, *([] if next_end is None else [next_end])], default=None)

    def add(self, rows: Iterable[Row]) -> None:
        """Those of these who can."""
        for action, key, target in rows:
            lane = action, target or key
            if self.has_room_for(action) and lane not in self._lanes:
                self._lanes.add(lane)
                self._room[action] -= 1
                self.errands.append(_errand(self._connection, (action, key), self._now))


def _errand(connection: Connection, name: Name, now: Now) -> Errand:
    """An order that comes for what is in force already only moves its end, and its script isn't bothered."""
    row = connection.execute(_FIRST, name).fetchone()
    joining = [] if row is None else [planning.joining_in(row, planning.order_in(row), now)]
    effect = connection.execute(_EFFECT, name).fetchone()
    work = planning.work_for(connection, name, joining, now)
    in_force = bool(work.staying and effect["is_of_this_boot"])
    started, comes = any(each.started for each in joining), any(not each.word for each in joining)
    one_shot = any(not each.order.lasting for each in joining)
    interrupted = one_shot and started
    wanted = (comes and one_shot) or (bool(work.staying or comes) and not in_force)
    unsure = started and not comes and not one_shot  # lifted, or over, while the agent was down
    return Errand(
        work=replace(
            work,
            slow=True,
            body=row["body"] if row else b"",
            apply=wanted and not interrupted,
            revert=not work.staying and (effect is not None or unsure),
        ),
        ordered=codec.decode(effect["body"], Order) if effect and effect["body"] else None,
        coming=joining[0].order if joining else None,
        in_force=in_force,
        interrupted=interrupted,
    )


def _deletes(connection: Connection) -> Iterator[Ending]:
    """Those that can be answered."""
    for row in connection.execute(_DELETES).fetchall():
        order = planning.order_in(row)
        if not any(connection.execute(_IS_OPEN, (each,)).fetchone() for each in order.lifts):
            yield planning.ending_in(row, order)
