"""The units under a real systemd: they come up, may do what they need and no more, and a block outlives them."""

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from shared.errors import ThwartError
from tests.stage.fleet import OSSEC_CONF, RULES
from tests.stage.guard import Guard
from tests.stage.installed import AGENT, MANAGER, UNITS, Installed
from tests.stage.network import Network
from tests.stage.private_broker import PrivateBroker
from tests.stage.rights import NET_ADMIN
from tests.waiting import wait_for

pytestmark = [pytest.mark.root, pytest.mark.broker, pytest.mark.timeout(600)]  # the first run makes the Debian
UP = 60.0  # s for what may take a few on an idle machine
PAUSE = 0.2  # s between two looks, each of which starts a program or two
LOG = "/var/log/auth.log"
SOON = "[Service]\nWatchdogSec=5\nTimeoutAbortSec=1\n"
TRIAL = """[Service]
Type=oneshot
Restart=no
WatchdogSec=0
ExecStart=
ExecStart=/usr/bin/thwart-agent action test {}
"""
REFUSED = {
    "disable-account": "usermod: /etc can't be written: it is read-only",
    "host-deny": "hosts.deny: /etc can't be written: it is read-only",
    "ip-customblock": "files: /var/lib/thwart: no folder that can be written to",
}
# of drop-ins: the settings of [actions] with which they are wanted, and what is tried
WITH_DROP_IN = {
    "iptables, ipset": ({"firewall": "ipset"}, "firewall-drop 203.0.113.99"),
    "iptables": ({"firewall": "iptables"}, "firewall-drop 203.0.113.99"),
    "host-deny": ({}, "host-deny 203.0.113.99"),
    "disable-account": ({}, "disable-account alice"),
    "ip-customblock": ({}, "ip-customblock 203.0.113.99"),
    "scripts": ({}, "deny-file.sh 203.0.113.99 --argument /var/lib/thwart/denied"),
}


Trial = Callable[..., str]


class Site:
    """A broker on a host of its own, and a machine that isn't up yet in its network."""

    def __init__(self, guard: Guard, folder: Path) -> None:
        network = Network(guard)
        at, web = network.host("manager1", 2), network.host("web1", 11)
        self.broker = PrivateBroker(
            folder / "broker", address=at.address, port=5672, inside=at.inside, connect=lambda to, s: at.connect(to, s)
        )
        broker = {"urls": [self.broker.url]}
        self.agent = {
            "broker": broker,
            "agent": {"id": "web1", "logs": [{"path": LOG}, {"journal": True}]},
        }
        manager = {"broker": broker, "manager": {"rules": ["/etc/thwart/rules"]}}
        self.web1 = Installed(guard, web, folder / "web1", {"agent": self.agent, "manager": manager})
        self.web1.write("/etc/thwart/ossec.conf", OSSEC_CONF.read_text())
        self.web1.write("/etc/thwart/rules/local_rules.xml", RULES.read_text())
        self.web1.write("/etc/thwart/scripts/deny-file.sh", "")
        self.web1.machine.run("cp", "/opt/thwart/deploy/scripts/deny-file.sh", "/etc/thwart/scripts/")
        self.web1.machine.run("chmod", "755", "/etc/thwart/scripts/deny-file.sh")
        self.web1.machine.run("install", "-m", "640", "-o", "nobody", "-g", "adm", "/dev/null", LOG)
        self.web1.machine.run("useradd", "--create-home", "alice")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with Guard() as guard:
        try:
            one = Site(guard, tmp_path_factory.mktemp("units"))
        except ThwartError as error:
            (pytest.fail if os.environ.get("CI") else pytest.skip)(str(error))
        yield one
        one.broker.close()


@pytest.fixture
def web1(site: Site) -> Iterator[Installed]:
    """Both daemons are up, and an agent is known to the manager. Its drop-ins end with the test."""
    site.broker.start()
    site.web1.systemctl("enable", "--now", AGENT, MANAGER)
    wait_for(lambda: _living(site.web1), UP, PAUSE)
    yield site.web1
    site.web1.configure("agent", site.agent)
    _without_drop_ins(site.web1)


@pytest.fixture
def trial(site: Site) -> Iterator[Trial]:
    """What `thwart-agent action test WORDS` says in the agent's unit, by settings of [actions] and with drop-ins."""
    web1 = site.web1
    web1.systemctl("stop", AGENT)
    _choose_iptables(web1, "legacy")

    def run(actions: dict[str, str], words: str, *drop_ins: str) -> str:
        web1.configure("agent", {**site.agent, "actions": actions})
        web1.drop_in("trial", TRIAL.format(words))
        for each in drop_ins:
            web1.drop_in(each, (UNITS / "drop-ins" / f"{each}.conf").read_text())
        with suppress(ThwartError):  # its words tell more than systemctl's
            web1.systemctl("start", AGENT)
        run_id = web1.machine.shows(AGENT, "InvocationID")[0]
        return web1.machine.run("journalctl", "--no-pager", "--output=cat", f"_SYSTEMD_INVOCATION_ID={run_id}")

    yield run
    web1.configure("agent", site.agent)
    _without_drop_ins(web1)
    # an agent that may not speak with these any more says that it can't look after what it finds there
    for command in ("iptables", "ip6tables"):
        web1.machine.run(command, "--flush")
        web1.machine.run(command, "--delete-chain")
    web1.machine.run("ipset", "destroy")
    _choose_iptables(web1, "nft")


def test_both_come_up_and_say_how_they_are(web1: Installed) -> None:
    """`systemctl start` returns when they are of use, and `status` has a sentence."""
    for unit, says in ((AGENT, "takes orders as web1"), (MANAGER, "1 of 1 agents living")):
        shown = web1.machine.shows(unit, "Type", "ActiveState", "SubState", "WatchdogUSec", "NRestarts")
        assert shown == ["notify", "active", "running", "30s", "0"]
        wait_for(lambda unit=unit, says=says: says in web1.machine.shows(unit, "StatusText")[0], UP, PAUSE)
    assert web1.machine.run("systemctl", "is-system-running") == "running\n"


def test_they_have_the_rights_that_they_need_and_no_more(web1: Installed) -> None:
    """The agent has CAP_NET_ADMIN alone, the manager nothing at all, and neither can get more."""
    agent, manager = web1.status(AGENT), web1.status(MANAGER)
    for name in ("CapPrm", "CapEff", "CapBnd"):
        assert int(agent[name], 16) == NET_ADMIN
        assert int(manager[name], 16) == 0
    for each in (agent, manager):
        assert int(each["CapInh"], 16) == int(each["CapAmb"], 16) == 0
        assert each["NoNewPrivs"] == "1"
        assert each["Seccomp"] == "2"
    assert set(agent["Uid"].split()) == {"0"}
    user = web1.machine.run("id", "--user", "thwart-manager").strip()
    assert set(manager["Uid"].split()) == {user} != {"0"}
    groups = {web1.machine.run("getent", "group", name).split(":")[2] for name in ("adm", "systemd-journal")}
    assert set(agent["Groups"].split()) == groups
    modes = web1.machine.run("stat", "--format=%U %a", "/var/lib/thwart/agent", "/var/lib/thwart/manager")
    assert modes.splitlines() == ["root 700", "thwart-manager 700"]


def test_what_needs_more_is_refused_with_a_reason(web1: Installed) -> None:
    """An agent with no drop-in announces what it can carry out, and tells the manager why not the rest."""
    (agent,) = web1.thwart("agents")
    assert agent["actions"] == {"firewall-drop": "nftables", "route-null": "ip route", "restart-wazuh": "systemd"} | {
        "deny-file.sh": "script"
    }
    assert {name: agent["unsupported"][name] for name in REFUSED} == REFUSED


def test_a_block_outlives_restart_hang_and_stop_of_the_agent(web1: Installed) -> None:
    """It is in the kernel after an order, and the very same one all the way; who hangs is started anew."""
    web1.drop_in("soon", SOON)
    web1.systemctl("restart", AGENT)
    wait_for(lambda: _takes_orders(web1), UP, PAUSE)
    began, heard = web1.main_pid(AGENT), _heard(web1)  # the start is taken for a sign of life
    wait_for(lambda: _heard(web1) > heard, UP, PAUSE)
    assert web1.main_pid(AGENT) == began
    web1.machine.run("thwart", "block", "203.0.113.9", "--all", "--for", "1h")
    wait_for(lambda: "203.0.113.9" in web1.blocked, UP, PAUSE)
    web1.systemctl("restart", AGENT)
    assert web1.main_pid(AGENT) != began
    assert "203.0.113.9" in web1.blocked
    assert "203.0.113.9" in web1.machine.run("thwart-agent", "effects")

    hangs = web1.main_pid(AGENT)
    web1.machine.run("kill", "-STOP", str(hangs))
    wait_for(lambda: web1.main_pid(AGENT) not in (hangs, 0), UP, PAUSE)
    wait_for(lambda: _takes_orders(web1), UP, PAUSE)
    assert web1.machine.shows(AGENT, "NRestarts") == ["1"]
    assert "Watchdog timeout" in web1.logged(AGENT)
    assert "203.0.113.9" in web1.blocked

    web1.systemctl("stop", AGENT)
    assert web1.machine.shows(AGENT, "ActiveState", "Result") == ["inactive", "success"]
    assert "203.0.113.9" in web1.blocked


@pytest.mark.parametrize("where", ["file", "journal"])
def test_an_attack_in_a_log_of_the_host_is_blocked(web1: Installed, where: str) -> None:
    """The agent reads what belongs to another user and its group alone, and the journal."""
    attacker = {"file": "203.0.113.66", "journal": "203.0.113.67"}[where]
    lines = [f"Invalid user u{number} from {attacker} port 4{number}" for number in range(6)]
    if where == "file":
        when = time.strftime("%b %d %H:%M:%S")
        text = "".join(f"{when} web1 sshd[7]: {line}\n" for line in lines)
        web1.machine.run("setpriv", "--regid=adm", "--clear-groups", "tee", "--append", LOG, text=text)
    else:
        web1.machine.run("systemd-cat", "--identifier=sshd", text="\n".join(lines) + "\n")
    wait_for(lambda: attacker in web1.blocked, UP, PAUSE)


def test_the_agent_restarts_itself_on_order(web1: Installed) -> None:
    """`restart-wazuh` where no Wazuh is: the unit's next process answers for it."""
    before = web1.machine.shows(AGENT, "InvocationID")
    web1.machine.run("thwart", "order", "restart-wazuh", "--agent", "web1", within=UP)
    wait_for(lambda: web1.machine.shows(AGENT, "InvocationID") not in (before, [""]), UP, PAUSE)
    wait_for(lambda: [each["state"] for each in _orders(web1, "restart-wazuh")] == ["applied"], UP, PAUSE)


def test_a_reload_of_the_manager_reads_its_rules_anew(web1: Installed) -> None:
    """`systemctl reload` reaches the running process, which takes over what is in the files."""
    pid = web1.main_pid(MANAGER)
    web1.write("/etc/thwart/rules/local_rules.xml", RULES.read_text().replace("that do not exist", "that nobody knows"))
    web1.systemctl("reload", MANAGER)
    wait_for(lambda: "that nobody knows" in web1.machine.run("thwart", "rules", "show", "5712"), UP, PAUSE)
    assert web1.main_pid(MANAGER) == pid


@pytest.mark.parametrize("case", WITH_DROP_IN)
def test_a_drop_in_brings_what_its_action_needs(trial: Trial, case: str) -> None:
    """What fails in the unit as it is works with the drop-in that is for it, under all the other limits."""
    actions, words = WITH_DROP_IN[case]
    name = case.partition(",")[0]
    assert "it works here" not in trial(actions, words)
    assert "it works here" in trial(actions, words, name)


def test_iptables_nft_needs_no_drop_in(site: Site, trial: Trial) -> None:
    """A host whose `iptables` is that of nftables blocks by it in the unit as it is."""
    _choose_iptables(site.web1, "nft")
    assert "it works here" in trial({"firewall": "iptables"}, "firewall-drop 203.0.113.99")


def test_sessions_are_ended_with_the_drop_ins_for_it(site: Site, web1: Installed) -> None:
    """Closing an account also ends what runs for it, which an agent without CAP_KILL could not even see."""
    web1.machine.run("systemd-run", "--uid=alice", "--unit=hers", "sleep", "infinity")
    web1.configure("agent", {**site.agent, "actions": {"end_sessions": True}})
    for name in ("disable-account", "end-sessions"):
        web1.drop_in(name, (UNITS / "drop-ins" / f"{name}.conf").read_text())
    web1.systemctl("restart", AGENT)
    wait_for(lambda: "disable-account" in web1.thwart("agents")[0]["actions"], UP, PAUSE)
    web1.machine.run("thwart", "order", "disable-account", "alice", "--agent", "web1", "--for", "1h")
    wait_for(lambda: web1.machine.shows("hers", "ActiveState") != ["active"], UP, PAUSE)
    assert "sessions go on" not in web1.logged(AGENT)
    web1.machine.run("thwart", "unblock", "alice")


def test_verify_has_nothing_to_say(site: Site) -> None:
    """`systemd-analyze verify` of both units, with each drop-in, is silent."""
    for path in sorted((UNITS / "drop-ins").glob("*.conf")):
        site.web1.drop_in(path.stem, path.read_text())
    try:
        command = [*site.web1.machine.inside, "systemd-analyze", "verify", AGENT, MANAGER]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=UP)
    finally:
        _without_drop_ins(site.web1)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def _living(web1: Installed) -> bool:
    try:
        return [agent["state"] for agent in web1.thwart("agents")] == ["living"] and _takes_orders(web1)
    except ThwartError:  # the API is a moment behind
        return False


def _choose_iptables(web1: Installed, kind: str) -> None:
    for each in ("iptables", "ip6tables"):
        web1.machine.run("update-alternatives", "--set", each, f"/usr/sbin/{each}-{kind}")


def _orders(web1: Installed, action: str) -> list[dict[str, Any]]:
    return [order for order in web1.thwart("orders") if order["action"] == action]


def _takes_orders(web1: Installed) -> bool:
    return web1.machine.shows(AGENT, "StatusText") == ["takes orders as web1"]


def _heard(web1: Installed) -> int:
    """When the agent's watchdog last heard of it, in microseconds."""
    return int(web1.machine.shows(AGENT, "WatchdogTimestampMonotonic")[0])


def _without_drop_ins(web1: Installed) -> None:
    web1.machine.run("rm", "-rf", f"/etc/systemd/system/{AGENT}.d")
    web1.systemctl("daemon-reload")
    web1.systemctl("reset-failed")
    web1.systemctl("stop", AGENT)
