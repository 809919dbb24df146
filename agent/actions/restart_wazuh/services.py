"""Services: how this host runs them, as far as one is to be restarted.

The rule it keeps: a restart is over when another process is seen to run. Command lines are as in systemctl(1), in
LSB's rules for init scripts (`status` ends with 0 when it runs), in FreeBSD's service(8) and NetBSD's rc.subr(8)
("is running as pid 433."), and in OpenBSD's rcctl(8) (`check` ends with 0 when it runs; rc.subr(8) has `_` for `-`).
"""

import os
import re
import sys
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from signal import SIGTERM
from typing import Protocol

from msgspec import Struct
from msgspec.structs import replace

from agent.actions.restart_wazuh.detached import WAIT
from agent.actions.tools.powershell import COMMAND, listed
from agent.actions.tools.tool import Tool, Tools
from shared.errors import ActionError, ToolHangs

BOOTED = "run/systemd/system"  # sd_booted(3)
_LIBRARIES = (f"{each}/systemd/system" for each in ("usr/local/lib", "usr/lib", "lib"))
# where systemd finds services, the first before the others (systemd.unit(5)); the last has what is an init script
UNITS = ("etc/systemd/system", BOOTED, "run/systemd/generator", *_LIBRARIES, "run/systemd/generator.late")
DETACHED = Path(__file__).with_name("detached.py")
RUNS = "running"  # where nobody says as which process
LISTED_FOR = 60.0  # s for which Windows' list of services is believed

_PIDS = re.compile(r"\bpids? ([0-9 ]+)")


class Toolbox:
    """Each tool once, so that one which hangs is known, and all can be stopped."""

    def __init__(self, tools: Tools) -> None:
        self._tools = tools
        self._made: dict[tuple[str, bool], Tool] = {}

    def tool(self, name: str, environment: Mapping[str, str] | None = None) -> Tool:
        """The one of that name, or at that path, with this in its environment."""
        tools = replace(self._tools, environment={**self._tools.environment, **(environment or {})})
        return self._made.setdefault((name, bool(environment)), Tool(name, tools))

    def stop(self) -> None:
        """Ends the waiting for what they do. From any thread."""
        for each in list(self._made.values()):
            each.stop()


class Services(Protocol):
    """One way of running services. Everything raises ActionError with the tool's words."""

    backend: str

    def has(self, service: str) -> bool:
        """Whether there is such a service, running or not."""

    def running(self, service: str) -> str:
        """What its process is known by, or that it runs; empty when it doesn't."""

    def restart(self, service: str) -> None:
        """Returns when it was stopped and started."""

    def restart_apart(self, service: str) -> None:
        """Returns when that has begun: it ends who calls this."""


class Systemd:
    """systemd, by systemctl."""

    backend = "systemd"

    def __init__(self, root: Path, tools: Toolbox) -> None:
        self._root, self._systemctl = root, tools.tool("systemctl")

    def has(self, service: str) -> bool:
        """One that is masked (systemctl(1)) can't be started: it was put out of use on purpose."""
        files = (self._root / folder / each for folder in UNITS for each in _names(_unit(service)))
        first = next((each for each in files if each.exists()), None)
        return first is not None and first.resolve() != Path(os.devnull)

    def running(self, service: str) -> str:
        """The invocation, which differs with each start."""
        said = self._systemctl.run("show", "--property=ActiveState,InvocationID", "--", _unit(service))
        shown = dict(line.partition("=")[::2] for line in said.splitlines())
        return shown.get("InvocationID") or RUNS if shown.get("ActiveState") == "active" else ""

    def restart(self, service: str) -> None:
        self._systemctl.run("restart", "--", _unit(service))

    def restart_apart(self, service: str) -> None:
        # what ends the service may reach `systemctl` too, before it has ended: both are of one control group
        self._systemctl.run("--no-block", "restart", "--", _unit(service), good=(0, -SIGTERM))


class Way(Struct, frozen=True, kw_only=True):
    """How scripts that start and stop services are called. `command`: of a script, its service and what to do."""

    backend: str
    folders: tuple[str, ...]
    command: Callable[[Path, str, str], tuple[str, ...]]
    status: str = "status"
    underlined: bool = False


def _itself(script: Path, service: str, verb: str) -> tuple[str, ...]:
    return str(script), verb


WAYS = {
    "Linux": Way(backend="init.d", folders=("etc/init.d",), command=_itself),
    "NetBSD": Way(backend="rc.d", folders=("etc/rc.d",), command=_itself),
    "FreeBSD": Way(
        backend="service",
        folders=("etc/rc.d", "usr/local/etc/rc.d"),
        command=lambda script, service, verb: ("service", service, verb),
    ),
    "OpenBSD": Way(
        backend="rcctl",
        folders=("etc/rc.d",),
        command=lambda script, service, verb: ("rcctl", verb, service),
        status="check",
        underlined=True,
    ),
}


class Scripts:
    """Scripts that start and stop services, each system's in its own way."""

    def __init__(self, way: Way, root: Path, tools: Toolbox) -> None:
        self.backend = way.backend
        self._way, self._root, self._tools = way, root, tools

    def has(self, service: str) -> bool:
        return self._script(service) is not None

    def running(self, service: str) -> str:
        """Its process numbers, where they are said."""
        try:
            said = self._run(service, self._way.status)
        except ToolHangs:
            raise
        except ActionError:  # it ended with another code than 0
            return ""
        found = _PIDS.search(said)
        return found[1].strip() if found else RUNS

    def restart(self, service: str) -> None:
        """Apart, too: a script may leave its daemon in its own process group, and that ends with the script."""
        self._apart(service, WAIT)

    def restart_apart(self, service: str) -> None:
        self._apart(service)

    def _apart(self, service: str, *how: str) -> None:
        name, *words = self._command(service, "restart")
        tool, python = self._tools.tool(name), self._tools.tool(sys.executable)
        try:
            python.run("-I", "-S", str(DETACHED), *how, str(tool.find()), *words)
        except ActionError as error:
            raise ActionError(str(error).replace(python.name, Path(name).name)) from error

    def _run(self, service: str, verb: str) -> str:
        name, *words = self._command(service, verb)
        return self._tools.tool(name).run(*words)

    def _command(self, service: str, verb: str) -> tuple[str, ...]:
        script = self._script(service)
        if script is None:
            raise ActionError(f"{service}: there is no such service here")
        return self._way.command(script, script.name, verb)

    def _script(self, service: str) -> Path | None:
        name = service.replace("-", "_") if self._way.underlined else service
        paths = (self._root / folder / name for folder in self._way.folders)
        return next((each for each in paths if each.is_file()), None)


class ByPowerShell:
    """Windows' own services. Only names and process numbers are read, whatever language it speaks."""

    backend = "powershell"

    def __init__(self, tools: Toolbox, clock: Callable[[], float] = time.monotonic) -> None:
        self._powershell, self._clock = tools.tool("powershell"), clock
        self._names: Collection[str] = ()
        self._read_at = float("-inf")

    def has(self, service: str) -> bool:
        """As it was a moment ago: each heartbeat asks, and PowerShell takes half a second to start."""
        if self._clock() - self._read_at > LISTED_FOR:
            self._names, self._read_at = self._listed().keys(), self._clock()
        return service.lower() in self._names

    def running(self, service: str) -> str:
        """Its process number, which is 0 when it has none."""
        number = self._listed().get(service.lower(), "0")
        return "" if number == "0" else number

    def restart(self, service: str) -> None:
        self._powershell.run(*COMMAND, f"Restart-Service -Name {_quoted(service)} -Force -ErrorAction Stop")

    def restart_apart(self, service: str) -> None:
        words = ",".join(map(_quoted, (*COMMAND, f"Restart-Service -Name {_quoted(service)} -Force")))
        self._powershell.run(*COMMAND, f"Start-Process powershell -WindowStyle Hidden -ArgumentList {words}")

    def _listed(self) -> dict[str, str]:
        """Process numbers by name, in lower case: Windows knows no difference."""
        rows = listed(self._powershell, "Get-CimInstance Win32_Service", "Name", "ProcessId")
        return {row["Name"].lower(): row["ProcessId"] for row in rows}


def services_here(system: str, root: Path, tools: Toolbox) -> Services | None:
    """How services are run; None on a system where nobody has tried."""
    if system == "Linux" and (root / BOOTED).is_dir():
        return Systemd(root, tools)
    if system == "Windows":
        return ByPowerShell(tools)
    return Scripts(WAYS[system], root, tools) if system in WAYS else None


def _quoted(word: str) -> str:
    """As PowerShell takes it literally (about_Quoting_Rules)."""
    doubled = word.replace("'", "''")
    return f"'{doubled}'"


def _names(unit: str) -> Sequence[str]:
    """Of its file: for an instance also its template's."""
    name, instance, _ = unit.partition("@")
    return (unit, f"{name}@.service") if instance else (unit,)


def _unit(service: str) -> str:
    return service if service.endswith(".service") else f"{service}.service"
