"""wazuh-slack keeps the contract of what just happens, by what a real HTTP server was told."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.actions.wazuh_slack.wazuh_slack import WazuhSlack
from agent.actions.wazuh_slack.webhook import Patience, Webhook
from agent.contract.happening import HappeningContract
from tests.stage.webhook_server import WebhookServer, hangs, says

SHORT = Patience(one=0.2, whole=0.2, first_pause=0.01)


class AChannel:
    """With one server behind its webhook."""

    target, arguments, words = "203.0.113.9", (), "invalid_token"

    def __init__(self, server: WebhookServer, folder: Path) -> None:
        self._server, self._file = server, folder / "webhook"
        self._file.write_text(server.url)
        self._file.chmod(0o600)
        self.action = self._made(Patience())

    def happened(self) -> int:
        return len(self._server.bodies)

    def missing(self) -> WazuhSlack:
        self._file.unlink()
        return self.action

    def failing(self) -> WazuhSlack:
        self._server.plan(says(403, self.words))
        return self.action

    def hanging(self) -> WazuhSlack:
        self._server.plan(*[hangs] * 10)
        return self._made(SHORT)

    def _made(self, patience: Patience) -> WazuhSlack:
        return WazuhSlack(Webhook(file=str(self._file), patience=patience), host="web1")


class TestWazuhSlack(HappeningContract):
    """A message."""

    @pytest.fixture
    def subject(self, tmp_path: Path) -> Iterator[AChannel]:
        """With nothing told yet."""
        with WebhookServer() as server:
            yield AChannel(server, tmp_path)
