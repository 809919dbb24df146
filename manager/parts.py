"""What the manager daemon is made of, as factories: a test replaces one of them and leaves the rest as it ships."""

from collections.abc import Callable, Sequence
from pathlib import Path

from msgspec import Struct

from manager.ledger import schema
from shared import topology
from shared.broker import Consumer, Publisher
from shared.clock import Clock, SystemClock
from shared.settings import BrokerSettings
from shared.store import Store


def _store(path: Path) -> Store:
    return Store(path, schema.SCHEMA)


def _publisher(settings: BrokerSettings) -> Publisher:
    return Publisher(settings, "orders", _topology(settings))


def _consumer(settings: BrokerSettings, name: str, queues: Sequence[str], prefetch: int) -> Consumer:
    return Consumer(settings, name, _topology(settings), queues, prefetch=prefetch)


class Parts(Struct, frozen=True, kw_only=True):
    """What the daemon is made of. A test hands in one that stops where it wants to look."""

    clock: Callable[[], Clock] = SystemClock
    store: Callable[[Path], Store] = _store
    publisher: Callable[[BrokerSettings], Publisher] = _publisher
    consumer: Callable[[BrokerSettings, str, Sequence[str], int], Consumer] = _consumer


REAL = Parts()


def _topology(settings: BrokerSettings) -> tuple[topology.Exchange | topology.Queue, ...]:
    """Every link declares all of it, so that no queue is missing when the first message goes out."""
    return (*topology.exchanges(), *topology.manager_queues(settings.queue_type))
