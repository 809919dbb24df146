"""Thwart's main job, told as a story: an attack, blocks on three hosts, answers, their end, and a longer second time.

Every part is real and looked at from outside; one that did not really happen makes the exit status 1.
"""

import argparse
import json
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

import msgspec
from msgspec import Struct

from shared import log
from shared.errors import ThwartError
from shared.messages import Acknowledgement, Expiry
from shared.settings import LogSettings
from tests.stage.attacker import NOBODY
from tests.stage.fleet import OSSEC_CONF, Fleet
from tests.stage.guard import Guard
from tests.stage.kernel import KernelWatch
from tests.stage.probe import Listener
from tests.stage.story import BYSTANDER, PARTS, Block, Life, Place, Scene, check
from tests.stage.timeline import Timeline

EVERYONE = ("manager1", "web1", "web2")
BRUTE, RETURNING = "203.0.113.77", "203.0.113.66"
THREE: frozenset[Place] = frozenset({("local", ("web1",)), ("agent", ("web1", "web2")), ("server", ())})
UNKNOWN_USER, KNOWN_USER = "Failed password for invalid user ", "Failed password for "
BLOCKS = (
    Block(
        name="first",
        title="1. An attack on web1, and three responses: the host itself, a list of hosts, the manager's host",
        source=RETURNING,
        users=NOBODY,
        failure=UNKNOWN_USER,
        rule="5712",
        places=THREE,
        timeout=5.0,
        offence=1,
    ),
    Block(
        name="everywhere",
        title="2. Somebody else guesses the password of a user that exists: another rule, blocked everywhere",
        source=BRUTE,
        users=("root",),
        failure=KNOWN_USER,
        rule="5763",
        places=frozenset({("all", ())}),
        timeout=5.0,
        offence=1,
    ),
    Block(
        name="again",
        title="3. The first one comes back: this time it takes longer",
        source=RETURNING,
        users=NOBODY,
        failure=UNKNOWN_USER,
        rule="5712",
        places=THREE,
        timeout=10.0,
        offence=2,
    ),
)


class Step(Struct, frozen=True, kw_only=True):
    """A part of the story. `at` is Unix seconds, null when it was not reached."""

    name: str
    ok: bool
    at: float | None
    why: str = ""


class Demo:
    """Plays the story; `steps` is what became of it."""

    def __init__(self, guard: Guard, timeline: Timeline, ossec_conf: Path) -> None:
        self._guard, self._tell, self._ossec_conf = guard, timeline, ossec_conf
        self._fleet: Fleet | None = None
        self._scene: Scene | None = None
        self._lives: list[Life] = []
        self.steps: list[Step] = []

    def play(self) -> bool:
        """Whether every step happened. After one that did not the rest isn't tried."""
        parts: list[tuple[str, Callable[[], None]]] = [("stage set", self._set_stage), ("open before", self._open)]
        for block in BLOCKS:
            parts += [(f"{block.name}: {part}", partial(self._live, block, part)) for part in PARTS]
        return self._act(parts)

    def close(self) -> None:
        """Nothing runs any more when the guard has closed too."""
        if self._scene:
            self._scene.judge.close()
        if self._fleet:
            self._fleet.close()

    @property
    def latencies(self) -> dict[str, dict[str, float]]:
        """By agent and stage, in milliseconds: those of the block that took longest."""
        found: dict[str, dict[str, float]] = {}
        for agent in EVERYONE:
            mine = [life.latencies[agent] for life in self._lives if agent in life.latencies]
            if mine:
                found[agent] = max(mine, key=lambda each: each["line_to_applied"])
        return found

    def record(self) -> dict[str, Any]:
        """What a machine wants to know."""
        judge = self._scene.judge if self._scene else None
        return {
            "ok": all(step.ok for step in self.steps) and bool(self.steps),
            "took_s": round(time.time() - self._tell.began, 3),
            "steps": msgspec.to_builtins(self.steps),
            "latency_ms": {
                agent: {stage: round(value, 3) for stage, value in stages.items()}
                for agent, stages in self.latencies.items()
            },
            "orders": msgspec.to_builtins(judge.orders) if judge else [],
            "acknowledgements": msgspec.to_builtins(judge.heard(Acknowledgement)) if judge else [],
            "expiries": msgspec.to_builtins(judge.heard(Expiry)) if judge else [],
        }

    def finish(self, name: str, why_not: str) -> None:
        """Adds a last step, which is well when there is nothing to say against it."""
        self.steps.append(Step(name=name, ok=not why_not, at=time.time(), why=why_not))

    def left(self) -> list[str]:
        """What is still there: folders, namespaces, processes."""
        return self._fleet.left() if self._fleet else []

    def _act(self, parts: Sequence[tuple[str, Callable[[], None]]]) -> bool:
        for number, (name, part) in enumerate(parts):
            try:
                part()
            except Exception as error:  # whatever it is, the step did not happen
                self.finish(name, str(error) or repr(error))
                self._tell.bad("", f"{name}: {error}")
                self._tell.small_print(self._fleet.last_words() if self._fleet else {})
                self.steps += [Step(name=rest, ok=False, at=None, why="not reached") for rest, _ in parts[number + 1 :]]
                return False
            self.finish(name, "")
        return True

    def _live(self, block: Block, part: str) -> None:
        assert self._scene is not None
        if part == PARTS[0]:
            self._lives.append(Life(self._scene, block))
        self._lives[-1].live(part)

    def _set_stage(self) -> None:
        self._tell.chapter("A fleet in network namespaces of its own")
        folder = Path(tempfile.mkdtemp(prefix="thwart-"))
        self._guard.folder(folder)
        fleet = self._fleet = Fleet(self._guard, folder, ossec_conf=self._ossec_conf)
        with self._tell.waiting("starting RabbitMQ, sshd, the manager and three agents"):
            fleet.start()
        self._scene = Scene(
            fleet=fleet,
            judge=fleet.judge(),
            watches={name: KernelWatch(self._guard, fleet.hosts[name]) for name in EVERYONE},
            listeners={name: Listener(fleet.hosts[name]) for name in EVERYONE},
            timeline=self._tell,
        )
        self._tell.say("manager1", f"{fleet.hosts['manager1'].address}: RabbitMQ, the manager, an agent (role server)")
        self._tell.say("web1", f"{fleet.hosts['web1'].address}: an agent, and an sshd that logs through rsyslog")
        self._tell.say("web2", f"{fleet.hosts['web2'].address}: an agent")

    def _open(self) -> None:
        assert self._scene is not None
        reached = self._scene.reached(RETURNING, BRUTE, BYSTANDER)
        closed = [f"{source} → {name}" for (name, source), works in reached.items() if not works]
        check(not closed, f"no connection before anything happened: {', '.join(closed)}")
        self._tell.good("attacker", f"{RETURNING}, {BRUTE} and {BYSTANDER} reach port 8080 of all three hosts")


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit status: 0 when everything happened, 1 when not, 130 and the like when interrupted."""
    wanted = _arguments(arguments)
    log.configure(LogSettings(level="error", format="text"))
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    timeline = Timeline(to_error=wanted.json)
    guard = Guard()
    demo = Demo(guard, timeline, wanted.ossec_conf)
    interrupted = 0
    try:
        demo.play()
    except SystemExit as signalled:
        interrupted = int(str(signalled.code))
    record = _clear(demo, guard, interrupted)
    _close(demo, timeline, record)
    if wanted.json:
        print(json.dumps(record))
    return interrupted or int(not record["ok"])


def _clear(demo: Demo, guard: Guard, interrupted: int) -> dict[str, Any]:
    """Removes everything; the story's record, with that as its last step."""
    with suppress(ThwartError, OSError):
        demo.close()
    guard.close()
    if interrupted:
        demo.finish("to the end", f"interrupted by signal {interrupted - 128}")
    demo.finish("all removed", ", ".join(demo.left()))
    return demo.record()


def _close(demo: Demo, timeline: Timeline, record: dict[str, Any]) -> None:
    happened = sum(step.ok for step in demo.steps)
    counts = [f"{len(record[what])} {what}" for what in ("orders", "acknowledgements", "expiries")]
    closing = [f"{happened} of {len(demo.steps)} steps happened: {', '.join(counts)}, in {record['took_s']:.0f} s."]
    closing += [f"Not so: {step.name}." for step in demo.steps if not step.ok and step.at]
    closing += ["Nothing of it is left on this machine."] if demo.steps[-1].ok else []
    timeline.summary(demo.latencies, closing, ok=record["ok"])


def _interrupt(number: int, _: FrameType | None) -> None:
    for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(each, signal.SIG_IGN)  # once is enough, and what follows is cleaning up
    raise SystemExit(128 + number)


def _arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/demo", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "--json", action="store_true", help="one JSON object on standard output, the story on the other"
    )
    parser.add_argument("--ossec-conf", type=Path, default=OSSEC_CONF, help="respond by another configuration")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
