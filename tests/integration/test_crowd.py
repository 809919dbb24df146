"""The simulated agents that fleets are measured with: they join, answer, beat and come back as agents do."""

import json
import resource
import sys
import time
from collections.abc import Iterator

import pytest

from tests.bench.crowd import Crowd, heard, let_open, say
from tests.stage.guard import Guard
from tests.waiting import wait_for

pytestmark = [pytest.mark.broker, pytest.mark.root]

AGENTS, PROCESSES = 5, 2


@pytest.fixture(scope="module")
def crowd(tmp_path_factory) -> Iterator[Crowd]:
    """Five in two processes, all of whom have joined."""
    with Guard() as guard:
        one = Crowd(guard, tmp_path_factory.mktemp("crowd"), AGENTS, PROCESSES, raw=True)
        one.join()
        yield one
        one.close()


def test_everybody_answers_an_order_to_all(crowd):
    """Each is expected and answers once, and the broker has two connections and a queue and a lock of each."""
    answered = crowd.one()
    assert len(answered.took) == AGENTS
    assert 0 < answered.took[0] <= answered.took[-1] <= answered.last
    assert sum(each.answered for each in crowd.states()) >= AGENTS
    assert crowd.count("length(rabbit_networking:connections())") == 2 * AGENTS + 3  # the manager has three
    assert crowd.count("length(rabbit_amqqueue:list_names())") == 2 * AGENTS + 6  # and six queues


@pytest.mark.full  # ten seconds between two heartbeats
def test_heartbeats_say_what_the_agents_hold_and_which_allowlist_they_have(crowd):
    """So the manager, who compares, has nothing to send again."""
    crowd.one()
    wait_for(lambda: _agree(crowd), 40.0)
    assert sum(each.repeated for each in crowd.states()) == 0


def test_raw_messages_are_answered_past_the_manager(crowd, tmp_path):
    """By each agent once; the manager takes none of it for an order, and has nothing to set aside."""
    orders = crowd.row("SELECT count(*) FROM orders")
    raw = crowd.start(
        [sys.executable, "-m", "tests.stage.raw_round", crowd.secrets.urls("manager")[0], str(AGENTS)],
        tmp_path / "raw.log",
    )
    assert heard(raw) == "ready\n"
    for _ in range(2):
        say(raw)
        began, ended = json.loads(heard(raw))
        assert began < ended
    raw.communicate(timeout=20)
    crowd.one()  # whatever came before this has been heard
    assert crowd.row("SELECT count(*) FROM orders") == orders + 1
    assert crowd.row("SELECT count(*) FROM dead_letters") == 0


def test_everybody_comes_back_and_answers_what_was_ordered_meanwhile(crowd):
    """After a restart of the broker, with connections that are new."""
    before = sum(each.connections for each in crowd.states())
    crowd.broker.stop()
    stopped, order_id = time.time(), crowd.order()
    crowd.broker.start()
    assert len(crowd.answered(order_id, stopped).took) == AGENTS
    assert crowd.all_connected(stopped) > stopped
    assert sum(each.connections for each in crowd.states()) >= before + 2 * AGENTS


def test_a_crowd_has_room_for_its_connections():
    """Whatever the limit of open files that this machine begins with; a higher one is left."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (900, before[1]))
        let_open(1_000)
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (1_000, before[1])
        let_open(950)
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (1_000, before[1])
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def _agree(crowd: Crowd) -> bool:
    held = crowd.row("SELECT count(*) FROM orders")
    said = crowd.manager.get("/v1/agents")["agents"]
    return len(said) == AGENTS and all(each["holds"] == held and each["policy_current"] for each in said)
