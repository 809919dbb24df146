"""The package that `scripts/deb` makes, on a clean Debian that runs: installed, upgraded at work, removed, purged."""

import fcntl
import json
import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from shared.errors import ThwartError
from shared.messages import Expiry
from tests.stage import debian, kernel
from tests.stage.booted import PACKAGES, Booted
from tests.stage.guard import Guard
from tests.stage.installed import TOOLS
from tests.stage.judge import Judge
from tests.stage.kernel import KernelWatch
from tests.stage.network import Host, Network
from tests.stage.private_broker import PrivateBroker
from tests.waiting import wait_for

PROJECT = Path(__file__).parents[2]
SHOWN = "/packages"
UNITS = ("thwart-agent", "thwart-manager")
ATTACKER = "203.0.113.66"
SOON = 60.0  # s, on a machine that is busy with something else
SAID = "# the next version says more\n"
# What any package may write to; and dpkg takes away a folder that it made and finds empty.
ANYBODYS = ("/var/log/", "/var/cache/", "/var/lib/dpkg/", "/var/lib/systemd/", "/etc/.pwd.lock")
# In which iptables, ipset and `ip` show what the agent has made.
FRAMES = ("iptables -S", "ip6tables -S", "ipset list -name", "ip -4 rule", "ip -6 rule")
DPKG = ("env", "DEBIAN_FRONTEND=noninteractive", "dpkg", "--force-confold")

pytestmark = [pytest.mark.root, pytest.mark.broker, pytest.mark.timeout(900)]


@pytest.fixture(scope="session")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """By suite the folder with `now.deb`, which is built once for all who test at the same time, and `next.deb`."""
    mine = tmp_path_factory.getbasetemp()
    shared = (mine.parent if "PYTEST_XDIST_WORKER" in os.environ else mine) / "packages"
    shared.mkdir(exist_ok=True)

    def built(suite: str) -> Path:
        with (shared / f"{suite}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not (shared / suite / "next.deb").exists():
                _build(suite, shared / suite)
        return shared / suite

    return built


@pytest.fixture
def host(network: Network) -> Host:
    """Where the machine is on the network."""
    return network.host("web1", 11)


@pytest.fixture(params=["bookworm", "trixie"])
def machine(
    request: pytest.FixtureRequest, packages: Callable[[str], Path], guard: Guard, host: Host, tmp_path: Path
) -> Booted:
    """A Debian that has what the package depends on, and nothing else of ours."""
    shown = {packages(request.param): SHOWN}
    return Booted(guard, debian.kept(request.param, *PACKAGES), tmp_path / "machine", network=host.path, shown=shown)


@pytest.fixture
def other_machine(packages: Callable[[str], Path], guard: Guard, host: Host, tmp_path: Path) -> Booted:
    """One that also has what else can block."""
    shown = {packages("bookworm"): SHOWN}
    return Booted(guard, debian.kept("bookworm", *TOOLS), tmp_path / "machine", network=host.path, shown=shown)


@pytest.fixture
def its_broker(host: Host, tmp_path: Path) -> Iterator[PrivateBroker]:
    """RabbitMQ, where the machine is; not started."""
    node = PrivateBroker(tmp_path / "broker", address=host.address, inside=host.inside, connect=host.connect)
    with closing(node):
        yield node


@pytest.fixture
def at_work(machine: Booted, host: Host, its_broker: PrivateBroker) -> Booted:
    """It is installed, both daemons run as one starts them, and one address is blocked."""
    install(machine, "now")
    its_broker.start()
    for name, lines in {"agent": 'id = "web1"\n', "manager": ""}.items():
        settings = f'[broker]\nurls = ["{its_broker.url}"]\n[{name}]\n{lines}'
        machine.file(f"/etc/thwart/{name}.toml").write_text(settings)
    machine.run("systemctl", "enable", "--now", *UNITS)
    wait_for(lambda: _agent(machine).get("state") == "living", SOON)
    machine.run("thwart", "block", ATTACKER, "--for", "1h")
    wait_for(lambda: kernel.in_force(host) == {ATTACKER}, SOON)
    return machine


def test_it_comes_and_goes_without_a_trace(machine: Booted) -> None:
    """Installed, the commands answer and nothing runs unasked; purged, no file and no account is left."""
    before = everything(machine)
    install(machine, "now")
    assert all(machine.shows(unit, "ActiveState", "UnitFileState") == ["inactive", "disabled"] for unit in UNITS)
    assert "in order" in machine.run("thwart-agent", "run", "-t")
    assert "0 errors, 0 warnings" in machine.run("thwart", "manager", "-t")
    assert not machine.run("dpkg", "--verify", "thwart")
    machine.run(*DPKG, "--purge", "thwart")
    assert everything(machine) <= before


def test_secrets_in_settings_are_for_whoever_needs_them(machine: Booted) -> None:
    """A broker's password can be written into the settings that are there, and no other user of the host reads it."""
    install(machine, "now")
    modes = machine.run("stat", "--format=%a %U %G", "/etc/thwart/agent.toml", "/etc/thwart/manager.toml")
    assert modes.splitlines() == ["600 root root", "640 root thwart-manager"]


def test_an_upgrade_takes_over_what_is_in_force(at_work: Booted, host: Host, guard: Guard) -> None:
    """The next version runs, by settings that nobody touched, and the kernel had the block all the while."""
    watch, pids = KernelWatch(guard, host), main_pids(at_work)
    settings = at_work.file("/etc/thwart/agent.toml").read_text()
    install(at_work, "next")
    wait_for(lambda: _agent(at_work).get("version") == "0.1.1", SOON)
    wait_for(lambda: _is_ready(at_work), SOON)
    assert not set(main_pids(at_work)) & {*pids, "0"}
    assert at_work.file("/etc/thwart/agent.toml").read_text() == settings
    assert at_work.file("/etc/thwart/agent.toml.dpkg-dist").read_text().endswith(SAID)
    assert ATTACKER in at_work.run("thwart-agent", "effects")
    assert watch.alive and kernel.in_force(host) == {ATTACKER}
    assert not [each for each in watch.changes if each.left == 0]


def test_a_removal_leaves_nobody_blocked(at_work: Booted, host: Host, its_broker: PrivateBroker) -> None:
    """Who removes it gets the firewall back as it was, and the managers are told; settings and ledger go by a purge."""
    with closing(Judge(its_broker.url, host.path)) as judge:
        at_work.run(*DPKG, "--remove", "thwart")
        assert "thwart" not in at_work.run("nft", "list", "tables")
        told = judge.wait(lambda: judge.heard(Expiry), 1, SOON)
    assert [(each.target, each.cause, each.outcome) for each in told] == [(ATTACKER, "lifted", "reverted")]
    assert at_work.file("/etc/thwart/agent.toml").exists()
    assert at_work.file("/var/lib/thwart/manager/ledger.db").exists()
    at_work.run(*DPKG, "--purge", "thwart")
    assert not [each for each in everything(at_work) if "thwart" in each]


def test_a_removal_takes_away_what_blocks_were_in(other_machine: Booted) -> None:
    """Chains, sets and rules go with the agent that made them, also one that has its state folder elsewhere."""
    before = frames(other_machine)
    install(other_machine, "now")
    settings = '[agent]\nstate_dir = "/srv/thwart"\n[actions]\nfirewall = "ipset"\n'
    other_machine.file("/etc/thwart/agent.toml").write_text(settings)
    for action in ("firewall-drop", "route-null"):
        assert "it works here" in other_machine.run("thwart-agent", "action", "test", action, ATTACKER)
    assert "thwart-set" in frames(other_machine)
    other_machine.run(*DPKG, "--remove", "thwart")
    assert frames(other_machine) == before


def test_what_somebody_broke_keeps_no_package(other_machine: Booted) -> None:
    """A file in its folder that no Python reads keeps nobody from an upgrade, nor a lost folder from a removal."""
    install(other_machine, "now")
    other_machine.file("/opt/thwart/lib/python3.11/site-packages/theirs.py").write_text("of another Python\n")
    install(other_machine, "next")
    assert other_machine.run("thwart-agent", "--version").strip().endswith("0.1.1")
    other_machine.run("rm", "-r", "/opt/thwart")
    other_machine.run(*DPKG, "--purge", "thwart")
    assert not [each for each in everything(other_machine) if "thwart" in each]


def install(machine: Booted, version: str) -> None:
    """As one does without a network; a newer one is an upgrade."""
    machine.run(*DPKG, "--install", f"{SHOWN}/{version}.deb", within=300)


def everything(machine: Booted) -> set[str]:
    """Each file of the machine, by its path, and each account, by its line."""
    files = machine.run("find", "/", "-xdev").splitlines()
    accounts = machine.run("cat", "/etc/passwd", "/etc/group", "/etc/shadow", "/etc/gshadow").splitlines()
    own = {file for file in files if not file.startswith(ANYBODYS) and not file.endswith("-")}
    return own | set(accounts)


def frames(machine: Booted) -> str:
    """What blocks are in, apart from nftables' table."""
    return "".join(machine.run(*each.split()) for each in FRAMES)


def main_pids(machine: Booted) -> list[str]:
    """Of both daemons."""
    return [machine.shows(unit, "MainPID")[0] for unit in UNITS]


def _agent(machine: Booted) -> dict[str, Any]:
    """What the manager knows of the agent; nothing before it can be asked."""
    try:
        agents = json.loads(machine.run("thwart", "agents", "list", "-o", "json"))
    except ThwartError:
        return {}
    return next(iter(agents), {})


def _is_ready(machine: Booted) -> bool:
    """The manager, which may have heard of the agent before it can give orders."""
    try:
        return bool(machine.run("thwart", "health"))
    except ThwartError:
        return False


def _build(suite: str, folder: Path) -> None:
    done = subprocess.run(
        [str(PROJECT / "scripts" / "deb"), "--to", str(folder), suite],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert not done.returncode, done.stderr[-4_000:]
    now = Path(done.stdout.strip())
    _write_next(now, folder)
    now.rename(folder / "now.deb")


def _write_next(now: Path, folder: Path) -> None:
    """The same, as version 0.1.1, with other settings to begin with."""
    parts = folder / "parts"
    subprocess.run(["dpkg-deb", "--raw-extract", now, parts], check=True, timeout=120)
    for file in (parts / "DEBIAN" / "control", *parts.glob("opt/thwart/lib/*/*/thwart-*.dist-info/METADATA")):
        file.write_text(file.read_text().replace("\nVersion: 0.1.0", "\nVersion: 0.1.1", 1))
    for file in (parts / "etc" / "thwart").iterdir():
        file.write_text(file.read_text() + SAID)
    pack = ["dpkg-deb", "--root-owner-group", "-Znone", "--build", parts, folder / "next.deb"]
    subprocess.run(pack, check=True, timeout=120, stdout=subprocess.DEVNULL)
