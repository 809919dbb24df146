"""The contract of every action, held against `disable-account`: Linux' own tools with a throw-away /etc, and simulators
of macOS' and Windows'.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from agent.actions.action import Action
from agent.actions.disable_account.accounts import PASSED, Accounts
from agent.actions.disable_account.directory import Directory
from agent.actions.disable_account.disable_account import DisableAccount
from agent.actions.disable_account.local_users import LocalUsers
from agent.actions.disable_account.shadow import Shadow
from agent.actions.tools.lookout import EVERY, Lookout
from agent.actions.tools.tool import Tools
from agent.contract.action import ActionContract
from agent.contract.programs import ProgramContract
from agent.contract.subject import Stopwatch
from tests.contract.subject import Elsewhere
from tests.stage.own_etc import OwnEtc
from tests.stage.simulators import macos_accounts, windows_accounts
from tests.stage.simulators.host import load, save
from tests.stage.simulators.install import install

EXAMPLES = ("alice", "al", "Bob.2")
MANY = tuple(f"u{number}" for number in range(8))


class OnLinux:
    """Real accounts in files that nobody else has, judged by `passwd` and `getent`."""

    programs = ("usermod", "passwd")
    examples, many = EXAMPLES, MANY

    def __init__(self, etc: OwnEtc, folder: Path) -> None:
        self._etc, self._folder, self.tools = etc, folder, Tools()
        self.action: Action = self.restarted()
        self.action.prepare()

    def restarted(self) -> Action:
        return self.made(self.tools)

    def made(self, tools: Tools) -> Action:
        return Elsewhere(self._etc.call, DisableAccount(Shadow(tools=tools), kept=self._folder / "accounts"))

    def seen(self) -> set[str]:
        """Who is locked, as `passwd` says, and has expired."""
        locked = {
            name for name, state, *_ in map(str.split, self._etc.run("passwd", "-Sa").splitlines()) if state == "L"
        }
        fields = (line.split(":") for line in self._etc.run("getent", "shadow").splitlines())
        return {name for name, *rest in fields if rest[6] == str(PASSED)} & locked

    def flush(self) -> None:
        for name in self.seen():
            self._etc.run("usermod", "--unlock", "--expiredate", "", name)

    def later(self) -> None:
        """The files tell."""


class Simulated:
    """Accounts of another system, as its simulated tools keep them."""

    examples: Sequence[str] = EXAMPLES
    many: Sequence[str] = MANY[:4]  # each start of a simulator takes its time
    programs: Sequence[str] = ()

    def __init__(self, folder: Path) -> None:
        self._folder, self._watch = folder, Stopwatch()
        self.tools = install(folder, *self.programs)
        self._host = str(folder / "host")
        save({"users": self.users()}, self._host)
        self.action: Action = self.restarted()
        self.action.prepare()

    def users(self) -> dict[str, object]:
        raise AssertionError

    def accounts(self, tools: Tools) -> Accounts:
        raise AssertionError

    def restarted(self) -> Action:
        return self.made(self.tools)

    def made(self, tools: Tools) -> Action:
        lookout = Lookout(clock=self._watch)
        return DisableAccount(self.accounts(tools), kept=self._folder / "accounts", lookout=lookout)

    def flush(self) -> None:
        save({"users": self.users()}, self._host)

    def later(self) -> None:
        self._watch.now += EVERY


class OnMacos(Simulated):
    """`pwpolicy` and `dscl`."""

    programs = ("pwpolicy", "dscl")

    def users(self) -> dict[str, object]:
        added = {name: str(number) for number, name in enumerate((*EXAMPLES, *MANY), 501)}
        every = macos_accounts.SYSTEM | added
        return {
            name: {"UniqueID": uid, "AuthenticationAuthority": macos_accounts.AUTHORITY} for name, uid in every.items()
        }

    def accounts(self, tools: Tools) -> Accounts:
        return Directory(tools=tools)

    def seen(self) -> set[str]:
        said = load(self._host)["users"].items()
        return {name for name, each in said if macos_accounts.DISABLED in each["AuthenticationAuthority"]}


class OnWindows(Simulated):
    """`net user` and PowerShell."""

    programs = ("net", "powershell")
    examples = tuple(map(str.lower, EXAMPLES))

    def users(self) -> dict[str, object]:
        added = {name: str(number) for number, name in enumerate((*EXAMPLES, *MANY), 1_001)}
        every = windows_accounts.SYSTEM | added
        return {name.lower(): windows_accounts.user(name, number) for name, number in every.items()}

    def accounts(self, tools: Tools) -> Accounts:
        return LocalUsers(tools=tools)

    def seen(self) -> set[str]:
        return {name for name, each in load(self._host)["users"].items() if not each["enabled"]}


@pytest.mark.root
class TestLinux(ActionContract, ProgramContract):
    """shadow-utils, for real."""

    @pytest.fixture
    def subject(self, tmp_path: Path) -> Iterator[OnLinux]:
        """With accounts that are open."""
        etc = OwnEtc(tmp_path / "etc")
        etc.add((*EXAMPLES, *MANY))
        yield OnLinux(etc, tmp_path)
        etc.close()


class TestMacos(ActionContract, ProgramContract):
    """Simulated."""

    @pytest.fixture
    def subject(self, tmp_path: Path) -> OnMacos:
        """With accounts that are open."""
        return OnMacos(tmp_path)


class TestWindows(ActionContract, ProgramContract):
    """Simulated."""

    @pytest.fixture
    def subject(self, tmp_path: Path) -> OnWindows:
        """With accounts that are open."""
        return OnWindows(tmp_path)
