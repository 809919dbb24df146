"""RabbitMQ: the only package that imports pika. Connections that come back, pipelined confirms, batched consuming.

Publishing and consuming have a connection each: a broker under a memory or disk alarm blocks connections that
publish, and acks must not hang with them. Everything here belongs to one asyncio loop.
"""

from shared.broker.addresses import logins
from shared.broker.consumer import Consumer
from shared.broker.envelope import Delivery, Publication
from shared.broker.link import Link
from shared.broker.probe import Reach, reach
from shared.broker.publisher import Publisher

__all__ = ["Consumer", "Delivery", "Link", "Publication", "Publisher", "Reach", "logins", "reach"]
