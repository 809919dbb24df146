"""A host's `iptables` that is another one than in the run before: iptables-nft and iptables-legacy see no rule of each
other's, and the kernel obeys both.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.actions.action import Effect
from agent.actions.firewall_drop.ipset import Ipset
from agent.actions.firewall_drop.iptables import Iptables
from tests.contract.in_filter import PROGRAMS, VARIANTS, InFilter, programs_of, skip_without_legacy
from tests.stage.network import Host, Network
from tests.stage.probe import Listener, side_by_side

pytestmark = pytest.mark.root

BLOCKED4, BLOCKED6, NETWORK4 = "203.0.113.7", "2001:db8:bad::7", "198.51.100.0/24"


@pytest.fixture(params=["nft", "legacy"])
def variant(request: pytest.FixtureRequest, web: Host) -> str:
    """The one that is the host's in the end."""
    skip_without_legacy(web)
    return str(request.param)


@pytest.fixture
def hosts_programs(variant: str, tmp_path: Path) -> Path:
    """As Debian has them: both under names of their own, and one of them as `iptables`."""
    folder = programs_of(variant, tmp_path / variant)
    for one, binary in VARIANTS.items():
        for each in PROGRAMS:
            base, _, end = each.partition("-")
            (folder / "-".join(filter(None, (base, one, end)))).symlink_to(binary)
    return folder


@pytest.fixture(params=[Iptables, Ipset])
def before(request: pytest.FixtureRequest, web: Host, variant: str, tmp_path: Path) -> Iterator[InFilter]:
    """An earlier run's, by the other variant."""
    other = next(each for each in VARIANTS if each != variant)
    one = InFilter(web, request.param, programs_of(other, tmp_path / other))
    yield one
    one.close()


def test_what_the_other_iptables_has_is_moved(
    before: InFilter, hosts_programs: Path, web: Host, attacker: Host
) -> None:
    """It stays in force, is known, and a lift lets the address through; other rules there stay."""
    listener = Listener(web)
    blocked = [Effect(key=key, target=key, left=60) for key in (BLOCKED4, BLOCKED6, NETWORK4)]
    before.action.apply(blocked)
    before.run("iptables", "-A", "INPUT", "-s", "192.0.2.99/32", "-j", "DROP")
    after = InFilter(web, Iptables if before.action.backend == "iptables" else Ipset, hosts_programs)
    assert after.action.inspect().keys() == after.seen() == {BLOCKED4, BLOCKED6, NETWORK4}
    assert before.rules(4) == ["-A INPUT -s 192.0.2.99/32 -j DROP"]
    assert before.rules(6) == []
    assert [each.problem for each in after.action.revert(blocked)] == [""] * 3
    assert side_by_side(attacker, [(BLOCKED4, listener), (BLOCKED6, listener)]) == [True, True]
    after.close()
    listener.close()


def test_nothing_of_the_other_iptables_comes_into_being(stage: Network, tmp_path: Path) -> None:
    """Who only looks at iptables-legacy makes its tables, which every packet then comes through."""
    host = stage.host("modern", 13)
    one = InFilter(host, Iptables, programs_of("nft", tmp_path / "nft"))
    (tmp_path / "nft" / "iptables-legacy").symlink_to(VARIANTS["legacy"])
    (tmp_path / "nft" / "ip6tables-legacy").symlink_to(VARIANTS["legacy"])
    one.restarted().prepare()
    in_use = Path("/proc/thread-self/net/ip_tables_names")
    assert not in_use.exists() or one.there.call(in_use.read_text) == ""
    one.close()
