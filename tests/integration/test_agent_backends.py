"""The agent daemon with more than one firewall on its host: which blocks, what is said of the others, and a change."""

import pytest

from tests.integration.an_agent import AnAgent, an_order

pytestmark = [pytest.mark.root, pytest.mark.broker]
ATTACKER, OTHER = "203.0.113.9", "203.0.113.10"
RULE = f"-A thwart -s {ATTACKER}/32 -j DROP"


@pytest.fixture
def agent(agent: AnAgent) -> AnAgent:
    agent.module = "tests.integration.an_agent_that_chooses"
    return agent


async def test_a_firewall_is_chosen_explained_and_left_for_a_better_one(agent: AnAgent) -> None:
    """As its heartbeats say. What the former one blocks is blocked by the next one alone, and ends by it. So it is with
    the command that lifts in place of a daemon.
    """
    agent.environment = {"THWART_ACTIONS_FIREWALL": "iptables"}
    await agent.started()
    beat = agent.heartbeats()[-1]
    assert beat.actions["firewall-drop"] == "iptables"
    assert beat.passed_over["firewall-drop"].startswith("nftables: the setting actions.firewall is iptables; ipset: ")
    order, other = an_order("o1", timeout=20.0), an_order("o2", OTHER)
    await agent.send(order, other)
    assert (await agent.answered(other)).detail == (await agent.answered(order)).detail == "new"
    assert RULE in agent.host.run("iptables", "-S")
    assert agent.stop() == 0
    assert [each["target"] for each in agent.command("lift", OTHER)["lifted"]] == [OTHER]
    assert "203.0.113" not in agent.host.run("iptables", "-S")
    assert set(agent.in_force()) == {ATTACKER}
    agent.environment = {"THWART_ACTIONS_FIREWALL": "iptables"}
    await agent.started()
    assert (RULE in agent.host.run("iptables", "-S"), agent.in_force()) == (True, {})
    assert agent.stop() == 0
    agent.environment = {}
    await agent.started()
    beat = agent.heartbeats()[-1]
    assert (beat.actions["firewall-drop"], beat.passed_over) == ("nftables", {})
    assert RULE not in agent.host.run("iptables", "-S")
    assert agent.in_force() == {ATTACKER: pytest.approx(order.expires_at - beat.at, abs=5.0)}
    assert agent.command("lift", ATTACKER)["lifted"]
    assert agent.in_force() == {}
    assert agent.stop() == 0
