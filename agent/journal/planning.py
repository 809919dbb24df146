"""What one turn of the executor has to do, read from the journal and from nothing else. Slow actions: `errands`.

Reverts go first, then applies, each effect at most once in either. Nothing is written here: a turn that was cut
short is planned again, the same, from what was committed.
"""

from collections.abc import Collection, Iterable, Sequence

from msgspec import Struct, json

from agent.journal.times import Now
from shared import codec
from shared.messages import Order
from shared.store import Connection, Row

SAME = 0.001  # s: ends that lie no further apart are one; the kernel counts in milliseconds
FOREVER = float("inf")

# What was adopted and is released waits for the order that takes it over, lest there be a gap between the two.
# `+`: not by the index of slow ones, in which all holders are.
_ENDED = """
SELECT action, key FROM (
    SELECT action, key, ends, lifted FROM holders WHERE lifted = 1 AND +slow = 0 AND NOT (adopted = 1 AND EXISTS
        (SELECT 1 FROM orders o WHERE o.status IS NULL AND o.key = holders.key))
    UNION ALL SELECT action, key, ends, lifted FROM holders WHERE lifted = 0 AND slow = 0 AND ends <= ?
) ORDER BY lifted DESC, ends LIMIT ?
"""
_HELD_BY = "SELECT action, key FROM holders WHERE order_id = ? AND slow = 0"
_TAKEN = """
SELECT *, EXISTS (SELECT 1 FROM tombstones t WHERE t.order_id = o.id) AS buried FROM orders o
WHERE status IS NULL AND slow = 0 ORDER BY seq LIMIT ?
"""
_EFFECT = "SELECT * FROM effects WHERE action = ? AND key = ?"
_LEFT_OVER = """
SELECT action, key FROM effects e WHERE slow = 0 AND NOT EXISTS
    (SELECT 1 FROM holders h WHERE h.action = e.action AND h.key = e.key)
"""
NEXT_END = "SELECT min(ends) FROM holders WHERE slow = 0"
_HOLDERS = """
SELECT h.*, o.seq, o.named FROM holders h LEFT JOIN orders o ON o.id = h.order_id WHERE h.action = ? AND h.key = ?
ORDER BY o.seq
"""

Name = tuple[str, str]  # action, key


class Holder(Struct, frozen=True, kw_only=True):
    """An order that holds an effect, or nobody's hold on what was adopted.

    `ends` is the boot clock's reading, infinite for "until lifted".
    """

    order_id: str
    ends: float
    lifted: bool
    adopted: bool
    seq: int
    named: str  # the action, as the order says it


class Joining(Struct, frozen=True, kw_only=True):
    """A taken `add`: it is to hold the effect, or it no longer matters and `word` says so."""

    order: Order
    ends: float
    received_at: float
    received_boot: float
    word: str = ""  # lifted, stale: answered so, and never applied
    started: bool = False  # a slow action was, and nobody knows what came of it


class Ending(Struct, frozen=True, kw_only=True):
    """A taken `delete`, whose ids are marked in the journal already."""

    order: Order
    action: str  # by its name on this host
    received_at: float
    received_boot: float


class Work(Struct, frozen=True, kw_only=True):
    """One effect in a turn: who holds it, who leaves, who joins, and what the host has to do."""

    action: str
    key: str
    target: str
    arguments: tuple[str, ...]
    leaving: tuple[Holder, ...]
    staying: tuple[Holder, ...]
    joining: tuple[Joining, ...]
    revert: bool
    apply: bool
    ends: float  # when the effect ends after this turn, if all goes well
    slow: bool = False
    body: bytes = b""  # of the order that puts a slow action's effect in force

    @property
    def name(self) -> Name:
        return self.action, self.key

    @property
    def just_happens(self) -> bool:
        """A slow action is started for one-shots alone, after which there is nothing to revert."""
        return self.slow and bool(self.joining) and not any(each.order.lasting for each in self.joining)

    @property
    def stood_until(self) -> float:
        """When it ends without those who join; minus infinity when nobody else holds it."""
        return _latest(self.staying)

    @property
    def ordered_until(self) -> float:
        """The same, as far as orders hold it."""
        return _latest(_orders(self.staying))


class Turn(Struct, frozen=True, kw_only=True):
    """One turn's work."""

    works: tuple[Work, ...] = ()
    deletes: tuple[Ending, ...] = ()
    more: bool = False  # the limit was reached: there is more that could be done at once
    next_end: float | None = None  # the boot clock's reading when a hold is over; told when there is nothing to do

    def __bool__(self) -> bool:
        return bool(self.works or self.deletes)


def plan(
    connection: Connection,
    now: Now,
    *,
    limit: int,
    again: bool = False,
    anew: Collection[Name] = (),
) -> Turn:
    """Up to `limit` ends that are due and as many orders. `again`: what could not be reverted is tried once more.
    `anew`: what the host may have otherwise than it should, to be applied again if somebody holds it and reverted if
    not.
    """
    taken = connection.execute(_TAKEN, (limit,)).fetchall()
    orders = [(row, order_in(row)) for row in taken]
    ended = connection.execute(_ENDED, (now.boot, limit)).fetchall()
    names: dict[Name, list[Joining]] = {_name(row): [] for row in ended}
    names.update({_name(row): [] for row in connection.execute(_LEFT_OVER)} if again else {})
    names.update({name: [] for name in anew})
    names.update({name: [] for _, order in orders for name in _lifted(connection, order)})
    for row, order in orders:
        if order.operation == "add":
            names.setdefault((row["action"], row["key"]), []).append(joining_in(row, order, now))
    works = [work_for(connection, name, joining, now, anew=name in anew) for name, joining in names.items()]
    deletes = [ending_in(row, order) for row, order in orders if order.operation == "delete"]
    if not (works or deletes):
        return Turn(next_end=connection.execute(NEXT_END).fetchone()[0])
    return Turn(works=tuple(works), deletes=tuple(deletes), more=max(len(taken), len(ended)) >= limit)


def order_in(row: Row) -> Order:
    """The order that a row of `orders` keeps."""
    return codec.decode(row["body"], Order)


def _lifted(connection: Connection, order: Order) -> list[Name]:
    """What a delete ends: in its own turn, however many other ends are due, so that its answer is about them."""
    return [_name(row) for each in order.lifts for row in connection.execute(_HELD_BY, (each,))]


def ending_in(row: Row, order: Order) -> Ending:
    """The same for a `delete`."""
    return Ending(order=order, action=row["action"], received_at=row["received_at"], received_boot=row["received_boot"])


def joining_in(row: Row, order: Order, now: Now) -> Joining:
    """The `add` that a row of `orders`, with whether it is `buried`, keeps."""
    ends = _ends(row["ends"])
    word = "lifted" if row["buried"] else "stale" if ends <= now.boot else ""
    return Joining(
        order=order,
        ends=ends,
        received_at=row["received_at"],
        received_boot=row["received_boot"],
        word=word,
        started=row["started_at"] is not None,
    )


def work_for(connection: Connection, name: Name, joining: Sequence[Joining], now: Now, *, anew: bool = False) -> Work:
    """One effect's. `anew`: it is applied again even if its end doesn't move."""
    effect = connection.execute(_EFFECT, name).fetchone()
    holders = [_holder(row) for row in connection.execute(_HOLDERS, name)]
    leaving = [each for each in holders if _is_over(each, now)]
    staying = [each for each in holders if not _is_over(each, now)]
    coming = [each for each in joining if not each.word]
    before, after, until = _latest(holders), _latest(staying), _latest(coming)
    moves = before > after + SAME or until > _latest(_orders(staying)) + SAME
    ends = max(after, until)
    return Work(
        action=name[0],
        key=name[1],
        target=effect["target"] if effect else joining[0].order.target if joining else name[1],
        arguments=tuple(json.decode(effect["arguments"])) if effect else joining[0].order.arguments if joining else (),
        leaving=tuple(leaving),
        staying=tuple(staying),
        joining=tuple(joining),
        # What was taken and is not to come into force any more may be there all the same: a crash can have come
        # between the host and the journal. The same goes for what nobody holds. What was adopted passes to whoever
        # comes without a gap.
        revert=not staying and (not coming or bool(_orders(leaving)) or (effect is not None and not holders)),
        apply=ends > -FOREVER and (anew or moves),
        ends=ends,
    )


def _orders(holders: Iterable[Holder]) -> list[Holder]:
    """Without what was adopted."""
    return [each for each in holders if not each.adopted]


def _is_over(holder: Holder, now: Now) -> bool:
    return holder.lifted or holder.ends <= now.boot


def _holder(row: Row) -> Holder:
    return Holder(
        order_id=row["order_id"],
        ends=_ends(row["ends"]),
        lifted=bool(row["lifted"]),
        adopted=bool(row["adopted"]),
        seq=row["seq"] or 0,
        named=row["named"] or row["action"],
    )


def _latest(some: Iterable[Holder | Joining]) -> float:
    ends = -FOREVER
    for each in some:  # there is hardly ever more than one, and `max` of an expression takes five times as long
        ends = max(ends, each.ends)
    return ends


def _ends(value: float | None) -> float:
    return FOREVER if value is None else float(value)


def _name(row: Row) -> Name:
    return row["action"], row["key"]
