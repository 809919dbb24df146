"""restart-wazuh: restarts Wazuh where it is installed, else this agent itself, once its configuration passed a check.

The rule it keeps: a configuration that is wrong stops nothing, and what is told as done was seen: another process
runs. When it is this agent, that is for the new process to tell. Wazuh's daemons check theirs with `-t` ("Test
configuration", documentation.wazuh.com, wazuh-agentd and wazuh-analysisd), and this agent does, too. Wazuh's agent for
Windows has no such option, so that its file is only looked at for being whole.
"""

import os
import platform
import re
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from agent.actions.action import Call, Result
from agent.actions.restart_wazuh.services import RUNS, Services, Toolbox, services_here
from agent.actions.tools.tool import Tools
from shared.errors import ActionError, InvalidTarget
from shared.settings import PREFIX

OWN = "thwart-agent"
CHECKED = {"wazuh-agent": "var/ossec/bin/wazuh-agentd", "wazuh-manager": "var/ossec/bin/wazuh-analysisd"}
WHOLE = {"WazuhSvc": "Program Files (x86)/ossec-agent/ossec.conf"}  # Wazuh's service on Windows, and its configuration
NAMES = ("restart-wazuh", "restart-wazuh.exe")  # the second as Wazuh calls it on Windows, and only there
LIMIT = 60.0  # s that a service may take to stop and to start
SETTLE = 1.0  # s after which it has to run still
# s that this agent runs before it ends itself again: what is started more than 5 times in 10 s systemd leaves down
# (systemd.unit(5), StartLimitBurst=)
LEAST = 3.0
AT_ONCE = 100  # orders that one restart is for

_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)


class RestartWazuh:
    """Restarts one service of this host, once for all orders that came together."""

    at_once = AT_ONCE
    just_happens = True

    def __init__(
        self,
        *,
        name: str = NAMES[0],
        service: str = "",
        root: Path = Path("/"),
        system: str = platform.system(),
        tools: Tools | None = None,
        run: Sequence[str] = (),
        daemon: bool = True,
        settle: float = SETTLE,
        least: float = LEAST,
    ) -> None:
        """`service` is the one to restart, "" the first that is here. `run` is how this agent was started, and without
        `daemon` this process isn't the one that its service runs. After `settle` seconds it is looked at once more,
        and `least` seconds after its own start this agent may end.
        """
        self._tools = Toolbox(tools or Tools(limit=LIMIT))
        self.name, self._system, self._windows = name, system, system == "Windows"
        self._service, self._root, self._settle = service, root, settle
        self._may_end_at = time.monotonic() + least
        self._stopped = threading.Event()
        self._services = services_here(system, root, self._tools)
        self.backend = self._services.backend if self._services else "none"
        self._run = tuple(run or (sys.executable, *sys.orig_argv[1:]))
        self._daemon = daemon
        self._told = False  # this very process is to end

    def key(self, target: str, arguments: Sequence[str], order_id: str) -> str:
        """The order's."""
        if target:
            raise InvalidTarget(f"{self.name} acts on no target: leave it out")
        return order_id

    def prepare(self, arguments: Sequence[str]) -> None:
        """Raises ActionError when there is no such service here."""
        self._chosen()

    def apply(self, calls: Sequence[Call]) -> list[Result]:
        """Restarts it once."""
        try:
            later = bool(calls) and self._restart(*self._chosen())
        except ActionError as error:
            return [Result(key=call.key, problem=str(error)) for call in calls]
        return [Result(key=call.key, happened=True, later=later) for call in calls]

    def revert(self, calls: Sequence[Call]) -> list[Result]:
        """Nothing is in force."""
        return [Result(key=call.key) for call in calls]

    def resumed(self, call: Call) -> Result | None:
        """That this process runs is what became of its own restart."""
        try:
            _, service = self._chosen()
        except ActionError:
            return None
        if not (self._daemon and _is_own(service)):
            return None
        problem = "it was told to end, and still runs: is it started by its service?" if self._told else ""
        return Result(key=call.key, problem=problem, happened=True)

    def stop(self) -> None:
        """Nobody waits any more; a service that was told to restart does all the same."""
        self._stopped.set()
        self._tools.stop()

    def _chosen(self) -> tuple[Services, str]:
        if self.name == NAMES[1] and not self._windows:
            raise ActionError("only on Windows")
        if self._services is None:
            raise ActionError(
                f"how services are restarted on {self._system} is unknown: put a script of that name into agent.scripts"
            )
        usual = [*(WHOLE if self._windows else CHECKED), OWN]
        services, named = self._services, [self._service] if self._service else usual
        for service in named:
            if services.has(service):
                return services, service
        raise ActionError(f"no service {' or '.join(named)} to start here: name one in actions.restart_service")

    def _restart(self, services: Services, service: str) -> bool:
        """True when it ends this process, so that only the next one can tell. Raises ActionError."""
        self._look_at_configuration(service)
        if _is_own(service):
            if not self._daemon:
                raise ActionError("only an agent that runs restarts itself")
            self._stopped.wait(self._may_end_at - time.monotonic())
            services.restart_apart(service)
            self._told = True
            return True
        before = services.running(service)
        services.restart(service)
        after = services.running(service)
        self._stopped.wait(self._settle)  # many a daemon comes up and ends at once
        if not after or services.running(service) != after:
            raise ActionError(f"{service} doesn't stay up after its restart; its log says why")
        if after == before != RUNS:
            raise ActionError(f"{service} was told to restart, and runs on as before")
        return False

    def _look_at_configuration(self, service: str) -> None:
        """Raises ActionError when it is wrong."""
        try:
            if checks := CHECKED.get(service.removesuffix(".service")):
                self._tools.tool(str(self._root / checks)).run("-t")
            elif file := WHOLE.get(service):
                _look_at_file(self._root / file)
            elif _is_own(service):
                name, *words = self._run
                self._tools.tool(name, _settings()).run(*words, "-t")
        except ActionError as error:
            raise ActionError(f"its configuration didn't pass the check, and nothing was stopped: {error}") from error


def _look_at_file(path: Path) -> None:
    """Raises ActionError when it can't be read, or a section of it has no end."""
    try:
        text = _COMMENT.sub("", path.read_text(errors="replace"))
    except OSError as error:
        raise ActionError(f"{path}: {error.strerror}") from error
    begun, ended = text.count("<ossec_config"), text.count("</ossec_config>")
    if not begun or begun != ended:
        raise ActionError(f"{path}: {begun} <ossec_config> begin, {ended} end")


def _is_own(service: str) -> bool:
    return service.removesuffix(".service").partition("@")[0].replace("_", "-") == OWN


def _settings() -> dict[str, str]:
    """What the environment has of them: this agent's own, and for nobody else."""
    return {name: value for name, value in os.environ.items() if name.startswith(PREFIX)}
