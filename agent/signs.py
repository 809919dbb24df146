"""What the agent shows of itself to those outside: its figures, its health, and a word to systemd."""

import asyncio
import socket
from collections.abc import Sequence
from pathlib import Path

import structlog

from agent import sockets
from agent.folder import HEALTH
from agent.metrics import AgentMetrics
from agent.trouble import Trouble
from shared import status
from shared.broker import Consumer
from shared.errors import SettingsError
from shared.health import Health, tell
from shared.notify import Notify
from shared.settings import MetricsSettings, listen_address
from shared.store import Store

log = structlog.get_logger()


class Signs:
    """Answers on `metrics.listen` and, for `thwart-agent health`, on a socket in the state folder."""

    def __init__(
        self, agent_id: str, store: Store, consumer: Consumer, metrics: AgentMetrics, trouble: Trouble, notify: Notify
    ) -> None:
        self._id, self._consumer, self._metrics, self._trouble = agent_id, consumer, metrics, trouble
        self._health, self._notify = Health(store, self._unready), notify

    def open(self, state: Path, settings: MetricsSettings) -> None:
        """Answers from now on, while everything else begins. Raises SettingsError when the port is taken."""
        listeners = [sockets.listener(state, HEALTH), *_listeners(settings)]
        for each in listeners:
            status.serve(each, self._health, self._metrics.exposition)
        self._notify.watch(self._health.hangs)

    async def run(self) -> None:
        """Shows that the loop turns, until cancelled."""
        await asyncio.gather(self._health.run(), tell(self._notify, self._sentence))

    def started(self) -> None:
        """The agent takes orders, as soon as there is a broker."""
        self._notify.started(self._sentence())

    def stopping(self) -> None:
        """The agent ends, on purpose."""
        self._notify.stopping()

    def _unready(self) -> Sequence[str]:
        if self._consumer.connected.is_set():
            return ()
        if self._consumer.lock_refused_since is not None:
            return (f"another agent with the id {self._id} takes the orders",)
        return ("the broker can't be reached, or not yet; what is in force stays and ends on time",)

    def _sentence(self) -> str:
        return "; ".join(filter(None, (*self._unready(), str(self._trouble)))) or f"takes orders as {self._id}"


def _listeners(settings: MetricsSettings) -> list[socket.socket]:
    if not settings.listen:
        return []
    host, port = listen_address(settings.listen, "metrics.listen")
    try:
        one = socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        raise SettingsError(f"metrics.listen: {settings.listen}: {error.strerror}; name another port") from error
    log.info("metrics can be read", action="metrics", address=f"http://{host}:{one.getsockname()[1]}/metrics")
    return [one]
