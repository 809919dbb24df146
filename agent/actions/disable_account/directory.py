"""Accounts of macOS: the local node of Open Directory, read by `dscl` and changed by `pwpolicy`.

Closing adds `DisabledUser` to an account's AuthenticationAuthority, which PAM asks for at a login by key, too. Sources:
pwpolicy(8), dscl(1), pkill(1).
"""

import re
from collections.abc import Iterator, Mapping

from agent.actions.disable_account.accounts import Account, Standing
from agent.actions.tools.tool import Tool, Tools

NODE = "/Local/Default"
PEOPLE = 501  # the first uid that macOS gives a person
DISABLED = ";DisabledUser;"
NOBODY_FOUND = 1  # pkill's exit code
_ATTRIBUTE = re.compile(r"(?P<name>[A-Za-z]+):(?P<value>.*)")


class Directory:
    """Implements `Accounts`."""

    backend = "pwpolicy"

    def __init__(self, *, tools: Tools = Tools()) -> None:
        self._pwpolicy, self._dscl, self._kill = (Tool(name, tools) for name in ("pwpolicy", "dscl", "pkill"))

    def key(self, name: str) -> str:
        return name

    def prepare(self, *, sessions: bool) -> None:
        for tool in (self._pwpolicy, self._dscl, *([self._kill] if sessions else [])):
            tool.find()

    def look(self) -> Mapping[str, Account]:
        printed = self._dscl.run(NODE, "-readall", "/Users", "RecordName", "UniqueID", "AuthenticationAuthority")
        return dict(accounts_in(printed))

    def mark(self) -> object:
        return None

    def wait_for_others(self) -> None:
        pass

    def close(self, name: str) -> None:
        self._pwpolicy.run("-n", NODE, "-u", name, "-disableuser")

    def restore(self, name: str, now: Standing, wanted: Standing) -> None:
        if now.locked and not wanted.locked:
            self._pwpolicy.run("-n", NODE, "-u", name, "-enableuser")

    def end_sessions(self, name: str, standing: Standing) -> None:
        self._kill.run("-KILL", "-u", standing.number, good=(0, NOBODY_FOUND))


def accounts_in(printed: str) -> Iterator[tuple[str, Account]]:
    """By name, of what `dscl -readall` prints: records parted by a `-`, an attribute's further values indented."""
    for record in printed.split("\n-\n"):
        said: dict[str, str] = {}
        attribute = ""
        for line in record.splitlines():
            found = None if line.startswith(" ") else _ATTRIBUTE.fullmatch(line)
            attribute = found["name"] if found else attribute
            said[attribute] = f"{said.get(attribute, '')} {found['value'] if found else line}"
        if names := said.get("RecordName", "").split():  # the others are its aliases
            yield names[0], _account(names[0], said)


def _account(name: str, said: Mapping[str, str]) -> Account:
    uid = said.get("UniqueID", "").strip()
    disabled = DISABLED in said.get("AuthenticationAuthority", "")
    person = uid.isdecimal() and int(uid) >= PEOPLE and not name.startswith("_")
    return Account(
        standing=Standing(number=uid, locked=disabled),
        closed=disabled,
        refusal="" if person else f"{name} (uid {uid or 'unknown'}) is no person's: those begin at {PEOPLE}",
    )
