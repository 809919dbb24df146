"""What the contract suite is run against on systems that aren't here: an action with simulated tools."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection
from pathlib import Path

from msgspec.structs import replace

from agent.actions.action import Action
from agent.actions.tools.lookout import EVERY, Lookout
from agent.actions.tools.tool import Tool, Tools
from agent.contract.addresses import hosts
from agent.contract.subject import Stopwatch
from tests.stage.simulators.host import State, load, save
from tests.stage.simulators.install import install

_PREPARED: dict[type, State] = {}  # what each kind of host has then: a fifth of all starts of tools was for that


class Simulated(ABC):
    """A host of its own with `programs` on it; prepared, with nothing in force."""

    programs: tuple[str, ...]
    examples = ("203.0.113.9", "203.0.113.90", "2001:db8:bad::9")
    many = hosts(400)

    def __init__(self, folder: Path) -> None:
        self._host = str(folder / "host")
        self._clock = Stopwatch()
        self.tools = install(folder, *self.programs)
        self.action = self.restarted()
        kept = _PREPARED.get(type(self))
        if kept is None:
            self.begin()
            self.action.prepare()
            kept = _PREPARED[type(self)] = self.kept
        save(kept, self._host)

    @abstractmethod
    def begin(self) -> None:
        """What an administrator has set up before, if anything is to be."""

    @abstractmethod
    def made(self, tools: Tools) -> Action:
        """The action with these tools."""

    @abstractmethod
    def seen(self) -> Collection[str]:
        """What the host drops, as the simulated kernel judges packets."""

    @abstractmethod
    def flush(self) -> None:
        """Somebody else clears it away, with the tool."""

    def restarted(self) -> Action:
        return self.made(self.tools)

    def later(self) -> None:
        self._clock.now += EVERY

    @property
    def lookout(self) -> Lookout:
        """With the clock that `later` moves."""
        return Lookout(clock=self._clock)

    @property
    def kept(self) -> State:
        """What the host's kernel has. A copy."""
        return load(self._host)

    def change(self, what: Callable[[State], object]) -> None:
        """Does something to what the host's kernel has."""
        kept = self.kept
        what(kept)
        save(kept, self._host)

    def spoil(self, key: str) -> None:
        """The kernel has no memory for this one."""
        self.change(lambda kept: [each.setdefault("spoilt", []).append(key) for each in kept.values()])

    def run(self, program: str, *arguments: str, said: str = "") -> str:
        """Somebody else uses a tool."""
        return Tool(program, self.tools).run(*arguments, said=said)

    def answering(self, folder: Path, program: str, arguments: str, answer: str) -> Action:
        """The action with a `program` that does something else for some arguments: a shell's pattern, and its commands.

        When those don't end it, it does what was wanted.
        """
        folder.mkdir()
        (folder / program).write_text(
            f"""#!/bin/sh
            case "$*" in {arguments}) {answer};; esac
            exec {self.tools.path}/{program} "$@"
            """
        )
        (folder / program).chmod(0o755)
        return self.made(replace(self.tools, path=f"{folder}:{self.tools.path}"))
