"""`thwart events`: what happens to orders, told by a manager that runs, over its restart too."""

import asyncio
import json
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.integration.a_manager_daemon import ATTACKER, THWART, RunningManager
from tests.waiting import eventually

pytestmark = pytest.mark.broker


class Listening:
    """`thwart …` that goes on, its words in files."""

    def __init__(self, manager: RunningManager, folder: Path, *arguments: str) -> None:
        self._out, self._err = folder / "heard.out", folder / "heard.err"
        here = {
            "THWART_API_URL": manager.url,
            "THWART_API_TOKEN_FILE": str(manager.folder / "state" / "api.token"),
        }
        with self._out.open("wb") as out, self._err.open("wb") as err:
            self.process = subprocess.Popen(
                [str(THWART), *arguments], stdout=out, stderr=err, env={**os.environ, **here}
            )

    @property
    def out(self) -> str:
        return self._out.read_text()

    @property
    def err(self) -> str:
        return self._err.read_text()

    def heard(self, kind: str) -> list[dict[str, Any]]:
        """What was heard of one type."""
        some = [json.loads(line) for line in self.out.splitlines(keepends=True) if line.endswith("\n")]
        return [each for each in some if each["type"] == kind]

    def interrupt(self) -> int:
        """Ctrl-C; the exit status."""
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(5)


@contextmanager
def listening(manager: RunningManager, folder: Path, *arguments: str) -> Iterator[Listening]:
    one = Listening(manager, folder, *arguments)
    try:
        yield one
    finally:
        if one.process.poll() is None:
            one.process.kill()
            one.process.wait()


async def test_orders_answers_and_ends_are_told_as_they_come(manager, web1, tmp_path):
    """One JSON object a line, each with its order's id; Ctrl-C ends it cleanly."""
    with listening(manager, tmp_path, "events", "--target", ATTACKER) as listener:
        await eventually(lambda: listener.heard("listening"))
        await asyncio.to_thread(manager.thwart, "block", "203.0.113.77", "--for", "10m", "--no-wait")
        await asyncio.to_thread(manager.thwart, "block", ATTACKER, "--for", "10m", "--no-wait")
        order = (await web1.orders("web1", 2))[1]
        await web1.answer(order, "web1")
        await web1.end(order, "web1")
        (done,) = await eventually(lambda: listener.heard("over"))
        (given,), (answer,), (end,) = (listener.heard(kind) for kind in ("order", "acknowledgement", "expiry"))
        assert listener.interrupt() == 0
        assert listener.err == ""
    assert (given["order"]["id"], given["origin"], given["on_hold"]) == (order.id, "person", False)
    assert (answer["order_id"], answer["agent_id"], answer["target"]) == (order.id, "web1", ATTACKER)
    assert answer["said"]["status"] == "applied" and 0 <= answer["seconds"] < 10
    assert (end["order_id"], end["said"]["outcome"]) == (order.id, "reverted")
    assert (done["order_id"], done["agents"]) == (order.id, {"ended": 1})


async def test_a_listener_outlives_the_manager(manager, web1, tmp_path):
    """The stream's last line says that the manager stops; the listener says a word and hears the next one."""
    with listening(manager, tmp_path, "events") as listener:
        await eventually(lambda: listener.heard("listening"))
        assert await asyncio.to_thread(manager.stop) == 0
        await eventually(lambda: listener.heard("cut-off"))
        await eventually(lambda: "listening again" in listener.err)
        await asyncio.to_thread(manager.start)
        await eventually(lambda: len(listener.heard("listening")) > len(listener.heard("cut-off")))
        await asyncio.to_thread(manager.thwart, "block", ATTACKER, "--no-wait")
        await eventually(lambda: listener.heard("order"))


def test_nobody_to_listen_to_is_said_at_once(manager):
    """What can't be heard from the start is an error like any other's."""
    manager.stop()
    done = manager.thwart("events")
    assert done.returncode == 3
    assert manager.url in done.stderr
