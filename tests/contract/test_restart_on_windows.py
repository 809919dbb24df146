"""restart-wazuh.exe, by a simulated PowerShell and services that are real processes."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from agent.actions.action import Call, Result
from agent.actions.restart_wazuh.restart import NAMES, WHOLE, RestartWazuh
from agent.actions.restart_wazuh.services import LISTED_FOR, ByPowerShell, Toolbox
from agent.actions.tools.tool import Tools
from agent.contract.happening import HappeningContract
from agent.contract.subject import Stopwatch
from shared.errors import ActionError
from tests.stage.simulators import rc
from tests.stage.simulators.host import KEPT_IN, load, save
from tests.stage.simulators.install import install
from tests.waiting import wait_for

WAZUH = "WazuhSvc"
CALLS = [Call(key=f"o{number}", target="") for number in range(3)]
CONF = "<!-- <ossec_config> -->\n<ossec_config><client/></ossec_config>\n<ossec_config>&</ossec_config>\n"


class OnWindows:
    """A host with Wazuh's agent, which runs, and a service that has nothing to do with it."""

    target, arguments, words = "", (), "it is disabled"

    def __init__(self, folder: Path, service: str = WAZUH) -> None:
        self.folder, self.service = folder, service
        self.tools = install(folder, "powershell")
        self._kept = self.tools.environment[KEPT_IN]
        self.conf = folder / WHOLE[WAZUH]
        self.conf.parent.mkdir(parents=True)
        self.conf.write_text(CONF)
        state = load(self._kept)
        for each in (service, "Wazuh"):
            rc.start(rc.service(state, each))
        save(state, self._kept)
        self.action = self.made(self.tools)

    def made(self, tools: Tools, **said: object) -> RestartWazuh:
        fields = {"name": NAMES[1], "root": self.folder, "system": "Windows", "settle": 0.02, **said}
        return RestartWazuh(tools=tools, **fields)

    def change(self, **said: object) -> None:
        state = load(self._kept)
        rc.service(state, self.service).update(said)
        save(state, self._kept)

    def processes(self) -> list[int]:
        """Of the service, and of the other."""
        return [rc.runs(rc.service(load(self._kept), each)) for each in (self.service, "Wazuh")]

    def happened(self) -> int:
        return int(str(rc.service(load(self._kept), self.service).get("restarts", 0)))

    def missing(self) -> RestartWazuh:
        state = load(self._kept)
        os.kill(self.processes()[0], signal.SIGKILL)
        del rc.known(state)[self.service]
        save(state, self._kept)
        return self.made(self.tools)

    def failing(self) -> RestartWazuh:
        self.change(enabled=False)
        return self.action

    def hanging(self) -> RestartWazuh:
        (self.folder / "programs" / "powershell").write_text("#!/bin/sh\nexec /bin/sleep 60\n")
        return self.made(replace(self.tools, limit=0.2))

    def problem(self) -> str:
        """What each of the calls is told."""
        (said,) = {result.problem for result in self.action.apply(CALLS)}
        return said

    def close(self) -> None:
        for each in filter(None, self.processes()):
            os.kill(each, signal.SIGKILL)


@pytest.fixture
def subject(tmp_path: Path) -> Iterator[OnWindows]:
    one = OnWindows(tmp_path)
    yield one
    one.close()


class TestRestartOnWindows(HappeningContract):
    """A restart of Wazuh's agent for Windows."""


def test_another_process_runs_and_nothing_else_is_restarted(subject: OnWindows) -> None:
    """Once for all orders that came together, of the service of exactly that name."""
    before = subject.processes()
    assert subject.action.apply(CALLS) == [Result(key=call.key, happened=True) for call in CALLS]
    after = subject.processes()
    assert (after[0] not in (0, before[0]), after[1] == before[1]) == (True, True)


def test_it_goes_by_both_names_on_windows_and_only_there(subject: OnWindows) -> None:
    """`restart-wazuh` for all agents of a fleet; `restart-wazuh.exe` on other systems is told apart from a mistake."""
    for name in NAMES:
        subject.made(subject.tools, name=name).prepare(())
    with pytest.raises(ActionError, match="only on Windows"):
        subject.made(subject.tools, system="Linux").prepare(())


@pytest.mark.parametrize("text", ["", "<ossec_config>\n", CONF.replace("</ossec_config>\n<", "<"), None])
def test_a_configuration_that_is_not_whole_stops_nothing(subject: OnWindows, text: str | None) -> None:
    """Empty, cut off in the middle of a write, or not there: the process that runs goes on."""
    before = subject.processes()
    if text is None:
        subject.conf.unlink()
    else:
        subject.conf.write_text(text)
    said = subject.problem()
    assert said.startswith(f"its configuration didn't pass the check, and nothing was stopped: {subject.conf}: ")
    assert subject.processes() == before


def test_one_that_does_not_stay_up_has_failed(subject: OnWindows) -> None:
    """Whatever Windows says of it."""
    subject.change(broken=True)
    assert subject.problem() == f"{WAZUH} doesn't stay up after its restart; its log says why"


def test_the_agents_own_service_is_restarted_by_somebody_else(tmp_path: Path) -> None:
    """It outlives whoever asked for it, and the next process answers."""
    host = OnWindows(tmp_path, "thwart-agent")
    try:
        before = host.processes()
        host.action = host.made(host.tools, run=("/bin/true",))
        assert all(each.later for each in host.action.apply(CALLS))
        wait_for(lambda: host.processes()[0] not in (0, before[0]))
        resumed = host.made(host.tools, run=("/bin/true",)).resumed(CALLS[0])
        assert resumed == Result(key="o0", happened=True)
        assert host.processes()[1] == before[1]
    finally:
        host.close()


def test_a_name_is_taken_as_it_stands(subject: OnWindows) -> None:
    """It is somebody's setting, and no program: quotes end nothing, and a wildcard is no service's name."""
    services = ByPowerShell(Toolbox(subject.tools))
    assert [services.has(each) for each in (WAZUH, WAZUH.upper(), "Wazuh*", "x'; reboot '")] == [
        True,
        True,
        False,
        False,
    ]
    with pytest.raises(ActionError, match="Cannot find any service"):
        services.restart("x'; reboot '")


def test_what_services_there_are_is_asked_once_a_minute(subject: OnWindows) -> None:
    """Each heartbeat asks whether it can be carried out, and PowerShell is slow to start."""
    clock = Stopwatch()
    services = ByPowerShell(Toolbox(subject.tools), clock)
    assert not services.has("Later")
    state = load(subject.tools.environment[KEPT_IN])
    rc.service(state, "Later")
    save(state, subject.tools.environment[KEPT_IN])
    assert not services.has("Later")
    clock.now += LISTED_FOR + 1
    assert services.has("Later")
