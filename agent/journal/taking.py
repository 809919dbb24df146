"""Taking orders: one transaction writes them down, judges their deadline, and answers what needs no action.

An id that is known gets the answer that was given and no second execution. The one exception is `stale`, which was
never carried out: if it comes again with time left, and nobody has lifted it meanwhile, it is judged anew.
"""

from collections.abc import Sequence

from msgspec import Struct
from msgspec.structs import replace

from agent.journal import adoption, answers, policy
from agent.journal.policy import Ruling
from agent.journal.times import Now
from shared import codec, outbox
from shared.broker import Publication
from shared.messages import Acknowledgement, Order, Status
from shared.store import Connection, Row

LEAST = 1.0  # s: what has less left when it comes is stale
DAY = 86_400.0  # s that an id is kept after its deadline

_KNOWN = "SELECT * FROM orders WHERE id = ?"
_TAKE = """
INSERT INTO orders (id, body, named, action, target, key, slow, ends, received_at, received_boot, forget_at)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
_DROP = "DELETE FROM orders WHERE id = ?"
_KEEP_LONGER = "UPDATE orders SET forget_at = ? WHERE id = ? AND forget_at < ?"
_BURY = """
INSERT INTO tombstones (order_id, forget_at) VALUES (?, ?)
ON CONFLICT (order_id) DO UPDATE SET forget_at = excluded.forget_at WHERE tombstones.forget_at < excluded.forget_at
"""
_MARK = "UPDATE holders SET lifted = 1 WHERE order_id = ?"
_IS_SLOW = "SELECT 1 FROM orders WHERE id = ? AND slow = 1"
_BURIED = "SELECT 1 FROM tombstones WHERE order_id = ?"


class Incoming(Struct, frozen=True, kw_only=True):
    """An order that is for this host: the key of its effect, or why it is refused."""

    order: Order
    action: str = ""  # the one name that its action has on this host, if that is another than the order's
    key: str = ""
    refusal: str = ""
    slow: bool = False  # its action takes its time


class Rejected(Struct, frozen=True, kw_only=True):
    """What came and is no order that this host could take: where it goes, and what is answered if its id is known."""

    dead: Publication
    order_id: str = ""
    detail: str = ""


Thing = Incoming | Ruling | Rejected


class Taken(Struct, frozen=True, kw_only=True):
    """What became of a batch."""

    fresh: int  # are to be carried out now
    repeated: int
    said: int  # messages in the outbox
    answered: tuple[Acknowledgement, ...]  # settled here, for the first time
    ruled: tuple[tuple[int, int], ...] = ()  # the version of each new allowlist, and how many holds are to end for it


def take(connection: Connection, things: Sequence[Thing], agent_id: str, now: Now) -> Taken:
    """Takes a batch, in the order in which it came. Taking a batch again changes nothing."""
    taking = _Taking(connection, agent_id, now)
    for thing in things:
        match thing:
            case Rejected():
                taking.reject(thing)
            case Ruling():
                taking.rule(thing)
            case Incoming():
                taking.take(thing)
    outbox.put(connection, taking.say)
    return Taken(
        fresh=taking.fresh,
        repeated=taking.repeated,
        said=len(taking.say),
        answered=tuple(taking.answered),
        ruled=tuple(taking.ruled),
    )


def is_buried(connection: Connection, order_id: str) -> bool:
    """True when somebody has lifted this id."""
    return connection.execute(_BURIED, (order_id,)).fetchone() is not None


def bury(connection: Connection, order_id: str, forget_at: float) -> None:
    """Lifts an id: what it holds is to be ended, and it never comes into force any more."""
    connection.execute(_BURY, (order_id, forget_at))
    connection.execute(_MARK, (order_id,))


def left_of(order: Order, wall: float) -> float | None:
    """The seconds that `order` has left at `wall`: min(timeout, expires_at - now). None: until it is lifted."""
    spans = [order.timeout] if order.timeout is not None else []
    spans += [order.expires_at - wall] if order.expires_at is not None else []
    return min(spans) if spans else None


class _Taking:
    """One batch on its way into the journal."""

    def __init__(self, connection: Connection, agent_id: str, now: Now) -> None:
        self._connection, self._agent_id, self._now = connection, agent_id, now
        self.fresh = self.repeated = 0
        self.answered: list[Acknowledgement] = []
        self.say: list[Publication] = []
        self.ruled: list[tuple[int, int]] = []

    def reject(self, thing: Rejected) -> None:
        self.say.append(thing.dead)
        if thing.order_id and self._known(thing.order_id) is None:  # else a good one with this id has its own answer
            self._answer(thing.order_id, "refused", f"malformed: {thing.detail}")

    def rule(self, came: Ruling) -> None:
        """What is in force or about to be, this batch's orders included, ends where a newer allowlist wants it.

        Whatever its version, one that ends a catch-up of this journal says that nothing is missing here any more.
        """
        if adoption.is_ours(self._connection, came.caught_up):
            adoption.release(self._connection)
        ended = policy.take(self._connection, came)
        if ended is None:
            return
        for each in ended:
            bury(self._connection, each.order_id, each.forget_at)
        self.ruled.append((came.version, len(ended)))

    def take(self, incoming: Incoming) -> None:
        order = incoming.order
        known = self._known(order.id)
        word, detail = self._judge(incoming)
        if known is not None and (known["status"] != "stale" or word in ("stale", "lifted")):
            self._repeat(order, known)
            return
        if known is not None:  # a stale one; it is carried out in the order in which it came now
            self._connection.execute(_DROP, (order.id,))
        self._write_down(incoming)
        if word is not None:
            if incoming.slow:
                answers.forget_alert(self._connection, order)
            self._answer(order.id, word, detail)
            return
        self.fresh += 1
        for each in order.lifts if order.operation == "delete" else ():
            bury(self._connection, each, order.deadline + DAY)

    def _judge(self, incoming: Incoming) -> tuple[Status | None, str]:
        """What is answered at once, and the detail; None for what is to be carried out."""
        order = incoming.order
        left = left_of(order, self._now.wall)
        if order.operation == "add" and is_buried(self._connection, order.id):
            return "lifted", "lifted before it came"
        if self._now.wall > order.deadline:
            return "stale", f"{self._now.wall - order.deadline:.1f} s after its deadline"
        if order.operation == "add" and left is not None and left < LEAST:
            return "stale", f"{max(left, 0.0):.1f} s left when it came"
        if incoming.refusal:
            return "refused", incoming.refusal
        if order.dry_run:
            return "simulated", "nothing was changed"
        return None, ""

    def _write_down(self, incoming: Incoming) -> None:
        order, now = incoming.order, self._now
        left = left_of(order, now.wall)
        # an alert is up to 64 KiB, which only scripts need
        body = codec.encode(order if incoming.slow else replace(order, alert={}))
        ends = None if left is None else now.boot + left
        times = (now.wall, now.boot, order.deadline + DAY)
        slow = incoming.slow or any(self._connection.execute(_IS_SLOW, (each,)).fetchone() for each in order.lifts)
        action = incoming.action or order.action
        row = (order.id, body, order.action, action, order.target, incoming.key, slow, ends, *times)
        self._connection.execute(_TAKE, row)

    def _repeat(self, order: Order, known: Row) -> None:
        self.repeated += 1
        forget_at = order.deadline + DAY  # a deadline is restamped when an order is sent again
        self._connection.execute(_KEEP_LONGER, (forget_at, order.id, forget_at))
        if known["status"] is not None:
            self.say += answers.given(known, self._agent_id)

    def _answer(self, order_id: str, status: Status, detail: str) -> None:
        said = Acknowledgement(
            order_id=order_id,
            agent_id=self._agent_id,
            status=status,
            detail=detail,
            received_at=self._now.wall,
            settled_at=self._now.wall,
        )
        answers.keep_answer(self._connection, said)
        self.answered.append(said)
        self.say.append(answers.of_acknowledgement(said))

    def _known(self, order_id: str) -> Row | None:
        row: Row | None = self._connection.execute(_KNOWN, (order_id,)).fetchone()
        return row
