"""A change of firewall-drop's backend in a real kernel: no attacker is let through, nor blocked twice afterwards."""

from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path

import pytest

from agent.actions.action import Action
from agent.actions.firewall_drop.ipset import Ipset
from agent.actions.firewall_drop.iptables import Iptables
from agent.actions.firewall_drop.nftables import Nftables
from shared.settings import ActionsSettings
from tests.contract.subject import There
from tests.stage.network import Host
from tests.stage.probe import Listener, side_by_side
from tests.unit.a_choosing_host import AChoosingHost

pytestmark = pytest.mark.root

BACKENDS = {"nftables": Nftables, "ipset": Ipset, "iptables": Iptables}
SHORT = 0.3  # s within which nothing comes of a packet that is dropped


@pytest.fixture
def there(web: Host) -> Iterator[Sequence[There]]:
    """Every one of them, in the kernel of one host."""
    some = [There(web, make) for make in BACKENDS.values()]
    yield some
    for each in some:
        each.close()
    web.run("nft", "flush", "ruleset")
    web.run("ipset", "destroy")


@pytest.fixture
async def host(tmp_path: Path, there: Sequence[Action]) -> AsyncIterator[AChoosingHost]:
    """An agent there."""
    one = AChoosingHost(tmp_path, lambda clock: there)
    await one.start()
    yield one
    one.close()


async def test_whoever_is_blocked_stays_so_whichever_backend_comes_next(
    host: AChoosingHost, there: Sequence[There], web: Host, attacker: Host
) -> None:
    """Each after each other; what the former had is gone after it, and a lift lets through whatever came before."""
    blocked, service = attacker.addresses[0], Listener(web)
    await host.do(host.add("o1", blocked), host.add("o2", "198.51.100.0/24"), host.add("o3", "2001:db8:5::5", None))
    for backend in ("ipset", "iptables", "nftables", "iptables", "ipset", "nftables"):
        host.settings = ActionsSettings(firewall=backend)
        await host.restart()
        in_force = {each.backend: set(each.inspect()) for each in there}
        assert in_force == {
            **{each: set() for each in BACKENDS},
            backend: {blocked, "198.51.100.0/24", "2001:db8:5::5"},
        }
        assert (f"-s {blocked}/32" in web.run("iptables-save")) == (backend == "iptables")
        assert side_by_side(attacker, [(blocked, service)], within=SHORT) == [False]
    assert str(host.trouble) == ""
    await host.do(host.delete("d1", "o1"))
    assert side_by_side(attacker, [(blocked, service)]) == [True]
    service.close()
