"""restart-wazuh: services that are real processes, started by real init scripts, a real systemd, and simulated BSDs."""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Protocol

import pytest

from agent.actions.action import Call, Result
from agent.actions.restart_wazuh.restart import RestartWazuh
from agent.actions.restart_wazuh.services import WAYS
from agent.actions.tools import tool
from agent.actions.tools.process import Limits
from agent.actions.tools.tool import Tools
from shared.errors import ActionError, InvalidTarget
from tests.stage.guard import Guard
from tests.stage.simulators import rc
from tests.stage.simulators.host import KEPT_IN, load, save
from tests.stage.simulators.install import install
from tests.stage.systemd import Systemd
from tests.unit.a_script_host import ScriptHost
from tests.waiting import wait_for

SERVICE = "wazuh-agent"
SETTLE = 0.02  # s
CALLS = [Call(key=f"o{number}", target="") for number in range(3)]
INIT = """#!/bin/sh
# A daemon as many a script starts one: in its own process group.
pid=$(cat {pid} 2>/dev/null)
case $1 in
  restart) [ -e {folder}/refuses ] && {{ echo 'no start today' >&2; exit 6; }}
    [ -n "$pid" ] && kill $pid
    [ -e {folder}/broken ] && {{ echo 999999 > {pid}; exit 0; }}
    echo once >> {folder}/restarts
    /bin/sleep 300 > /dev/null 2>&1 & echo $! > {pid} ;;
  status) kill -0 $pid 2>/dev/null || {{ echo "$0 is not running"; exit 3; }}; echo "$0 is running as pid $pid" ;;
  *) exit 2 ;;
esac
"""
WAITS = "for each in $(seq 1000); do [ ! -e {folder}/go ] || break; sleep 0.01; done;"
CHECK = """#!/bin/sh
[ "$*" = -t ] || exit 2
[ -e {folder}/wrong ] || exit 0
echo '(1226): Error reading XML' >&2; exit 1
"""
LOOK = """import os, sys
open({folder!r} + '/checked', 'w').write(f'{{sys.argv[1:]}} {{sorted(os.environ)}}')
sys.exit('agent.id: too long' if os.path.exists({folder!r} + '/wrong') else 0)
"""


class Host(Protocol):
    """One whose `SERVICE` can be restarted, and looked at."""

    action: RestartWazuh
    root: Path

    def process(self) -> str: ...

    def spoil(self) -> None: ...


def _root(folder: Path) -> Path:
    root = folder / "root"
    for each in ("etc/init.d", "etc/rc.d", "var/ossec/bin"):
        (root / each).mkdir(parents=True)
    checker = root / "var/ossec/bin/wazuh-agentd"
    checker.write_text(CHECK.format(folder=folder))
    checker.chmod(0o755)
    return root


class ByInit:
    """A Linux without systemd."""

    def __init__(self, folder: Path, system: str = "Linux", where: str = "etc/init.d") -> None:
        self.folder, self.root, self.pid = folder, _root(folder), folder / "pid"
        self.script = self.root / where / SERVICE
        self.script.write_text(INIT.format(folder=folder, pid=self.pid))
        self.script.chmod(0o755)
        self.action = RestartWazuh(root=self.root, system=system, tools=Tools(limit=10.0), settle=SETTLE)

    def changed(self, one: str, other: str) -> None:
        """Its script has `other` for `one`."""
        self.script.write_text(self.script.read_text().replace(one, other))

    def process(self) -> str:
        return self.pid.read_text().strip() if self.pid.exists() else ""

    def spoil(self) -> None:
        (self.folder / "broken").touch()

    def close(self) -> None:
        if self.process():
            with suppress(ProcessLookupError):
                os.kill(int(self.process()), signal.SIGKILL)


class BySystemd:
    """The real one."""

    def __init__(self, guard: Guard, folder: Path) -> None:
        self.folder, self.root = folder, _root(folder)
        unit = f"[Service]\nExecStartPre=/bin/sh -c '[ ! -e {folder}/broken ]'\nExecStart=/bin/sleep 300\n"
        self._systemd = Systemd(guard, folder, {SERVICE: unit})
        self._systemctl = tool.Tool("systemctl", self._systemd.tools)
        (self.root / "run/systemd/system").mkdir(parents=True)
        (self.root / f"run/systemd/system/{SERVICE}.service").touch()
        self.action = RestartWazuh(root=self.root, system="Linux", tools=self._systemd.tools, settle=SETTLE)

    def process(self) -> str:
        pid = self._systemctl.run("show", "--property=MainPID", "--value", SERVICE).strip()
        return "" if pid == "0" else pid

    def spoil(self) -> None:
        (self.folder / "broken").touch()

    def close(self) -> None:
        self._systemd.close()


class Simulated:
    """A BSD."""

    def __init__(self, folder: Path, system: str, program: str, name: str, where: str) -> None:
        self.folder, self.root, self.name = folder, _root(folder), name
        (self.root / where).mkdir(parents=True, exist_ok=True)
        (self.root / where / name).touch()
        tools = install(folder, program)
        self._kept = tools.environment[KEPT_IN]
        state = load(self._kept)
        rc.start(rc.service(state, name))
        save(state, self._kept)
        self.action = RestartWazuh(root=self.root, system=system, tools=tools, settle=SETTLE)

    def process(self) -> str:
        pid = rc.runs(rc.service(load(self._kept), self.name))
        return str(pid) if pid else ""

    def change(self, **said: object) -> None:
        state = load(self._kept)
        rc.service(state, self.name).update(said)
        save(state, self._kept)

    def spoil(self) -> None:
        self.change(broken=True)

    def close(self) -> None:
        if pid := self.process():
            os.kill(int(pid), signal.SIGKILL)


MADE: dict[str, Callable[[Guard, Path], Host]] = {
    "init.d": lambda guard, folder: ByInit(folder),
    "systemd": BySystemd,
    "NetBSD": lambda guard, folder: ByInit(folder, "NetBSD", "etc/rc.d"),
    "FreeBSD": lambda guard, folder: Simulated(folder, "FreeBSD", "service", SERVICE, "usr/local/etc/rc.d"),
    "OpenBSD": lambda guard, folder: Simulated(folder, "OpenBSD", "rcctl", "wazuh_agent", "etc/rc.d"),
}


@pytest.fixture(params=[pytest.param(each, marks=pytest.mark.root) if each == "systemd" else each for each in MADE])
def host(request: pytest.FixtureRequest, guard: Guard, tmp_path: Path) -> Iterator[Host]:
    one = MADE[request.param](guard, tmp_path)
    yield one
    one.close()


@pytest.fixture
def init(tmp_path: Path) -> Iterator[ByInit]:
    one = ByInit(tmp_path)
    yield one
    one.close()


def problem(host: Host) -> str:
    """What each of the calls is told."""
    (said,) = {result.problem for result in host.action.apply(CALLS)}
    return said


def test_another_process_runs(host: Host) -> None:
    """After each of two restarts; the first also starts what didn't run."""
    done = [Result(key=call.key, happened=True) for call in CALLS]
    assert host.action.apply(CALLS) == done
    first = host.process()
    assert host.action.apply(CALLS) == done
    second = host.process()
    assert first
    assert second
    assert first != second


def test_what_is_wrong_stops_nothing(host: Host, tmp_path: Path) -> None:
    """The check's words, and the process that ran runs on."""
    host.action.apply(CALLS)
    before = host.process()
    (tmp_path / "wrong").touch()
    assert problem(host) == (
        "its configuration didn't pass the check, and nothing was stopped: "
        f"{host.root}/var/ossec/bin/wazuh-agentd: exit code 1: (1226): Error reading XML"
    )
    assert host.process() == before


def test_one_that_does_not_come_up_has_failed(host: Host) -> None:
    """Whatever the tool says of it."""
    host.action.apply(CALLS)
    host.spoil()
    assert problem(host)
    assert not host.process() or not Path(f"/proc/{host.process()}").exists()


def test_a_service_by_its_unit_s_name_is_checked_too(tmp_path: Path) -> None:
    """`wazuh-agent.service` in the settings is the same service: a wrong configuration doesn't stop it either."""
    one = ByInit(tmp_path)
    unit = f"{SERVICE}.service"
    one.script.rename(one.script.with_name(unit))
    (tmp_path / "wrong").touch()
    one.action = RestartWazuh(service=unit, root=one.root, system="Linux", tools=Tools(limit=10.0), settle=SETTLE)
    try:
        assert "didn't pass the check" in problem(one)
        assert one.process() == ""
    finally:
        one.close()


def test_many_orders_are_one_restart(init: ByInit, tmp_path: Path) -> None:
    """Whoever gave them, they wanted the same."""
    init.action.apply(CALLS)
    assert (tmp_path / "restarts").read_text() == "once\n"


def test_one_that_fails_says_why(init: ByInit, tmp_path: Path) -> None:
    """In the script's own words."""
    (tmp_path / "refuses").touch()
    assert problem(init) == f"{SERVICE}: exit code 6: no start today"


def test_one_that_runs_on_as_before_was_not_restarted(init: ByInit) -> None:
    """A script that says yes and does nothing."""
    init.action.apply(CALLS)
    init.changed("restart)", "restart) exit 0;")
    assert problem(init) == f"{SERVICE} was told to restart, and runs on as before"


def test_one_that_ends_soon_after_was_not_restarted(init: ByInit) -> None:
    """It came up, and didn't stay."""
    init.changed("/bin/sleep 300", f"(/bin/sleep 0.2; : > {init.pid})")
    init.action = RestartWazuh(root=init.root, system="Linux", tools=Tools(limit=10.0), settle=0.5)
    assert problem(init) == f"{SERVICE} doesn't stay up after its restart; its log says why"


def test_a_stop_waits_for_no_restart(init: ByInit) -> None:
    """An agent that ends leaves it to itself."""
    init.changed("restart)", f"restart) touch {init.folder}/on; {WAITS.format(folder=init.folder)}")
    said: list[str] = []
    thread = threading.Thread(target=lambda: said.append(problem(init)))
    thread.start()
    wait_for((init.folder / "on").exists)
    init.action.stop()
    thread.join(5.0)
    assert said == [f"{SERVICE}: killed by signal 9"]
    (init.folder / "go").touch()
    wait_for(init.process)


def test_one_that_hangs_is_given_up(init: ByInit) -> None:
    """After a time; what it began goes on, because half a restart is worse."""
    init.changed("restart)", f"restart) {WAITS.format(folder=init.folder)}")
    init.action = RestartWazuh(root=init.root, system="Linux", tools=Tools(limit=0.5))
    assert problem(init) == f"{SERVICE} had not ended within 0.5 s"
    (init.folder / "go").touch()
    wait_for(init.process)


def test_one_whose_state_hangs_is_not_said_to_be_down(init: ByInit) -> None:
    """Nobody knows; and nothing is restarted that nobody could see come up."""
    init.changed("status)", "status) exec sleep 60;")
    init.action = RestartWazuh(root=init.root, system="Linux", tools=Tools(limit=1.0))
    assert problem(init) == f"{init.script} had not ended within 1 s"
    assert not init.process()


def test_a_tool_that_is_missing_is_named(tmp_path: Path) -> None:
    """And nothing else happens."""
    host = Simulated(tmp_path, "FreeBSD", "service", SERVICE, "etc/rc.d")
    before = host.process()
    (tmp_path / "programs" / "service").unlink()
    try:
        assert problem(host) == "service: not found"
        assert host.process() == before
    finally:
        host.close()


def test_a_service_that_is_not_enabled_says_so(tmp_path: Path) -> None:
    """What the system asks for, in its words."""
    host = Simulated(tmp_path, "FreeBSD", "service", SERVICE, "etc/rc.d")
    host.change(enabled=False)
    try:
        assert "Set wazuh_agent_enable to YES in /etc/rc.conf" in problem(host)
    finally:
        host.close()


@pytest.mark.parametrize("system", [*WAYS, "Darwin"])
def test_where_there_is_no_service_it_can_not_be_carried_out(tmp_path: Path, system: str) -> None:
    """Said before the first order, with what to do."""
    action = RestartWazuh(root=tmp_path, system=system)
    with pytest.raises(ActionError, match=r"name one in actions\.restart_service|on Darwin is unknown: put a script"):
        action.prepare(())
    assert action.apply(CALLS)[0].problem
    assert action.resumed(CALLS[0]) is None


@pytest.mark.parametrize(
    ("file", "service"),
    [
        ("usr/lib/systemd/system/thwart-agent@.service", "thwart-agent@two"),
        ("etc/systemd/system/thwart-agent@.service", "thwart-agent@two.service"),
        ("run/systemd/generator.late/old.service", "old"),
    ],
)
def test_a_service_in_the_settings_is_found(tmp_path: Path, file: str, service: str) -> None:
    """Also one of many by a template, and an init script that systemd runs."""
    for path in (tmp_path / "run/systemd/system", (tmp_path / file).parent):
        path.mkdir(parents=True, exist_ok=True)
    action = RestartWazuh(root=tmp_path, system="Linux", service=service)
    with pytest.raises(ActionError, match=f"no service {service} to start here"):
        action.prepare(())
    (tmp_path / file).touch()
    action.prepare(())


def test_a_service_that_is_masked_is_passed_over(tmp_path: Path) -> None:
    """Who has put Wazuh's agent out of use, for this one, doesn't want its restart to be tried."""
    for folder in ("run/systemd/system", "usr/lib/systemd/system", "etc/systemd/system"):
        (tmp_path / folder).mkdir(parents=True)
    action = RestartWazuh(root=tmp_path, system="Linux")
    for name in (SERVICE, "thwart-agent"):
        (tmp_path / f"usr/lib/systemd/system/{name}.service").touch()
    assert action._chosen()[1] == SERVICE
    for name in (SERVICE, "thwart-agent"):
        (tmp_path / f"etc/systemd/system/{name}.service").symlink_to("/dev/null")
        assert action.resumed(CALLS[0]) == (Result(key="o0", happened=True) if name == SERVICE else None)
    with pytest.raises(ActionError, match="no service wazuh-agent or wazuh-manager or thwart-agent to start here"):
        action.prepare(())


def test_the_service_in_the_settings_is_restarted(tmp_path: Path) -> None:
    """Whatever else is here, and unchecked: nobody knows how."""
    init = ByInit(tmp_path)
    (init.root / "etc/init.d" / SERVICE).rename(init.root / "etc/init.d" / "nginx")
    (tmp_path / "wrong").touch()
    action = RestartWazuh(root=init.root, system="Linux", service="nginx", settle=SETTLE)
    try:
        action.prepare(())
        assert action.apply(CALLS)[0].problem == ""
        assert init.process()
    finally:
        init.close()


@pytest.mark.parametrize("target", ["203.0.113.9", "; rm -rf /", "-j ACCEPT", "../x", "x" * 300, "\x00", "a\nb"])
def test_it_acts_on_no_target(target: str) -> None:
    """Not on an innocent one either: whoever names one means something else."""
    with pytest.raises(InvalidTarget, match="acts on no target"):
        RestartWazuh().key(target, (), "o1")


class Own:
    """A host whose only service is this agent's."""

    def __init__(self, folder: Path) -> None:
        self.init = ByInit(folder)
        (self.init.root / "etc/init.d" / SERVICE).rename(self.init.root / "etc/init.d" / "thwart-agent")
        self.check = folder / "check"
        self.check.write_text(LOOK.format(folder=str(folder)))
        self.action = self.again()

    def again(self, least: float = 0.0, *, daemon: bool = True) -> RestartWazuh:
        """In a new process."""
        run = (sys.executable, str(self.check), "run", "--config", "x.toml")
        return RestartWazuh(root=self.init.root, system="Linux", run=run, least=least, daemon=daemon)


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Own]:
    one = Own(tmp_path)
    yield one
    one.init.close()


def test_its_own_restart_is_for_the_next_process_to_tell(own: Own, tmp_path: Path) -> None:
    """It begins apart from this one, which it ends; the one that runs then knows that it was done."""
    (result, *_) = own.action.apply(CALLS)
    assert (result.problem, result.later) == ("", True)
    wait_for(own.init.process)
    assert own.again().resumed(CALLS[0]) == Result(key="o0", happened=True)


def test_a_systemctl_that_ends_with_this_agent_has_done_it(own: Own, tmp_path: Path) -> None:
    """Both are of one control group, so that systemd may end it before it has."""
    root, programs = own.init.root, tmp_path / "programs"
    for path in (root / "run/systemd/system", programs):
        path.mkdir(parents=True)
    (root / "run/systemd/system/thwart-agent.service").touch()
    (programs / "systemctl").write_text("#!/bin/sh\nkill -TERM $$\n")
    (programs / "systemctl").chmod(0o755)
    tools = Tools(path=f"{programs}:/usr/bin:/bin")
    action = RestartWazuh(root=root, system="Linux", tools=tools, run=(sys.executable, "-c", ""), least=0.0)
    assert {(each.problem, each.later) for each in action.apply(CALLS)} == {("", True)}


def test_only_an_agent_that_runs_restarts_itself(own: Own) -> None:
    """A command that works in its stead would tell of a process that it knows nothing of."""
    before, action = own.init.process(), own.again(daemon=False)
    assert {each.problem for each in action.apply(CALLS)} == {"only an agent that runs restarts itself"}
    assert own.init.process() == before
    assert action.resumed(CALLS[0]) is None


def test_a_restart_of_others_is_nothing_that_this_process_knows_of(init: ByInit) -> None:
    """That it runs itself says nothing of Wazuh's agent."""
    assert init.action.resumed(CALLS[0]) is None


def test_it_runs_for_a_moment_before_it_ends_again(own: Own) -> None:
    """However many orders come, one after the other: what starts too often is left down by systemd."""
    action, began = own.again(least=0.4), time.monotonic()
    (result, *_) = action.apply(CALLS)
    assert result.later
    assert time.monotonic() - began > 0.4
    wait_for(own.init.process)


def test_its_own_settings_are_checked_as_it_was_started(
    own: Own, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the same words and `-t`, and the settings that the environment has."""
    monkeypatch.setenv("THWART_AGENT_ID", "web1")
    monkeypatch.setenv("OTHER_SECRET", "x")
    (tmp_path / "wrong").touch()
    (result, *_) = own.action.apply(CALLS)
    assert result.problem.endswith("exit code 1: agent.id: too long")
    assert not result.later
    assert own.init.process() == ""
    said = (tmp_path / "checked").read_text()
    assert said.startswith("['run', '--config', 'x.toml', '-t']")
    assert "THWART_AGENT_ID" in said
    assert "OTHER_SECRET" not in said


async def test_an_order_that_comes_as_it_restarts_takes_no_answer_away(own: Own, tmp_path: Path) -> None:
    """The next process tells what became of the first one, and then ends for the second."""
    host = ScriptHost(tmp_path, Limits(), [own.action])
    try:
        await host.take(host.order("restart-wazuh", "r1", target=""))
        await host.errands_after(1.0)
        await host.take(host.order("restart-wazuh", "r2", target=""))
        assert host.answers("r1") == []
        host.built_in = [own.again()]
        await host.restart()
        await host.errands_after(1.0)
        assert (host.answers("r1"), host.answers("r2")) == ([("applied", "done")], [])
        host.built_in = [own.again()]
        await host.restart()
        await host.errands()
        assert host.answers("r2") == [("applied", "done")]
    finally:
        host.close()


def test_a_process_that_was_to_end_and_runs_on_says_so(own: Own) -> None:
    """It was started by hand, perhaps, and another one by the service."""
    own.action.apply(CALLS)
    wait_for(own.init.process)
    result = own.action.resumed(CALLS[0])
    assert result is not None
    assert result.problem == "it was told to end, and still runs: is it started by its service?"
