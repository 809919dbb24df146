"""Accounts of Linux: /etc/passwd and /etc/shadow, changed by `usermod` and `passwd` (shadow-utils).

The rule it keeps: only the accounts of people are closed, as /etc/login.defs parts them from the system's. The files
are read and never written here. `usermod --lock` puts a `!` before the password, which leaves ssh keys working; so the
account expires as well, as usermod(8) advises. While somebody edits accounts by vipw(8), which holds lckpwdf(3)'s lock,
the tools wait for 15 s: nobody is to wait for them so long.
"""

from collections.abc import Mapping
from pathlib import Path

from agent.actions.disable_account.accounts import PASSED, Account, Standing
from agent.actions.tools import whole_file
from agent.actions.tools.tool import Tool, Tools
from shared.errors import ActionError

LOCK = "!"
IN_SHADOW = "x"  # in the place of a password in /etc/passwd: whatever is there otherwise, pam_unix(8) takes
PEOPLE = {"UID_MIN": 1_000, "UID_MAX": 60_000}  # where /etc/login.defs doesn't say (login.defs(5))
NOBODY_FOUND = 1  # pkill's exit code (pkill(1))
# What becomes the account, with no right that it hasn't (setpriv(1)): then `kill -1` ends all that is the account's at
# once, and nothing else (kill(2)). pkill looks first and kills then, so that what forks all the time gets away.
AS = ("--clear-groups", "--inh-caps=-all", "--bounding-set=-all")


class Shadow:
    """Implements `Accounts`."""

    backend = "usermod"

    def __init__(self, *, etc: Path = Path("/etc"), tools: Tools = Tools()) -> None:
        """`etc` is only looked at: the tools change their own."""
        self._lock = etc / ".pwd.lock"
        self._passwd, self._shadow, self._defs = etc / "passwd", etc / "shadow", etc / "login.defs"
        self._usermod, self._password = (Tool(name, tools) for name in ("usermod", "passwd"))
        self._kill, self._become = (Tool(name, tools) for name in ("pkill", "setpriv"))

    def key(self, name: str) -> str:
        return name

    def prepare(self, *, sessions: bool) -> None:
        for tool in (self._usermod, self._password, *([self._kill, self._become] if sessions else [])):
            tool.find()
        if not whole_file.read(self._shadow):
            raise ActionError(f"{self._shadow}: not found; accounts that are kept elsewhere can't be closed from here")
        whole_file.may_replace(self._shadow.parent)

    def look(self) -> Mapping[str, Account]:
        shadow, people = _entries(self._shadow, 8), self._people()
        return {
            name: _account(name, fields, shadow.get(name), people) for name, fields in _entries(self._passwd, 6).items()
        }

    def mark(self) -> object:
        return whole_file.mark(self._passwd), whole_file.mark(self._shadow)

    def wait_for_others(self) -> None:
        whole_file.wait_for_others(self._lock)

    def close(self, name: str) -> None:
        self._usermod.run("--lock", "--expiredate", str(PASSED), name)

    def restore(self, name: str, now: Standing, wanted: Standing) -> None:
        """usermod refuses to unlock what has no password; `passwd --delete` takes the lock for one (passwd(1))."""
        if now == wanted:
            return
        unlocks = now.locked and not wanted.locked
        lock = ["--unlock"] if unlocks and not wanted.passwordless else []
        self._usermod.run(*lock, "--expiredate", "" if wanted.expires is None else str(wanted.expires), name)
        if unlocks and wanted.passwordless:
            self._password.run("--delete", name)

    def end_sessions(self, name: str, standing: Standing) -> None:
        self._become.run("--reuid", standing.number, *AS, "kill", "-KILL", "--", "-1", good=(0, NOBODY_FOUND))
        self._kill.run("--signal", "KILL", "--euid", standing.number, good=(0, NOBODY_FOUND))

    def _people(self) -> range:
        said = dict(PEOPLE)
        for line in whole_file.read(self._defs).decode(errors="replace").splitlines():
            words = line.split()
            if len(words) >= 2 and words[0] in said and words[1].isdecimal():
                said[words[0]] = int(words[1])
        return range(said["UID_MIN"], said["UID_MAX"] + 1)


def _entries(path: Path, fields: int) -> dict[str, list[str]]:
    """By name the fields behind it, of each whole line; of two of one name the first counts, as for everybody. A
    directory's begin with `+` or `-`, and are no targets. Raises ActionError, also while somebody is just writing it.
    """
    lines = [line.split(":") for line in whole_file.read(path).decode(errors="surrogateescape").split("\n")]
    found = {name: rest for name, *rest in reversed(lines) if len(rest) == fields}
    if not found:
        raise ActionError(f"{path}: no accounts in it")
    return found


def _account(name: str, passwd: list[str], shadow: list[str] | None, people: range) -> Account:
    uid = passwd[1]
    if shadow is None:
        return Account(standing=Standing(number=uid), refusal=f"{name} has no line in /etc/shadow")
    password, *numbers = shadow
    standing = Standing(
        number=uid,
        locked=password.startswith(LOCK),
        passwordless=not password.strip(LOCK),
        expires=int(numbers[5]) if numbers[5].isdecimal() else None,
    )
    closed = standing.locked and standing.expires == PASSED
    return Account(
        standing=standing,
        closed=closed,
        opens=f"usermod --unlock --expiredate '' {name}" if closed else "",
        refusal=_refusal(name, passwd, numbers, people),
    )


def _refusal(name: str, passwd: list[str], numbers: list[str], people: range) -> str:
    password, uid, *_ = passwd
    if not (uid.isdecimal() and int(uid) in people):
        return f"{name} (uid {uid}) is no person's: those have {people.start} to {people.stop - 1}"
    if password != IN_SHADOW:
        return f"{name} has its password in /etc/passwd, so that PAM doesn't ask when it expires; pwconv moves it"
    if not all(not each or each.isdecimal() for each in numbers):
        return f"{name} has a damaged line in /etc/shadow, to which usermod would add another"
    return ""
