"""The services of a simulated Windows, each a real process, as PowerShell lists and restarts them.

Restart-Service takes wildcards, starts what doesn't run, waits until it does, and ends with 1 after its own words.
Names know no case. What is between single quotes is taken as it stands, but that two of them are one.
"""

import os
import re
import subprocess
import sys
from collections.abc import Iterable

from tests.stage.simulators import host, rc

SOURCE = "Get-CimInstance Win32_Service"
SHOWN = {"Name": "name", "ProcessId": "process", "State": "state"}

_WORD = "'((?:[^']|'')*)'"
_RESTART = re.compile(f"Restart-Service -Name {_WORD} -Force( -ErrorAction Stop)?")
_START = re.compile(f"Start-Process powershell -WindowStyle Hidden -ArgumentList {_WORD}(?:,{_WORD})*")


def listed(source: str) -> tuple[dict[str, str], Iterable[dict[str, object]]] | None:
    """What can be selected of the services, and they; None when something else is listed."""
    if source != SOURCE:
        return None
    some = []
    for name, kept in rc.known(host.load()).items():
        number = rc.runs(kept)
        some.append({"name": name, "process": number, "state": "Running" if number else "Stopped"})
    return SHOWN, some


def carried_out(command: str) -> bool:
    """Whether it was one of ours."""
    if started := _START.fullmatch(command):
        words = [each.replace("''", "'") for each in re.findall(_WORD, command)]
        subprocess.Popen([sys.argv[0], *words], start_new_session=True)
        return bool(started)
    found = _RESTART.fullmatch(command)
    if found is None:
        return False
    state = host.load()
    pattern = re.escape(found[1].replace("''", "'")).replace(r"\*", ".*")
    some = [kept for name, kept in rc.known(state).items() if re.fullmatch(pattern, name, re.IGNORECASE)]
    if not some:
        host.fail(f"Restart-Service : Cannot find any service with service name '{found[1]}'.", 1)
    for kept in some:
        _restart(kept)
    host.save(state)
    return True


def _restart(kept: dict[str, object]) -> None:
    if not kept["enabled"]:
        host.fail("Restart-Service : Service cannot be started: it is disabled.", 1)
    if number := rc.runs(kept):
        os.kill(number, 9)
    kept["restarts"] = int(str(kept.get("restarts", 0))) + 1
    rc.start(kept)
