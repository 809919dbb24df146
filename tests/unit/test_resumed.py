"""What ends the agent that does it: answered by the process that comes after it, and once."""

from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from agent import errands
from agent.actions.action import Call, Result
from agent.actions.tools.process import Limits
from tests.unit.a_script_host import ScriptHost

ONE = "end-it-all"


class Ending:
    """What is known of it depends on which process is asked."""

    name, backend, at_once, just_happens = ONE, "nothing", 10, True

    def __init__(self) -> None:
        self.begun: list[int] = []  # calls each time
        self.asked: list[str] = []
        self.known: Result | None = None

    def key(self, target: str, arguments: Sequence[str], order_id: str) -> str:
        return order_id

    def prepare(self, arguments: Sequence[str]) -> None:
        pass

    def apply(self, calls: Sequence[Call]) -> list[Result]:
        self.begun.append(len(calls))
        return [Result(key=call.key, happened=True, later=True) for call in calls]

    def revert(self, calls: Sequence[Call]) -> list[Result]:
        raise AssertionError("there is nothing to revert")

    def resumed(self, call: Call) -> Result | None:
        self.asked.append(call.key)
        return self.known

    def stop(self) -> None:
        pass


@pytest.fixture
def ending() -> Ending:
    return Ending()


@pytest.fixture
async def host(tmp_path: Path, ending: Ending) -> AsyncIterator[ScriptHost]:
    one = ScriptHost(tmp_path, Limits(), [ending])
    await one.take(*(one.order(ONE, order_id, target="") for order_id in ("o1", "o2")))
    await one.errands_after(1.0)
    yield one
    one.close()


async def test_nothing_is_said_before_it_is_known(host: ScriptHost, ending: Ending) -> None:
    """And it isn't begun again, whatever else comes; an agent that stops waits for nothing."""
    await host.take(host.order(ONE, "o3", target=""))
    await host.errands_after(10.0)
    assert (ending.begun, ending.asked) == ([2], [])
    assert host.said() == []
    assert host.executor.errands.out == 0
    patience = host.executor.errands._patience()
    assert patience is not None
    assert patience <= errands.LATER


async def test_the_next_process_tells(host: ScriptHost, ending: Ending) -> None:
    """Each order once; what came meanwhile is begun then."""
    await host.take(host.order(ONE, "o3", target=""))
    ending.known = Result(key="", happened=True)
    await host.restart()
    await host.errands_after(5.0)
    assert (ending.asked, ending.begun) == (["o1", "o2"], [2, 1])
    assert [host.answers(each) for each in ("o1", "o2", "o3")] == [[("applied", "done")], [("applied", "done")], []]
    await host.errands_after(errands.LATER)
    assert host.counts() == {"Acknowledgement o1": 1, "Acknowledgement o2": 1, "Acknowledgement o3": 1}


async def test_a_process_that_runs_on_tells_that(host: ScriptHost, ending: Ending) -> None:
    """After a minute; nobody waits for the answer for ever."""
    ending.known = Result(key="", problem="it still runs")
    await host.errands_after(errands.LATER - 2.0)
    assert host.said() == []
    await host.errands_after(2.0)
    assert host.answers("o1") == host.answers("o2") == [("failed", "it still runs")]
    assert ending.begun == [2]


async def test_what_nobody_knows_is_interrupted(host: ScriptHost, ending: Ending) -> None:
    """As for every one-shot."""
    await host.restart()
    await host.errands()
    assert host.answer("o1").detail == errands.INTERRUPTED
    assert ending.begun == [2]
