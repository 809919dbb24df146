"""Who becomes protected while the agent runs is let go; nobody else is, and nothing is gone through for nothing."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.admission import Admission
from agent.host import BrokerAddresses
from agent.safeguard import Safeguard
from shared.targets import Allowlist
from tests.unit.a_host import AGENT, ATTACKER, AHost
from tests.waiting import eventually

OTHER = "203.0.113.10"


class AtHome:
    """A host whose addresses and broker move, with the safeguard that watches them."""

    def __init__(self, folder: Path) -> None:
        self.host = AHost(folder)
        self.own, self.leads_to = ["192.0.2.1"], ["192.0.2.2"]
        self.broker = BrokerAddresses(["amqp://broker.example"], lambda name: self.leads_to)
        self.broker.look_up()
        actions = {self.host.action.name: self.host.action}
        self.admission = Admission(AGENT, (), actions, allow=Allowlist(), automatic=self.automatic)
        self.safeguard = Safeguard(
            self.host.journal,
            self.admission,
            self.broker,
            automatic=self.automatic,
            work=self.host.executor.work,
            trouble=self.host.trouble,
        )

    def automatic(self) -> Allowlist:
        if not self.own:
            raise OSError("getifaddrs failed")
        return Allowlist.of(self.own, "this host's own address") | Allowlist.of(self.broker.known(), "the broker")

    async def look(self) -> bool:
        """Whether the executor was woken by it."""
        self.host.executor.work.clear()
        await self.safeguard.look()
        woken = self.host.executor.work.is_set()
        await self.host.turns()
        return woken


@pytest.fixture
def home(tmp_path: Path) -> Iterator[AtHome]:
    one = AtHome(tmp_path)
    yield one
    one.host.close()


async def test_an_address_that_becomes_ours_is_let_go(home: AtHome) -> None:
    """The order ends as lifted; the others stay; an exempt one goes as well."""
    await home.host.do(home.host.add("o1", exempt=True), home.host.add("o2", OTHER))
    assert not await home.look()
    home.own.append(ATTACKER)
    assert await home.look()
    assert set(home.host.in_force()) == {OTHER}
    assert home.host.ends("o1") == [("lifted", "reverted")]


async def test_a_broker_that_moves_is_let_go(home: AtHome, monkeypatch: pytest.MonkeyPatch) -> None:
    """As soon as its name leads elsewhere."""
    await home.host.do(home.host.add("o1"), home.host.add("o2", OTHER))
    monkeypatch.setattr("agent.safeguard.LOOK", 0.001)
    running = asyncio.create_task(home.safeguard.run())
    home.leads_to = [OTHER]
    await eventually(home.host.executor.work.is_set)
    running.cancel()
    await home.host.turns()
    assert set(home.host.in_force()) == {ATTACKER}


async def test_nothing_is_gone_through_while_nobody_new_is_protected(
    home: AtHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    """100,000 holds aren't read every minute; who leaves the list is no reason to either."""
    await home.look()
    monkeypatch.setattr(home.safeguard, "let_go", None)
    await home.look()
    home.own.append("192.0.2.3")
    monkeypatch.undo()
    await home.look()
    home.own.remove("192.0.2.3")
    monkeypatch.setattr(home.safeguard, "let_go", None)
    await home.look()


async def test_a_host_that_cannot_tell_its_addresses_is_trouble_for_a_while(
    home: AtHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It goes on looking."""
    monkeypatch.setattr("agent.safeguard.LOOK", 0.001)
    was, home.own = home.own, []
    running = asyncio.create_task(home.safeguard.run())
    await eventually(lambda: "getifaddrs failed" in str(home.host.trouble))
    home.own = was
    await eventually(lambda: str(home.host.trouble) == "")
    running.cancel()
