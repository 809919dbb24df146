"""Users of a test's virtual host that may do less than everything, as an operator would make them."""

import secrets
from collections.abc import Mapping
from urllib.parse import quote

from tests.stage.broker import Broker

# What an agent's login needs besides: `{id}` is its id. It may order nobody, read nobody's queue but its own, and say
# nothing in another's name.
CONFIGURE = r"^thwart\.(orders|events|logs|dead|unroutable|manager\.[a-z]+)$|^thwart\.(agent|lock)\.{id}$"
WRITE = r"^thwart\.(events|logs|dead|unroutable|manager\.[a-z]+)$|^thwart\.(agent|lock)\.{id}$"
READ = r"^thwart\.(orders|events|logs|dead|unroutable)$|^thwart\.(agent|lock)\.{id}$"
TOPICS = {"thwart.events": r"^(acknowledgement|expiry|heartbeat)\.{id}$", "thwart.logs": r"^log\.{id}$"}


class Logins:
    """Adds users, and removes them at the end."""

    def __init__(self, broker: Broker) -> None:
        self._node, self._host = broker.node, broker.login.name
        self._at = broker.url.rpartition("@")[2]
        self._names: list[str] = []

    def add(self, name: str, configure: str = ".*") -> str:
        """A user who may do everything, or make and delete only what `configure` matches; the AMQP URL of it."""
        return self._add(name, configure, ".*", ".*", {})

    def add_agent(self, name: str) -> str:
        """A user who may do what the agent of that id has to, and nothing else."""
        patterns = [pattern.replace("{id}", name) for pattern in (CONFIGURE, WRITE, READ)]
        return self._add(name, *patterns, {each: key.replace("{id}", name) for each, key in TOPICS.items()})

    def _add(self, name: str, configure: str, write: str, read: str, topics: Mapping[str, str]) -> str:
        password = secrets.token_hex(8)
        user, host, secret = _binary(name), _binary(self._host), _binary(password)
        allowed = ", ".join(_binary(pattern) for pattern in (configure, write, read))
        self._names.append(name)
        self._node.evaluate(
            f"rabbit_auth_backend_internal:add_user({user}, {secret}, <<>>),"
            f"rabbit_auth_backend_internal:set_permissions({user}, {host}, {allowed}, <<>>)"
        )
        for exchange, key in topics.items():
            topic = ", ".join(map(_binary, (exchange, key, ".*")))
            self._node.evaluate(f"rabbit_auth_backend_internal:set_topic_permissions({user}, {host}, {topic}, <<>>)")
        return f"amqp://{quote(name)}:{password}@{self._at}"

    def close(self) -> None:
        """Removes them; their connections are cut."""
        for name in self._names:
            self._node.evaluate(f"rabbit_auth_backend_internal:delete_user({_binary(name)}, <<>>)")


def _binary(text: str) -> str:
    return "<<" + ",".join(str(byte) for byte in text.encode()) + ">>"
