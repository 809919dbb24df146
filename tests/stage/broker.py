"""A virtual host on a private node, with a user of its own: to a test it is a whole broker."""

from shared.settings import BrokerSettings
from shared.topology import QueueType
from tests.stage.private_broker import Login, PrivateBroker


class Broker:
    """What the fixture `broker` gives. Other tests see nothing of it, except that `node` is shared."""

    def __init__(self, node: PrivateBroker, login: Login, queue_type: QueueType = "classic") -> None:
        self.node = node  # restart() it, kill() it and start() it again; what is durable stays
        self.login = login
        self._queue_type = queue_type

    @property
    def url(self) -> str:
        """An AMQP URL that leads to this virtual host alone."""
        return self.login.url

    @property
    def settings(self) -> BrokerSettings:
        """What daemons are given."""
        return BrokerSettings(urls=(self.url,), queue_type=self._queue_type)
