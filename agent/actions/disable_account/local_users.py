"""Accounts of Windows: its local users, read by PowerShell's `Get-LocalUser` and changed by `net user`.

What `net user` prints is in the host's language, so that it is never read. Sources: the manual pages of Get-LocalUser
(Microsoft.PowerShell.LocalAccounts), `net user` and `taskkill`; the well-known SIDs for the numbers.
"""

from collections.abc import Mapping

from agent.actions.disable_account.accounts import Account, Standing
from agent.actions.tools.powershell import listed
from agent.actions.tools.tool import Tool, Tools

PEOPLE = 1_000  # the last number of a SID: smaller ones are Windows' own, 500 is the administrator's


class LocalUsers:
    """Implements `Accounts`. Windows knows no difference between `Alice` and `alice`."""

    backend = "net user"

    def __init__(self, *, tools: Tools = Tools()) -> None:
        self._net, self._powershell, self._kill = (Tool(name, tools) for name in ("net", "powershell", "taskkill"))

    def key(self, name: str) -> str:
        return name.lower()

    def prepare(self, *, sessions: bool) -> None:
        for tool in (self._net, self._powershell, *([self._kill] if sessions else [])):
            tool.find()

    def look(self) -> Mapping[str, Account]:
        rows = listed(self._powershell, "Get-LocalUser", "Name", "Enabled", "SID")
        return {row["Name"].lower(): _account(row["Name"], row["Enabled"], row["SID"]) for row in rows}

    def mark(self) -> object:
        return None

    def wait_for_others(self) -> None:
        pass

    def close(self, name: str) -> None:
        self._net.run("user", name, "/active:no")

    def restore(self, name: str, now: Standing, wanted: Standing) -> None:
        if now.locked and not wanted.locked:
            self._net.run("user", name, "/active:yes")

    def end_sessions(self, name: str, standing: Standing) -> None:
        self._kill.run("/f", "/fi", f"USERNAME eq {name}")


def _account(name: str, enabled: str, sid: str) -> Account:
    number = sid.rpartition("-")[2]
    person = number.isdecimal() and int(number) >= PEOPLE
    disabled = enabled != "True"
    return Account(
        standing=Standing(number=sid, locked=disabled),
        closed=disabled,
        refusal="" if person else f"{name} ({sid}) is one of Windows' own",
    )
