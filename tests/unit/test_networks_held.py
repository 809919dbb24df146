"""Networks on a host: a lift says what goes on being blocked by a network around it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.cli import _print_lifted
from agent.control import LiftRequest, lift
from shared.messages import Acknowledgement, Expiry
from tests.unit.a_host import ATTACKER, AHost

WIDE, NARROW = "203.0.113.0/24", "203.0.113.0/25"


@pytest.fixture
def host(tmp_path: Path) -> Iterator[AHost]:
    host = AHost(tmp_path)
    yield host
    host.close()


async def test_each_network_has_its_own_holders_and_end(host: AHost) -> None:
    """One inside another, and a host in both."""
    await host.do(host.add("w", WIDE, 600.0), host.add("n", NARROW, 60.0), host.add("h", ATTACKER, None))
    assert host.in_force() == {WIDE: 600.0, NARROW: 60.0, ATTACKER: None}
    await host.after(60.0)
    assert host.in_force() == {WIDE: 540.0, ATTACKER: None}
    assert host.ends("n") == [("timeout", "reverted")]


async def test_lifting_a_host_in_a_blocked_network_says_so(host: AHost) -> None:
    """In its end and in the answer to who lifted it: the narrowest network, as long as one is held."""
    await host.do(host.add("w", WIDE, None), host.add("n", NARROW), host.add("other", "2001:db8::/64"))
    await host.do(host.add("h1"))
    await host.do(host.delete("d2", "h1"))
    assert _details(host, "h1", "d2") == [f"still covered by {NARROW}"] * 2
    await host.do(host.delete("d3", "n", target=NARROW))
    assert _details(host, "n", "d3") == [f"still covered by {WIDE}"] * 2
    await host.do(host.add("h2", timeout=60.0))
    await host.after(60.0)
    assert _details(host, "h2") == [f"still covered by {WIDE}"]


async def test_a_network_that_goes_with_its_host_covers_nothing(host: AHost) -> None:
    """All that is lifted at once is free, whatever is settled first."""
    await host.do(host.add("h"), host.add("w", WIDE))
    await host.do(host.delete("d1", "h"), host.delete("d2", "w", target=WIDE))
    assert _details(host, "h", "w", "d1", "d2") == [""] * 4


async def test_a_person_is_told_which_network_goes_on_blocking(host: AHost, capsys: pytest.CaptureFixture[str]) -> None:
    """Who lifts a host that lies in one, whether it was blocked itself or not; and nobody once that is gone."""
    await host.do(host.add("w", WIDE), host.add("n", NARROW), host.add("h"))
    for address, network in ((ATTACKER, NARROW), (ATTACKER, NARROW), (NARROW, WIDE), (WIDE, "")):
        answer = await lift(host.executor, LiftRequest(target=address))
        assert answer.covered == ((network,) if network else ())
        _print_lifted(answer, address)
    lines = [each for each in capsys.readouterr().out.splitlines() if "action=" not in each]
    told = f"{ATTACKER} is still covered by {NARROW}; `thwart-agent lift {NARROW}` ends that"
    assert lines[:4] == [
        f"lifted firewall-drop on {ATTACKER}, held by one order",
        told,
        f"nothing is in force on {ATTACKER} itself",
        told,
    ]
    assert (await lift(host.executor, LiftRequest(target=None))).covered == ()


async def test_a_host_of_another_family_or_outside_is_not_covered(host: AHost) -> None:
    """The same bits are not enough."""
    await host.do(host.add("w", "2001:db8::/24"), host.add("x", "198.51.100.0/24"), host.add("h"))
    await host.do(host.delete("d1", "h"))
    assert _details(host, "h", "d1") == ["", ""]


def _details(host: AHost, *order_ids: str) -> list[str]:
    """The detail of each order's last answer, or end when it has one."""
    last: dict[str, str] = {}
    for said in host.said():
        if isinstance(said, Acknowledgement | Expiry):
            last[said.order_id] = said.detail
    return [last[each] for each in order_ids]
