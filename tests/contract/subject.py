"""Subjects of the contract (agent/contract/subject.py): the fake, nftables in a kernel, and how a host is entered."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from agent.actions.action import Action, Effect, Result
from agent.actions.firewall_drop.libnftables import Libnftables
from agent.actions.firewall_drop.nftables import Nftables
from agent.contract.addresses import hosts
from tests.stage import enter
from tests.stage.fake_action import FakeAction
from tests.stage.network import Host
from tests.unit.a_manager import StoppedClock
from tests.waiting import wait_for

T = TypeVar("T")
IMPOSSIBLE = "99999999d"  # a timeout that the kernel refuses


EXAMPLES = ("10.0.0.1", "10.0.0.12", "2001:db8::1", "2001:db8::12")


class Pretended:
    """The fake, whose time is moved by hand."""

    def __init__(self) -> None:
        self._clock = StoppedClock()
        self._fake = FakeAction(self._clock)
        self.action: Action = self._fake
        self.examples, self.many = EXAMPLES, hosts(2_000)

    def seen(self) -> dict[str, float | None]:
        return self._fake.seen()

    def later(self) -> None:
        """It is told at once."""

    def restarted(self) -> Action:
        return self._fake

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
                family = 6 if ":" in host else 4
                commands += f"add element inet thwart hosts{family} {{ {host} timeout {IMPOSSIBLE} }}\n"
        return self._kernel.run(commands)


class Elsewhere:
    """Carries out an action's calls by `call`: in a thread that is where they are to be carried out."""

    def __init__(self, call: Callable[[Callable[[], Any]], Any], action: Action) -> None:
        self.call, self._action = call, action
        self.name, self.backend, self.network, self.exact = action.name, action.backend, action.network, action.exact

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


class There(Elsewhere):
    """In one thread that has entered a host, as the executor's thread is on its own."""

    def __init__(self, host: Host, make: Callable[[], Action]) -> None:
        self._thread = ThreadPoolExecutor(1, initializer=lambda: enter.set_network(host.path))
        super().__init__(self._call, self._call(make))

    def _call(self, function: Callable[[], T]) -> T:
        return self._thread.submit(function).result()

    def close(self) -> None:
        self._thread.shutdown()


class InKernel:
    """The real thing, in the kernel of a host of the stage, whose time passes by itself."""

    def __init__(self, host: Host) -> None:
        self._spoilt: Spoilt | None = None
        self.there = There(host, lambda: Nftables(self._open, pause=lambda _: None))
        self.action: Action = self.there
        self.examples, self.many = EXAMPLES, hosts(2_000)
        self._host, self._restarted = host, list[There]()
        self.action.prepare()
        self._somebody_else, self._onlooker = self.there.call(Libnftables), Nftables()

    def ends(self, key: str, left: float) -> None:
        wait_for(lambda: key not in self.action.inspect(), within=left + 2)

    def flush(self) -> None:
        self.outside("flush ruleset")

    def later(self) -> None:
        """The kernel tells at once."""

    def restarted(self) -> Action:
        self._restarted.append(There(self._host, Nftables))
        return self._restarted[-1]

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
        for each in (self.there, *self._restarted):
            each.close()

    def _open(self) -> Spoilt:
        self._spoilt = Spoilt()
        return self._spoilt
