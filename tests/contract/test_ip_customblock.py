"""ip-customblock keeps the contract, by what is in its folder; and leaves alone what isn't its own there."""

import os
import shutil
from pathlib import Path

import pytest

from agent.actions import custom
from agent.actions.action import Action
from agent.actions.ip_customblock import IpCustomblock
from agent.contract.action import CulpritContract, done, effect, in_force, reverted
from agent.contract.addresses import HostContract, hosts
from shared.errors import ActionError
from tests.contract.subject import EXAMPLES


class Folder:
    """A folder with files named like addresses."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.action = self.restarted()
        self.examples, self.many = EXAMPLES, hosts(1_000)
        self.action.prepare()

    def seen(self) -> list[str]:
        return [each.name for each in self.folder.iterdir() if each.is_file()] if self.folder.exists() else []

    def flush(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)

    def later(self) -> None:
        """It looks each time."""

    def spoil(self, key: str) -> None:
        (self.folder / key).mkdir(parents=True)

    def restarted(self) -> Action:
        (entry,) = [each for each in custom.found() if each.name == "ip-customblock"]
        return custom.made(entry, {"folder": str(self.folder)})


class TestIpCustomblock(HostContract, CulpritContract):
    """As it is installed: by its entry point."""

    @pytest.fixture
    def subject(self, tmp_path: Path) -> Folder:
        """With an empty folder."""
        return Folder(tmp_path / "blocked")

    def test_what_is_not_its_own_stays(self, subject: Folder) -> None:
        """A file that is named otherwise, a network's, a folder: it neither tells of them nor touches them."""
        others = {"README", "203.0.113.9.new", "203.0.113.0-24", "2001:DB8::9", "127.0.0.1"}
        subject.folder.mkdir()
        for each in others:
            (subject.folder / each).touch()
        (subject.folder / "203.0.113.77").mkdir()
        assert subject.action.inspect() == {}
        done(subject, {"203.0.113.9": None})
        reverted(subject, ["203.0.113.9"])
        assert set(subject.seen()) == others

    def test_a_link_leads_nowhere(self, subject: Folder, tmp_path: Path) -> None:
        """Whoever may write into the folder doesn't get a file made elsewhere, and blocks nobody by it."""
        subject.folder.mkdir()
        (subject.folder / "203.0.113.90").symlink_to(__file__)
        assert subject.action.inspect() == {}
        reverted(subject, ["203.0.113.90"])
        (subject.folder / "203.0.113.9").symlink_to(tmp_path / "elsewhere")
        (result,) = subject.action.apply([effect("203.0.113.9", None)])
        assert result.problem.startswith(str(subject.folder / "203.0.113.9"))
        assert not (tmp_path / "elsewhere").exists()
        reverted(subject, ["203.0.113.9"])
        done(subject, {"203.0.113.9": None})
        in_force(subject, {"203.0.113.9": None})

    @pytest.mark.parametrize("read", [False, True])
    def test_a_pipe_holds_nobody_up(self, subject: Folder, read: bool) -> None:
        """Whoever may write into the folder doesn't stop all other orders, and hasn't blocked anybody by it."""
        path = subject.folder / "203.0.113.9"
        subject.folder.mkdir()
        os.mkfifo(path)
        reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK) if read else None
        (result,) = subject.action.apply([effect(path.name, None)])
        assert result.problem.startswith(f"{path}: ")
        if reader is not None:
            os.close(reader)
        reverted(subject, [path.name])
        done(subject, {path.name: None})


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    """At the start, and not at the first attack."""
    (tmp_path / "file").touch()
    with pytest.raises(ActionError, match=f"{tmp_path}/file: no folder that can be written to"):
        IpCustomblock(folder=str(tmp_path / "file" / "blocked")).prepare()
