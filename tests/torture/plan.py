"""What a run does, from its seed alone: every story that is told to the fleet, every life and its end, every cut.

Each actor draws from a stream of its own, so that how far one gets moves nothing of another's.
"""

import random
from collections.abc import Callable, Iterator, Sequence
from itertools import count
from typing import Literal

from msgspec import Struct

Verb = Literal["block", "unblock", "ask again", "publish", "publish delete"]
Mark = Literal["start", "heard", "request", "order", "burst"]

LONGEST = 20.0  # s that an order of a story lasts, those that stay aside
BURSTS = 1_000_000  # from there on the numbers of an agent's bursts
STAYING = 900.0  # s: longer than any run


class Step(Struct, frozen=True, kw_only=True):
    """One request of a story, `pause` seconds after the one before was accepted."""

    pause: float
    verb: Verb
    timeout: float | None = None  # s; None: until lifted
    name: str = "a"  # of the order within its story
    of: str = ""  # the order that is asked for again, or deleted
    bulk: int = 0  # bytes of the alert that each carries
    count: int = 1  # published at once, each with a timeout that is a little longer than this


class Story(Struct, frozen=True, kw_only=True):
    """What is ordered about one address that no other story is about, on `agents` or (none) on all."""

    number: int
    kind: str
    target: str
    agents: tuple[str, ...]
    pause: float  # s after the story before it began
    steps: tuple[Step, ...]


class Life(Struct, frozen=True, kw_only=True):
    """A daemon's: it ends `more` seconds after its start, after it was heard, or, then, after the next request was
    made, the next order was on its way, or a burst of orders came for it; and it stays away for `away` seconds."""

    mark: Mark
    more: float
    away: float


class Cut(Struct, frozen=True, kw_only=True):
    """A host that nothing reaches and that reaches nobody for `length` seconds, after a `pause`."""

    host: str
    pause: float
    length: float


class Echo(Struct, frozen=True, kw_only=True):
    """Order bodies that are published again, `count` of those that were recorded, from `back` (0 latest, 1 first)."""

    pause: float
    back: float
    count: int


MARKS: tuple[Mark, ...] = ("start", "heard", "request", "order", "burst")
# s after each mark, on the average: it is loaded, it works, the request becomes an order, orders are written down
MOMENT = {"start": 0.3, "heard": 0.7, "request": 0.03, "order": 0.006, "burst": 0.008}
BURST = 25  # orders in a transaction that takes a while
BULK = 8 * 1024  # bytes of each order's alert


def stories(seed: int, agents: Sequence[str], per_second: float) -> Iterator[Story]:
    """One after the other, `per_second` on the average; as many as are wanted."""
    dice = random.Random(f"{seed}/stories")
    number = 0
    while True:
        kind, steps = dice.choices(KINDS, [weight for weight, _, _ in KINDS])[0][1:]
        everywhere = dice.random() < 0.5
        some = sorted(dice.sample(agents, dice.randint(1, len(agents))))
        yield Story(
            number=number,
            kind=kind,
            target=_target(number, dice),
            agents=() if everywhere else tuple(some),
            pause=dice.expovariate(per_second),
            steps=tuple(steps(dice)),
        )
        number += 1


def lives(seed: int, daemon: str, *, patient: bool = False) -> Iterator[Life]:
    """Of one daemon; those of one that is `patient` are longer."""
    dice = random.Random(f"{seed}/lives of {daemon}")
    while True:
        mark: Mark = dice.choices(MARKS, (2, 2, 4, 2, 0) if patient else (2, 2, 1, 3, 3))[0]
        more = dice.expovariate(1 / MOMENT[mark])
        away = dice.choices((dice.uniform(0, 0.1), dice.uniform(0.1, 1), dice.uniform(2, 6)), (12, 6, 1))[0]
        yield Life(mark=mark, more=more + dice.uniform(1, 7) * patient, away=away)


def broker_lives(seed: int) -> Iterator[Life]:
    """The broker takes five seconds to come back, in which nobody else does anything of interest: it lives longer."""
    dice = random.Random(f"{seed}/lives of the broker")
    while True:
        yield Life(mark="order", more=dice.uniform(12, 30), away=dice.choice((0.0, dice.uniform(0, 3))))


def bursts(agent: int, name: str) -> Iterator[Story]:
    """The orders that come for one agent alone when it is about to be killed, one burst after the other."""
    for number in count():
        yield Story(
            number=BURSTS * (agent + 1) + number,
            kind="burst",
            target=f"198.19.{agent * 10 + number // 256}.{number % 256}",
            agents=(name,),
            pause=0,
            steps=(Step(pause=0, verb="publish", timeout=12.0 + number % 6, count=BURST, bulk=BULK),),
        )


def cuts(seed: int, hosts: Sequence[str]) -> Iterator[Cut]:
    """Mostly too short for anybody to notice; some longer than two of AMQP's heartbeats."""
    dice = random.Random(f"{seed}/cuts")
    while True:
        length = dice.choices((dice.uniform(0.2, 2), dice.uniform(2, 7), dice.uniform(12, 28)), (14, 5, 1))[0]
        yield Cut(host=dice.choice(hosts), pause=dice.uniform(1, 5), length=length)


def echoes(seed: int) -> Iterator[Echo]:
    """Mostly of what was sent a moment ago."""
    dice = random.Random(f"{seed}/echoes")
    while True:
        yield Echo(pause=dice.expovariate(2.0), back=dice.random() ** 3, count=dice.randint(1, 4))


def _target(number: int, dice: random.Random) -> str:
    """A host or a network of those that are for benchmarks, documentation and carriers: nobody's own."""
    high, low = divmod(number, 256)
    kind = dice.choices(("host4", "host6", "network4", "network6"), (6, 2, 1, 1))[0]
    match kind:
        case "host4":
            return f"198.{18 + high // 256}.{high % 256}.{low}"
        case "host6":
            return f"2001:db8:dead::{number + 1:x}"
        case "network4":
            return f"100.{64 + high % 64}.{low}.0/{dice.choice((24, 25, 28))}"
        case _:
            return f"2001:db8:{number:x}:100::/{dice.choice((56, 64, 112))}"


def _short(dice: random.Random) -> float:
    return round(dice.uniform(2, LONGEST), 3)


def _block(dice: random.Random) -> list[Step]:
    return [Step(pause=0, verb="block", timeout=_short(dice))]


def _staying(dice: random.Random) -> list[Step]:
    return [Step(pause=0, verb="block", timeout=dice.choice((STAYING, None)))]


def _extended(dice: random.Random) -> list[Step]:
    first = _short(dice)
    later = Step(pause=dice.uniform(0, 0.8 * first), verb="block", timeout=first + dice.uniform(0, 8), name="b")
    return [Step(pause=0, verb="block", timeout=first), later]


def _unchanged(dice: random.Random) -> list[Step]:
    later = Step(pause=dice.uniform(0, 3), verb="block", timeout=dice.uniform(2, 6), name="b")
    return [Step(pause=0, verb="block", timeout=dice.uniform(10, LONGEST)), later]


def _lifted(dice: random.Random) -> list[Step]:
    pause = dice.choice((0.0, dice.uniform(0, 0.3), dice.uniform(0, 8)))
    return [Step(pause=0, verb="block", timeout=dice.choice((None, 60.0))), Step(pause=pause, verb="unblock")]


def _back(dice: random.Random) -> list[Step]:
    again = Step(pause=dice.uniform(0, 3), verb="block", timeout=_short(dice), name="b")
    return [*_lifted(dice), again]


def _later_again(dice: random.Random) -> list[Step]:
    first = dice.uniform(2, 4)
    again = Step(pause=first + dice.uniform(-0.5, 3), verb="block", timeout=_short(dice), name="b")
    return [Step(pause=0, verb="block", timeout=first), again]


def _asked_again(dice: random.Random) -> list[Step]:
    again = [Step(pause=dice.choice((0.0, dice.uniform(0, 9))), verb="ask again", of="a") for _ in range(2)]
    return [*_block(dice), *again]


def _burst(dice: random.Random) -> list[Step]:
    return [Step(pause=0, verb="publish", timeout=_short(dice), count=dice.randint(10, 60))]


def _published(dice: random.Random) -> list[Step]:
    return [Step(pause=0, verb="publish", timeout=_short(dice))]


def _one_of_two(dice: random.Random) -> list[Step]:
    return [
        Step(pause=0, verb="publish", timeout=60.0),
        Step(pause=dice.uniform(0, 1), verb="publish", timeout=dice.uniform(4, LONGEST), name="b"),
        Step(pause=dice.choice((0.0, dice.uniform(0, 4))), verb="publish delete", name="c", of="a"),
    ]


def _overtaken(dice: random.Random) -> list[Step]:
    return [
        Step(pause=0, verb="publish delete", name="c", of="a"),
        Step(pause=dice.choice((0.0, dice.uniform(0, 3))), verb="publish", timeout=dice.uniform(6, 30)),
    ]


Steps = Callable[[random.Random], list[Step]]
KINDS: tuple[tuple[float, str, Steps], ...] = (
    (5, "block", _block),
    (1, "staying", _staying),
    (3, "extended", _extended),
    (2, "unchanged", _unchanged),
    (4, "lifted", _lifted),
    (3, "lifted and back", _back),
    (2, "ended and back", _later_again),
    (2, "asked again", _asked_again),
    (2, "published", _published),
    (1, "burst", _burst),
    (2, "one of two lifted", _one_of_two),
    (2, "delete before its add", _overtaken),
)
