"""Kills daemons, cuts hosts off, and brings them back, as planned; each daemon's end is a thread's work."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import partial

from msgspec import Struct

from shared.messages import Heartbeat, Order
from tests.stage.fleet import Daemon
from tests.stage.judge import Judge
from tests.torture import plan
from tests.torture.a_fleet import Fleet
from tests.torture.history import Away
from tests.torture.load import Load
from tests.torture.plan import Cut, Life, Story
from tests.waiting import wait_for

HEARD = 3.0  # s that a life waits for a sign of it at most, before it goes on as if there had been one
NEXT = 1.5  # s that it waits for an order
BOOT = 1.0  # s after which a manager is worth killing


class Signs:
    """Of life, as the judge hears them."""

    def __init__(self, judge: Judge) -> None:
        self._judge, self._read, self._one = judge, 0, threading.Lock()
        self._started: dict[str, float] = {}

    def of(self, agent: str, since: float) -> bool:
        """True when that agent has said that it is there, after a start at `since`."""
        self._listen()
        return self._started.get(agent, 0.0) >= since

    def _listen(self) -> None:
        with self._one:
            news = self._judge.record(self._read)
            self._read += len(news)
            for _, message in news:
                if isinstance(message, Heartbeat):
                    self._started[message.agent_id] = message.started_at


class Victim(Struct, frozen=True, kw_only=True):
    """Something that is killed, and `quota` times at most."""

    name: str
    kind: str  # agent, manager, broker
    kill: Callable[[], None]
    start: Callable[[], None]
    ended: Callable[[], str]  # its last words, if it isn't running
    heard: Callable[[float], bool]  # has it been seen to work, since it was started at that instant?
    lives: Iterator[Life]
    bursts: Iterator[Story] = iter(())  # that come for it alone
    quota: int


class Havoc:
    """Does all of it, from `start` until every quota is reached or `stop`."""

    def __init__(self, fleet: Fleet, load: Load, victims: Sequence[Victim], cuts: Iterator[Cut]) -> None:
        self._fleet, self._load, self._victims, self._cuts = fleet, load, victims, cuts
        self.kills: Counter[str] = Counter()
        self.cuts_made = 0
        self.away: list[Away] = []  # cuts, and the broker's ends
        self.ended: list[str] = []  # daemons that ended by themselves, with their last words
        self.down: set[str] = set()
        self.cut_off = ""
        self._over = threading.Event()
        self._failures: list[BaseException] = []
        self._killing = [threading.Thread(target=self._live, args=(each,), name=each.name) for each in victims]
        self._cutting = threading.Thread(target=self._cut, name="cuts")

    def start(self) -> None:
        """Begins."""
        for thread in (*self._killing, self._cutting):
            thread.daemon = True
            thread.start()

    @property
    def busy(self) -> bool:
        """True while there is something left to kill."""
        return any(thread.is_alive() for thread in self._killing)

    def stop(self) -> None:
        """Returns when everything is up and joined again. Raises what went wrong meanwhile."""
        self._over.set()
        for thread in (*self._killing, self._cutting):
            thread.join()
        for victim in self._victims:
            self._note(victim)
        if self._failures:
            raise self._failures[0]

    def _live(self, victim: Victim) -> None:
        started = 0.0
        try:
            for life, _ in zip(victim.lives, range(victim.quota), strict=False):
                self._await(victim, life, started)
                if self._over.wait(life.more):
                    return
                self._note(victim)
                victim.kill()
                self.kills[victim.kind] += 1
                self.down.add(victim.name)
                since = time.time()
                self._over.wait(life.away)
                started = time.time()
                victim.start()
                self.down.discard(victim.name)
                if victim.kind == "broker":
                    self.away.append(Away(host=victim.name, since=since, until=time.time()))
        except BaseException as error:
            self._failures.append(error)
            self._over.set()

    def _note(self, victim: Victim) -> None:
        """Nobody may end but by what is done here."""
        if words := victim.ended():
            self.ended.append(f"{victim.name}: {words}")

    def _await(self, victim: Victim, life: Life, started: float) -> None:
        """Returns at the point of its life that `more` counts from."""
        if life.mark != "start":
            self._until(lambda: victim.heard(started), HEARD)
        if life.mark == "burst":
            self._load.tell(next(victim.bursts))
        if life.mark in ("order", "burst"):
            self._fleet.judge.next(Order, NEXT)
        if life.mark == "request":
            before = self._load.asking
            self._until(lambda: self._load.asking > before, NEXT)

    def _until(self, happened: Callable[[], bool], within: float) -> None:
        with suppress(AssertionError):
            wait_for(lambda: self._over.is_set() or happened(), within)

    def _cut(self) -> None:
        try:
            for cut in self._cuts:
                if self._over.wait(cut.pause):
                    return
                host = self._fleet.daemon(cut.host).host
                self._fleet.network.cut(host)
                since, self.cut_off = time.time(), cut.host
                self._over.wait(cut.length)
                self._fleet.network.mend(host)
                self.cut_off = ""
                self.away.append(Away(host=cut.host, since=since, until=time.time()))
                self.cuts_made += 1
        except BaseException as error:
            self._failures.append(error)
            self._over.set()


def victims(fleet: Fleet, signs: Signs, seed: int, kills: int) -> list[Victim]:
    """Everybody who may be killed, and how often: of a hundred kills the broker gets two, the manager ten."""
    broker, manager = max(1, round(kills * 0.02)), max(1, round(kills * 0.1))
    left = kills - broker - manager
    some = [
        Victim(
            name="broker1",
            kind="broker",
            kill=fleet.broker.kill,
            start=fleet.broker.start,
            ended=lambda: "" if fleet.broker.running else "it isn't running",
            heard=lambda since: True,
            lives=plan.broker_lives(seed),
            quota=broker,
        ),
        Victim(
            name="manager1",
            kind="manager",
            kill=fleet.manager.kill,
            start=fleet.manager.start,
            ended=partial(_last_words, fleet.manager),
            heard=lambda since: time.time() > since + BOOT,
            lives=plan.lives(seed, "manager1", patient=True),
            quota=manager,
        ),
    ]
    for number, (name, agent) in enumerate(fleet.agents.items()):
        share = left // len(fleet.agents) + (number < left % len(fleet.agents))
        some.append(
            Victim(
                name=name,
                kind="agent",
                kill=agent.kill,
                start=agent.start,
                ended=partial(_last_words, agent),
                heard=partial(signs.of, name),
                lives=plan.lives(seed, name),
                bursts=plan.bursts(number, name),
                quota=share,
            )
        )
    return some


def _last_words(daemon: Daemon) -> str:
    return "" if daemon.running else daemon.process.last_words(5)
