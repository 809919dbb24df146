"""The API over HTTP without a daemon around it: what it answers when the ledger can't be read, or written."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from manager.api.agents import AgentRoutes
from manager.api.api import Api
from manager.api.looks import Looks
from manager.api.tokens import Tokens
from manager.broadcast import Broadcast
from manager.chronicle import Chronicle
from manager.correlation import load, shipped
from manager.metrics import Metrics
from manager.reload import Reload
from manager.removal import Removal
from manager.responses.configuration import Configuration
from manager.signs import Signs
from manager.startup import Loaded
from shared.broker import Publisher
from shared.errors import StoreError
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

    async def nothing(_: object) -> None:
        return None

    reload = Reload(first, lambda before: before, nothing, metrics, manager.clock, Notify())
    looks = Looks(manager.store, manager.ledger, manager.roster, metrics, manager.panic, reload, publisher, links)
    removal = Removal(manager.store, manager.roster, manager.catch_up, nothing)
    chronicle = Chronicle(metrics, manager.clock, Broadcast(manager.clock))
    agents = AgentRoutes(manager.roster, manager.policy, removal, chronicle).routes()
    signs = Signs(manager.store, manager.roster, links, Notify())
    app = Api(Tokens({"0123456789abcdef": "ann"}), looks, signs, agents)
    headers = {"Authorization": "Bearer 0123456789abcdef"}
    return httpx.AsyncClient(transport=httpx.ASGITransport(app.app()), base_url="http://manager", headers=headers)


async def test_figures_of_a_ledger_that_can_not_be_read_are_for_another_time(
    manager: AManager, api: httpx.AsyncClient
) -> None:
    """503 and the sentence, as on every other path: who scrapes sees what is wrong, and no failure of the manager's."""
    assert (await api.get("/metrics")).status_code == 200
    manager.store.run_now(lambda connection: connection.execute("DROP TABLE outbox"))
    answer = await api.get("/metrics")
    assert (answer.status_code, list(answer.json())) == (503, ["error"])
    assert "ledger.db: no such table: outbox" in answer.json()["error"]


async def test_a_removal_that_a_full_disk_cut_off_can_be_asked_for_again(
    manager: AManager, api: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though the roster has forgotten the agent by then; a name that nothing is known of is no agent's."""
    await manager.hear("gone")
    order = await manager.block()
    manager.clock.passed += 60

    async def full(_: object) -> None:
        raise StoreError("the disk is full")

    with monkeypatch.context() as disk:
        disk.setattr(manager.store, "run", full)
        assert (await api.delete("/v1/agents/gone")).status_code == 503
    assert (await api.delete("/v1/agents/gone")).json() == {"id": "gone", "withdrawn": 1}
    assert await manager.states(order) == {"gone": "withdrawn"}
    for answer in (await api.delete("/v1/agents/gone"), await api.get("/v1/agents/gone")):
        assert (answer.status_code, "no agent is called gone" in answer.json()["error"]) == (404, True)


async def test_a_manager_that_was_upgraded_says_which_version_runs(api: httpx.AsyncClient, upgraded: str) -> None:
    """Until it is started anew it is the one that it was."""
    assert (await api.get("/v1/health")).json()["version"] == upgraded
