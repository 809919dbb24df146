"""The manager daemon in every part but one: where the test says, it stops. Its settings are in the environment.

`python -m tests.fault.a_manager_that_stops MARK POINT`, with a point of `POINTS`.
"""

import asyncio
import sys

from manager import app
from manager.ledger import schema
from shared import log, settings, topology
from shared.broker import Consumer
from shared.store import Store
from tests.fault.stopping import Point, StoppingPublisher

# Between log lines and the broker's confirm of the order that they lead to, in order …
ORDERING = ("deciding", "acking log", "sending order", "sent order", "confirmed order")
# … and when what an agent said is in the ledger and the broker doesn't know.
HEARING = ("acking event",)
# … and when what somebody else ordered, or nobody could take, is.
SEEING = ("acking order", "acking dead letter")
# … and when an allowlist is in the ledger with the lifts that follow from it, and agents don't know.
TELLING = ("sending policy",)
# … and when it is in the ledger that an agent is gone, and nothing that follows from it.
LEAVING = ("gone",)
POINTS = (*ORDERING, *HEARING, *SEEING, *TELLING, *LEAVING)
QUEUES = {
    topology.MANAGER_LOGS: "log",
    topology.MANAGER_EVENTS: "event",
    topology.MANAGER_HEARTBEATS: "heartbeat",
    topology.MANAGER_DEAD: "dead letter",
}


class StoppingStore(Store):
    """Stops in the transaction that has an order to send, before its commit; after one by which an agent is gone."""

    point: Point

    async def run(self, work):
        def stopping(connection):
            before = _orders(connection)
            result = work(connection)
            self.point("deciding", _orders(connection) > before)
            return result

        result = await super().run(stopping)
        self.point("gone", await super().run(_gone))
        return result


class StoppingConsumer(Consumer):
    """Stops when what was delivered is written down and the broker is about to be told so."""

    point: Point

    def ack_through(self, delivery):
        self.point(f"acking {QUEUES.get(delivery.queue, delivery.kind)}")
        super().ack_through(delivery)


def _gone(connection):
    """Whether any agent is."""
    return connection.execute("SELECT 1 FROM agents WHERE gone_at IS NOT NULL").fetchone() is not None


def _orders(connection):
    """How many are to be sent; an agent that joins is sent other things too."""
    return connection.execute("SELECT count(*) FROM outbox WHERE kind = 'order'").fetchone()[0]


def main(mark: str, point: str) -> None:
    """Runs until SIGTERM, or SIGKILL."""
    assert point in POINTS
    StoppingStore.point = StoppingConsumer.point = StoppingPublisher.point = Point(point, mark)
    found = settings.load(settings.ManagerSettings, None)
    log.configure(found.log)
    declared = (*topology.exchanges(), *topology.manager_queues(found.broker.queue_type))
    parts = app.Parts(
        store=lambda path: StoppingStore(path, schema.SCHEMA),
        publisher=lambda broker: StoppingPublisher(broker, "orders", declared),
        consumer=lambda broker, name, queues, prefetch: StoppingConsumer(
            broker, name, declared, queues, prefetch=prefetch
        ),
    )
    asyncio.run(app.run(found, parts=parts))


if __name__ == "__main__":
    main(*sys.argv[1:])
