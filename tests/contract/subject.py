"""What the contract suite of actions is run against: an action, and the ways to look at it and to disturb it."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol, TypeVar

from agent.actions.action import Action, Effect, Result
from agent.actions.libnftables import Libnftables
from agent.actions.nftables import Nftables
from tests.stage import enter
from tests.stage.fake_action import FakeAction
from tests.stage.network import Host
from tests.unit.a_manager import StoppedClock
from tests.waiting import wait_for

T = TypeVar("T")
IMPOSSIBLE = "99999999d"  # a timeout that the kernel refuses


class Subject(Protocol):
    """An action that is prepared, with nothing in force."""

    action: Action

    def ends(self, key: str, left: float) -> None:
        """Returns when `key` isn't in force any more, some time after `left` seconds. Fails when it stays."""

    def flush(self) -> None:
        """Somebody else clears what is in force away, and what `prepare` made."""

    def spoil(self, key: str) -> None:
        """From now on the host can't carry out `key`."""


class Pretended:
    """The fake, whose time is moved by hand."""

    def __init__(self) -> None:
        self._clock = StoppedClock()
        self._fake = FakeAction(self._clock)
        self.action: Action = self._fake

    def ends(self, key: str, left: float) -> None:
        self._clock.passed += left
        assert key not in self.action.inspect()

    def flush(self) -> None:
        self._fake.flush()

    def spoil(self, key: str) -> None:
        self._fake.failing[key] = "can't be done"


class Spoilt:
    """The kernel itself, made to refuse whatever has to do with some hosts."""

    def __init__(self) -> None:
        self._kernel = Libnftables()
        self.hosts: set[str] = set()

    def run(self, commands: str) -> str:
        for host in self.hosts:
            if f" {host} " in commands or f" {host}," in commands:
                commands += f"add element inet thwart hosts4 {{ {host} timeout {IMPOSSIBLE} }}\n"
        return self._kernel.run(commands)


class There:
    """Carries out an action's calls in one thread that has entered a host, as the executor's thread is on its own."""

    def __init__(self, host: Host, make: Callable[[], Action]) -> None:
        self._thread = ThreadPoolExecutor(1, initializer=lambda: enter.set_network(host.path))
        self._action = self.call(make)
        self.name, self.backend, self.network = self._action.name, self._action.backend, self._action.network

    def call(self, function: Callable[[], T]) -> T:
        return self._thread.submit(function).result()

    def key(self, target: str, arguments: Sequence[str]) -> str:
        return self._action.key(target, arguments)

    def prepare(self) -> None:
        self.call(self._action.prepare)

    def apply(self, effects: Sequence[Effect]) -> list[Result]:
        return self.call(lambda: self._action.apply(effects))

    def revert(self, effects: Sequence[Effect]) -> list[Result]:
        return self.call(lambda: self._action.revert(effects))

    def inspect(self) -> dict[str, float | None]:
        return self.call(self._action.inspect)

    def moved(self) -> bool:
        return self.call(self._action.moved)

    def close(self) -> None:
        self._thread.shutdown()


class InKernel:
    """The real thing, in the kernel of a host of the stage, whose time passes by itself."""

    def __init__(self, host: Host) -> None:
        self._spoilt: Spoilt | None = None
        self.there = There(host, lambda: Nftables(self._open, pause=lambda _: None))
        self.action: Action = self.there
        self.action.prepare()
        self._somebody_else, self._onlooker = self.there.call(Libnftables), Nftables()

    def ends(self, key: str, left: float) -> None:
        wait_for(lambda: key not in self.action.inspect(), within=left + 2)

    def flush(self) -> None:
        self.outside("flush ruleset")

    def outside(self, commands: str) -> None:
        """Somebody else changes the firewall."""
        self.there.call(lambda: self._somebody_else.run(commands))

    def seen(self) -> dict[str, float | None]:
        """What is in force, looked up by somebody else than the action."""
        return self.there.call(self._onlooker.inspect)

    def spoil(self, key: str) -> None:
        assert self._spoilt is not None
        self._spoilt.hosts.add(key)

    def close(self) -> None:
        """Leaves the host as it was found."""
        self.flush()
        self.there.close()

    def _open(self) -> Spoilt:
        self._spoilt = Spoilt()
        return self._spoilt
