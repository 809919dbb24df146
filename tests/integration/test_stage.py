"""What the stage promises to the tests that stand on it: real hosts, a real sshd, and nothing left behind."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.stage.attacker import Attack
from tests.stage.guard import NETNS, Guard
from tests.stage.kernel import KernelWatch
from tests.stage.network import Network
from tests.stage.probe import Listener, dropped, side_by_side
from tests.stage.sshd import Sshd
from tests.waiting import wait_for

pytestmark = pytest.mark.root

BLOCK = """
table inet thwart {
    set hosts { type ipv4_addr; flags timeout; }
    chain input { type filter hook input priority -10; ip saddr @hosts counter drop; }
}
add element inet thwart hosts { 203.0.113.7 timeout 1h }
"""
SETS = """
add table inet thwart
add set inet thwart hosts4 { type ipv4_addr; flags timeout; }
add set inet thwart nets4_24 { type ipv4_addr; flags timeout; }
"""
AWAY = """
add element inet thwart hosts4 { 203.0.113.7 }
delete element inet thwart hosts4 { 203.0.113.7 }
"""
BOTH = """
add element inet thwart hosts4 { 203.0.113.7 }
add element inet thwart nets4_24 { 198.51.100.0 timeout 500ms }
"""
UPSERTS = (
    f"{SETS}{AWAY}add element inet thwart hosts4 {{ 203.0.113.7 timeout 1h }}",
    f"{AWAY}{BOTH}",
    "flush ruleset",
)
OWNER = """
import signal
from tests.stage.guard import Guard
from tests.stage.network import Network

host = Network(Guard()).host("web1", 11)
print(host.namespace, flush=True)
signal.alarm(60)  # at the latest
signal.pause()
"""


def test_a_failed_login_is_in_the_hosts_log_with_microseconds(guard: Guard, network: Network, tmp_path: Path) -> None:
    """A real ssh client's wrong password becomes a line in the host's own log."""
    web, attacker = network.host("web1", 11), network.attacker("attacker", [7])
    sshd = Sshd(guard, web, tmp_path / "sshd")
    attack = Attack(attacker, "203.0.113.7", web.address, ["oracle"])
    assert attack.until(lambda: "Failed password for invalid user oracle from 203.0.113.7" in sshd.log.read_text(), 20)
    line = next(line for line in sshd.log.read_text().splitlines() if "Failed password" in line)
    instant, host, _ = line.split(" ", 2)
    assert host == "web1"
    assert len(instant.partition(".")[2]) == len("123456+00:00"), instant


def test_a_watch_tells_what_each_transaction_came_to(guard: Guard, network: Network) -> None:
    """What is taken out and put in again at once was never gone; a network has its length, and a flush takes all."""
    web = network.host("web1", 11)
    watch = KernelWatch(guard, web)
    for commands in UPSERTS:
        web.run("nft", "-f", "-", text=commands)
    wait_for(lambda: len(watch.changes) == 5)
    assert [(each.set, each.member) for each in watch.changes] == [
        ("hosts4", "203.0.113.7"),
        ("hosts4", "203.0.113.7"),
        ("nets4_24", "198.51.100.0/24"),
        ("hosts4", ""),
        ("nets4_24", ""),
    ]
    left = [each.left for each in watch.changes if each.left is not None]  # as it was when the kernel told it
    assert left == pytest.approx([3600.0, 0.5, 0.0, 0.0], abs=0.1)
    assert watch.changes[1].left is None


def test_a_cut_host_is_reached_by_nobody_and_not_told(network: Network) -> None:
    """Its packets vanish until the cut is mended, and a connection to it waits instead of being refused."""
    web, other = network.host("web1", 11), network.host("web2", 12)
    pairs = [(other.address, Listener(web))]
    assert side_by_side(other, pairs) == [True]
    network.cut(web)
    assert side_by_side(other, pairs, within=0.3) == [False]
    network.mend(web)
    assert side_by_side(other, pairs) == [True]
    pairs[0][1].close()


def test_a_probe_tells_a_blocked_address_from_another(network: Network) -> None:
    """A block in a host's kernel stops its target and nobody else, and the drop counter says so."""
    web, attacker = network.host("web1", 11), network.attacker("attacker", [7, 8])
    listener = Listener(web)
    pairs = [("203.0.113.7", listener), ("203.0.113.8", listener), ("2001:db8:bad::7", listener)]
    assert side_by_side(attacker, pairs) == [True, True, True]
    web.run("nft", "-f", "-", text=BLOCK)
    assert dropped(web) == 0
    assert side_by_side(attacker, pairs, within=0.5) == [False, True, True]
    assert dropped(web) > 0
    listener.close()


def test_a_killed_run_leaves_no_namespace() -> None:
    """SIGKILL of the process that made the network removes its namespaces."""
    owner = subprocess.Popen([sys.executable, "-c", OWNER], stdout=subprocess.PIPE, text=True)
    assert owner.stdout is not None
    namespace = NETNS / owner.stdout.readline().strip()
    assert namespace.exists()
    owner.send_signal(signal.SIGKILL)
    owner.wait()
    owner.stdout.close()
    run = namespace.name.rpartition("-")[0]
    wait_for(lambda: not [name for name in os.listdir(NETNS) if name.startswith(run)], within=10)


def test_leftovers_of_the_dead_are_removed_and_of_the_living_kept(guard: Guard, network: Network) -> None:
    """A network removes what a dead run left, and never what a living one uses."""
    mine = network.host("web1", 11).namespace
    run = mine.rpartition("-")[0]
    pids, pid, began, _ = run.removeprefix("thwart-").split(".")
    dead = f"thwart-{pids}.{pid}.{int(began) - 1}.0-web1"  # the same pid, but a process that began earlier
    subprocess.run(["ip", "netns", "add", dead], check=True)
    Network(guard)
    assert not (NETNS / dead).exists()
    assert (NETNS / mine).exists()
