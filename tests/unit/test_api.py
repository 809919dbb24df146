"""The API over HTTP without a daemon around it: what it answers when the ledger can't be read."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from manager.api.api import Api
from manager.api.looks import Looks
from manager.api.tokens import Tokens
from manager.correlation import load, shipped
from manager.metrics import Metrics
from manager.reload import Reload
from manager.responses.configuration import Configuration
from manager.signs import Signs
from manager.startup import Loaded
from shared.broker import Publisher
from shared.notify import Notify
from shared.settings import BrokerSettings
from tests.unit.a_manager import AManager, a_manager


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[AManager]:
    with a_manager(tmp_path / "ledger.db") as parts:
        yield parts


@pytest.fixture
async def api(manager: AManager) -> httpx.AsyncClient:
    """On that ledger; its broker is never asked."""
    publisher = Publisher(BrokerSettings(urls=("amqp://127.0.0.1:1/",)), "orders", ())
    links, metrics = {"orders": publisher}, Metrics()
    first = Loaded(rules=load([shipped()]), configuration=Configuration())

    async def follow(_: Loaded) -> None:
        return None

    reload = Reload(first, lambda before: before, follow, metrics, manager.clock, Notify())
    looks = Looks(manager.store, manager.ledger, manager.roster, metrics, manager.panic, reload, publisher, links)
    app = Api(Tokens({"0123456789abcdef": "ann"}), looks, Signs(manager.store, manager.roster, links, Notify()), ())
    return httpx.AsyncClient(transport=httpx.ASGITransport(app.app()), base_url="http://manager")


async def test_figures_of_a_ledger_that_can_not_be_read_are_for_another_time(
    manager: AManager, api: httpx.AsyncClient
) -> None:
    """503 and the sentence, as on every other path: who scrapes sees what is wrong, and no failure of the manager's."""
    assert (await api.get("/metrics")).status_code == 200
    manager.store.run_now(lambda connection: connection.execute("DROP TABLE outbox"))
    answer = await api.get("/metrics")
    assert (answer.status_code, list(answer.json())) == (503, ["error"])
    assert "ledger.db: no such table: outbox" in answer.json()["error"]
