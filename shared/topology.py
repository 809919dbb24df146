"""Exchanges, queues, routing keys and their arguments: pure functions, the one place that knows them.

All exchanges are durable topics. The keys of `thwart.orders` say where an order is carried out:
`local.<agent>`, `agent.<agent>`, `server`, `all`.
"""

from typing import Any, Literal

from msgspec import Struct, field

from shared.messages import Order

ORDERS = "thwart.orders"
EVENTS = "thwart.events"
LOGS = "thwart.logs"
DEAD = "thwart.dead"
UNROUTABLE = "thwart.unroutable"

POLICY = "policy"  # the AMQP `type` that tells an allowlist from the orders in an agent's queue

MANAGER_ORDERS = "thwart.manager.orders"
MANAGER_EVENTS = "thwart.manager.events"
MANAGER_HEARTBEATS = "thwart.manager.heartbeats"
MANAGER_LOGS = "thwart.manager.logs"
MANAGER_DEAD = "thwart.manager.dead"
MANAGER_UNROUTABLE = "thwart.manager.unroutable"

_OF_AGENT = "thwart.agent."  # and the id: the queue of its orders

QueueType = Literal["classic", "quorum"]

HEARTBEAT_TTL = 30_000  # ms: an older one says nothing
HEARTBEATS_KEPT = 20_000
DEAD_KEPT = 10_000
LOG_BYTES = 512 * 1024 * 1024  # then collectors wait where they are
# RabbitMQ 4 gives quorum queues a limit of 20, and every message in the prefetch window counts each time a
# connection ends. Poison is handled by decoding, not by counting. (-1 means "none" only since 4.0.)
NO_DELIVERY_LIMIT = 2_000_000_000


class Exchange(Struct, frozen=True, kw_only=True):
    """A durable topic exchange."""

    name: str
    arguments: dict[str, Any] = field(default_factory=dict)


class Queue(Struct, frozen=True, kw_only=True):
    """A queue with its bindings, `(exchange, routing key)`. An exclusive one goes with its connection."""

    name: str
    bindings: tuple[tuple[str, str], ...] = ()
    unbound: tuple[tuple[str, str], ...] = ()  # bindings of earlier times that it must not have
    arguments: dict[str, Any] = field(default_factory=dict)
    exclusive: bool = False


def exchanges() -> tuple[Exchange, ...]:
    """Every exchange, those that others refer to first."""
    spill = {"alternate-exchange": UNROUTABLE}
    return (
        Exchange(name=UNROUTABLE),
        Exchange(name=DEAD),
        Exchange(name=ORDERS),
        Exchange(name=EVENTS, arguments=spill),
        Exchange(name=LOGS, arguments=spill),
    )


def manager_queues(queue_type: QueueType) -> tuple[Queue, ...]:
    """What managers consume, shared by all replicas. The last two never dead-letter any further."""
    kept = {"x-max-length": DEAD_KEPT, "x-overflow": "drop-head"}
    heartbeats = {"x-message-ttl": HEARTBEAT_TTL, "x-max-length": HEARTBEATS_KEPT, "x-overflow": "drop-head"}
    logs = {"x-max-length-bytes": LOG_BYTES, "x-overflow": "reject-publish"}
    return (
        # everybody's orders: those of other correlators belong into the ledger too
        Queue(name=MANAGER_ORDERS, bindings=((ORDERS, "#"),), arguments=_arguments(queue_type)),
        Queue(
            name=MANAGER_EVENTS,
            bindings=((EVENTS, "acknowledgement.*"), (EVENTS, "expiry.*")),
            arguments=_arguments(queue_type),
        ),
        Queue(
            # of the same type: nobody could declare a classic one, nor connect, while the node that has it is away
            name=MANAGER_HEARTBEATS,
            bindings=((EVENTS, "heartbeat.*"),),
            arguments=_arguments(queue_type, heartbeats),
        ),
        Queue(name=MANAGER_LOGS, bindings=((LOGS, "log.*"),), arguments=_arguments(queue_type, logs)),
        Queue(name=MANAGER_DEAD, bindings=((DEAD, "#"),), arguments=_arguments(queue_type, kept)),
        Queue(name=MANAGER_UNROUTABLE, bindings=((UNROUTABLE, "#"),), arguments=_arguments(queue_type, kept)),
    )


def agent_queue(agent_id: str, roles: tuple[str, ...], queue_type: QueueType) -> Queue:
    """The queue of one agent's orders, with the keys that it listens to.

    The `server` of a role that was taken away is still bound to the queue, until somebody ends that.
    """
    server = "server" in roles
    keys = [f"local.{agent_id}", f"agent.{agent_id}", "all", *(["server"] if server else [])]
    return Queue(
        name=agent_queue_name(agent_id),
        bindings=tuple((ORDERS, key) for key in keys),
        unbound=() if server else ((ORDERS, "server"),),
        arguments=_arguments(queue_type, {"x-dead-letter-exchange": DEAD}),
    )


def agent_queue_name(agent_id: str) -> str:
    """The name of the queue of an agent's orders."""
    return f"{_OF_AGENT}{agent_id}"


def agent_of(queue: str) -> str:
    """The agent whose orders are in the queue of that name; empty when it is no agent's."""
    return queue.removeprefix(_OF_AGENT) if queue.startswith(_OF_AGENT) else ""


def agent_lock(agent_id: str) -> Queue:
    """The exclusive queue that a running agent holds, so that two hosts with one id are noticed.

    Always classic: an exclusive quorum queue is refused.
    """
    return Queue(name=f"thwart.lock.{agent_id}", arguments=_arguments("classic"), exclusive=True)


def order_keys(order: Order) -> tuple[str, ...]:
    """The routing keys that `order` is published under, one publish each."""
    match order.location:
        case "server" | "all":
            return (order.location,)
        case "local" | "agent":
            return tuple(f"{order.location}.{agent}" for agent in order.agents)


def _arguments(queue_type: QueueType, more: dict[str, Any] | None = None) -> dict[str, Any]:
    limit = {"x-delivery-limit": NO_DELIVERY_LIMIT} if queue_type == "quorum" else {}
    return {"x-queue-type": queue_type, **limit, **(more or {})}
