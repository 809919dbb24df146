"""What is in force, by the agents' own answers: a list of it, and all that concerns one address or network."""

from collections.abc import Callable, Iterable

from manager.ledger import orders, reads
from manager.ledger.reads import Now
from manager.ledger.schema import FOREVER
from manager.ledger.views import Block, BlockQuery, BlockStory, Holder, OrderQuery, OrderState, OrderView
from shared.errors import InvalidTarget
from shared.store import Connection
from shared.targets import Network, is_host, names_address, overlap, parse_network

MOST = 200  # orders on one target that are looked at
COMING: tuple[OrderState, ...] = ("unsent", "waiting", "overdue", "unroutable", "on-hold")

_IN_FORCE = """
SELECT o.target, o.action, o.response, o.lifted_by, oa.order_id, oa.agent_id, oa.until, oa.settled_at
FROM orders o JOIN order_agents oa ON oa.order_id = o.id
WHERE o.until > ? AND o.lasting = 1 AND oa.state IN ('applied', 'unchanged') AND oa.until > ?
"""
_ON_TARGET = " AND o.target = ?"
_AT_AGENT = " AND oa.agent_id = ?"
_BY_ORDER = " AND o.id >= ? AND o.id < ?"
_SORTED = " ORDER BY o.target, o.action, oa.agent_id, oa.until DESC, oa.order_id"


def blocks(connection: Connection, query: BlockQuery, now: float) -> list[Block]:
    """What is in force of what `query` asks for, by target."""
    filters = ((_ON_TARGET, query.target), (_AT_AGENT, query.agent), (_BY_ORDER, query.order))
    select = _IN_FORCE + "".join(clause for clause, value in filters if value) + _SORTED
    wanted = [value for _, value in filters[:2] if value]
    wanted += [query.order, f"{query.order}\uffff"] if query.order else []
    found: dict[tuple[str, str], list[Holder]] = {}
    for row in connection.execute(select, (now, now, *wanted)):
        found.setdefault((row["target"], row["action"]), []).append(
            Holder(
                agent_id=row["agent_id"],
                order_id=row["order_id"],
                since=row["settled_at"],
                until=None if row["until"] >= FOREVER else row["until"],
                lifting=row["lifted_by"] is not None,
                response=row["response"],
            )
        )
    return [Block(target=target, action=action, holders=tuple(some)) for (target, action), some in found.items()]


def story(connection: Connection, target: str, now: Now) -> BlockStory:
    """All that concerns `target`, in the one spelling. Nothing lies around a name, or in it."""
    mine = parse_network(target) if names_address(target) else None
    others = [each for each in _networks(connection, mine, now.at) if each != target] if mine else []
    around = [each for each in others if mine and _covers(each, mine)]
    return BlockStory(
        target=target,
        blocks=_of(connection, [target], now.at),
        around=_of(connection, around, now.at),
        inside=_of(connection, [each for each in others if each not in around], now.at),
        orders=open_orders(connection, target, now, lambda view: view.state in (*COMING, "applied", "unchanged")),
    )


def open_orders(
    connection: Connection, target: str, now: Now, wanted: Callable[[OrderView], bool]
) -> tuple[OrderView, ...]:
    """The newest orders on `target` that are `wanted`."""
    query = OrderQuery(target=target, limit=MOST)
    return tuple(each for each in reads.orders(connection, query, now) if wanted(each))


def _of(connection: Connection, targets: Iterable[str], now: float) -> tuple[Block, ...]:
    return tuple(block for target in targets for block in blocks(connection, BlockQuery(target=target), now))


def _networks(connection: Connection, mine: Network, now: float) -> list[str]:
    """Targets of orders that are open, and that share an address with `mine`; a host lies in networks alone."""
    targets = orders.open_targets(connection, now)
    return [each for each in targets if ("/" in each or not is_host(mine)) and _overlaps(each, mine)]


def _overlaps(target: str, mine: Network) -> bool:
    try:
        return overlap(parse_network(target), mine)
    except InvalidTarget:  # an account
        return False


def _covers(target: str, mine: Network) -> bool:
    return parse_network(target).prefixlen <= mine.prefixlen
