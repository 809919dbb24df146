"""What an agent tells of its host, and whom it protects there without being told."""

from pathlib import Path

import pytest

from agent import host
from shared.errors import ProtectedTarget
from shared.targets import Allowlist
from tests.stage.network import Network

NAMED = {"broker.example": ["192.0.2.50", "2001:db8::50"]}


@pytest.mark.root
def test_a_hosts_own_addresses_are_single_ones(network: Network) -> None:
    """All of them, without zones, prefixes and loopback."""
    web = network.host("web1", 11)
    found = web.call(host.own_addresses)
    assert found[: len(web.addresses)] == list(web.addresses)
    assert all(address.startswith("fe80::") and "%" not in address for address in found[len(web.addresses) :])


@pytest.mark.root
def test_default_gateways_of_both_families_are_known(network: Network) -> None:
    """And no other route's gateway."""
    web = network.host("web1", 11)
    assert web.call(host.default_gateways) == []
    web.run("ip", "route", "add", "default", "via", "192.0.2.254")
    web.run("ip", "route", "add", "198.51.100.0/24", "via", "192.0.2.253")
    web.run("ip", "-6", "route", "add", "default", "via", "2001:db8:1::254")
    web.run("ip", "-6", "route", "add", "2001:db8:2::/64", "via", "2001:db8:1::253")
    assert web.call(host.default_gateways) == ["192.0.2.254", "2001:db8:1::254"]


@pytest.mark.root
def test_the_host_is_protected_and_its_neighbours_are_not(network: Network) -> None:
    """Every entry is a single address with its reason: an attacker in the same network can be blocked."""
    web = network.host("web1", 11)
    web.run("ip", "route", "add", "default", "via", "192.0.2.254")
    protected = web.call(lambda: _protected("amqp://thwart:secret@192.0.2.50:5672/"))
    for target, reason in {
        "127.0.0.1": "loopback",
        "::1": "loopback",
        "192.0.2.11": "this host's own address",
        "2001:db8:1::11": "this host's own address",
        "192.0.2.254": "a default gateway",
        "192.0.2.50": "the broker",
    }.items():
        with pytest.raises(ProtectedTarget, match=reason):
            protected.check(target)
    for neighbour in ("192.0.2.12", "192.0.2.253", "2001:db8:1::12", "127.0.0.2"):
        protected.check(neighbour)


def test_resolvers_are_read_with_zones_comments_and_rubbish(tmp_path: Path) -> None:
    """What is no address is skipped, each address is there once, and a missing file is none."""
    path = tmp_path / "resolv.conf"
    path.write_text(
        "# nameserver 192.0.2.1\n; a comment\nsearch example.com\nnameserver 192.0.2.53\nnameserver\n"
        "nameserver fe80::53%eth0\nnameserver not-an-address\n  nameserver\t2001:db8::53 # ours\n"
        "nameserver 192.0.2.53\n"
    )
    assert host.resolvers([path, tmp_path / "absent"]) == ["192.0.2.53", "fe80::53", "2001:db8::53"]


def test_broker_names_are_looked_up_once_each() -> None:
    """Every address of every name, from URLs with and without a port."""
    asked: list[str] = []

    def resolve(name: str) -> list[str]:
        asked.append(name)
        return NAMED[name]

    broker = host.BrokerAddresses(["amqps://u:p@broker.example/", "amqp://broker.example:5673/%2f"], resolve)
    assert broker.known() == []
    broker.look_up()
    assert broker.known() == NAMED["broker.example"]
    assert asked == ["broker.example"]


def test_a_broker_whose_name_stops_resolving_stays_protected() -> None:
    """A resolver that is away must not open the way to blocking the broker."""
    answers = iter([NAMED["broker.example"], OSError("no resolver"), ["192.0.2.51"]])

    def resolve(_: str) -> list[str]:
        answer = next(answers)
        if isinstance(answer, OSError):
            raise answer
        return answer

    broker = host.BrokerAddresses(["amqp://broker.example/"], resolve)
    for expected in (NAMED["broker.example"], NAMED["broker.example"], ["192.0.2.51"]):
        broker.look_up()
        assert broker.known() == expected


@pytest.mark.parametrize(
    "url", ["amqp://", "amqp:///", "amqp://[::1", "nonsense", f"amqp://{'x' * 300}/", "amqp://a..b/"]
)
def test_a_broker_that_cannot_be_found_is_skipped(url: str) -> None:
    """Nothing raises, and the rest of the allowlist is there."""
    reasons = {because for _, because in _protected(url)}
    assert "loopback" in reasons
    assert "the broker" not in reasons


def test_a_broker_is_protected_by_the_name_it_is_reached_by() -> None:
    """`localhost` needs no network to resolve."""
    assert "the broker" in {because for _, because in _protected("amqp://localhost/")}


def test_a_boot_has_an_id_and_the_host_a_name() -> None:
    """The id stays the same while the host is up."""
    assert host.boot_id() == host.boot_id()
    assert len(host.boot_id()) == 36
    assert host.hostname()


def _protected(url: str) -> Allowlist:
    broker = host.BrokerAddresses([url])
    broker.look_up()
    return host.protected(broker.known())
