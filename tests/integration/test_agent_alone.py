"""The agent daemon when the broker comes and goes, its queue is deleted, or another host has its id."""

from pathlib import Path

import pytest

from tests.integration.an_agent import AnAgent, an_order
from tests.stage.broker import Broker
from tests.stage.guard import Guard
from tests.stage.network import Network
from tests.waiting import eventually

pytestmark = [pytest.mark.root, pytest.mark.broker]
ATTACKER = "203.0.113.9"


async def test_blocks_end_and_are_told_though_the_broker_is_away(agent: AnAgent, broker: Broker) -> None:
    """Expiry waits for nobody: the end is on time, and is told when the broker is back."""
    await agent.started()
    order = an_order("o1", timeout=2.5)
    await agent.send(order)
    await agent.answered(order)
    broker.node.stop()
    await eventually(lambda: agent.in_force() == {}, 5)
    await eventually(lambda: agent.unsent() == 1)
    broker.node.start()
    after = an_order("o2")
    await agent.send(after)
    answer, end, next_answer = await agent.kept_for_managers(3)
    assert (answer.order_id, end.order_id, next_answer.order_id) == ("o1", "o1", "o2")
    assert (end.outcome, end.at) == ("reverted", pytest.approx(order.expires_at, abs=0.3))


async def test_a_queue_that_was_deleted_is_made_anew_and_told_at_once(agent: AnAgent) -> None:
    """The manager has to know: what was in the old one is lost. It is said once, and the next heartbeat says kept."""
    await agent.started()
    before = len(agent.heartbeats())
    await agent.delete_queue()
    await eventually(lambda: [each.queue for each in agent.heartbeats()[before:]] == ["new"], 5)
    order = an_order("o1")
    await agent.send(order)
    assert (await agent.answered(order)).status == "applied"


async def test_a_second_host_with_this_id_takes_no_orders_until_the_first_is_gone(
    agent: AnAgent, guard: Guard, broker: Broker, network: Network, tmp_path: Path
) -> None:
    """It says nothing either, or a manager would take it for the first; then it takes over."""
    await agent.started()
    (tmp_path / "second").mkdir()
    second = AnAgent(guard, broker, network.host("web2", 12), tmp_path / "second")
    second.start()
    await eventually(lambda: any("LOCKED" in line["error"] for line in second.logged("broker_retry")), 15)
    first = an_order("o1")
    await agent.send(first)
    await agent.answered(first)
    assert second.in_force() == {}
    assert {each.journal for each in agent.heartbeats()} == {agent.heartbeats()[0].journal}
    agent.stop()
    await eventually(lambda: len({each.journal for each in agent.heartbeats()}) == 2, 15)
    other = an_order("o2")
    await agent.send(other)
    await second.answered(other)
    assert set(second.in_force()) == {ATTACKER}
    assert second.stop() == 0
    await second.close()


async def test_metrics_count_answers_ends_and_what_is_in_force(agent: AnAgent) -> None:
    """By status and outcome, with the time that applying took; no label is an address."""
    await agent.started()
    order, protected = an_order("o1", timeout=1.2), an_order("o2", "127.0.0.1")
    await agent.send(order, protected)
    await agent.ended(order)
    text = agent.metrics()
    for line in (
        'thwart_acknowledgements_total{status="applied"} 1.0',
        'thwart_acknowledgements_total{status="refused"} 1.0',
        'thwart_expiries_total{outcome="reverted"} 1.0',
        "thwart_apply_seconds_count 1.0",
        'thwart_reconnects_total{link="consume"} 0.0',
        "thwart_unsent ",
    ):
        assert line in text
    assert ATTACKER not in text


async def test_without_the_right_to_change_the_firewall_it_says_so_and_goes_on(agent: AnAgent) -> None:
    """A sentence and no traceback: whoever mends it later has an agent that uses it then."""
    agent.start_powerless()
    await eventually(lambda: agent.logged("started"), 15)
    (said,) = [each["event"] for each in agent.logged("trouble") if each["trouble"] == "firewall"]
    assert said.startswith("firewall-drop can't be carried out on this host: nftables: ")
    assert agent.stop() == 0
    assert "Traceback" not in agent.log.read_text()


async def test_it_starts_without_a_broker_and_takes_over_what_was_in_force(agent: AnAgent, broker: Broker) -> None:
    """The broker need not be there: blocks are applied again, and the command line works."""
    await agent.started()
    order = an_order("o1")
    await agent.send(order)
    await agent.answered(order)
    agent.stop()
    agent.host.run("nft", "flush", "ruleset")
    broker.node.stop()
    agent.start()
    await eventually(lambda: set(agent.in_force()) == {ATTACKER})
    assert len(agent.command("lift", ATTACKER)["lifted"]) == 1
    assert agent.stop() == 0
