"""One order followed through both daemons' logs by its id, from the alert's order to its closing line."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from tests.integration.a_manager_daemon import ATTACKER, RunningManager, known
from tests.integration.an_agent import NAME, AnAgent
from tests.waiting import eventually

pytestmark = [pytest.mark.root, pytest.mark.broker]


def about(log: Path, order_id: str) -> list[dict[str, Any]]:
    """The lines about one order; every line is JSON with a sentence in lower case, a level and an instant."""
    lines = [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]
    for line in lines:
        assert {"event", "level", "timestamp"} <= line.keys()
        first = line["event"].split()[0]
        assert first.isupper() or first[0] == first[0].lower(), line["event"]
    return [line for line in lines if line.get("order_id") == order_id]


async def test_an_order_is_followed_by_its_id_through_both_daemons(guard, broker, network, tmp_path):
    """The manager gives it, the agent settles and ends it, the manager closes it: each once, in time, with the agent's
    id and the target; and the broker's password is in neither log."""
    for name in ("manager", "agent"):
        (tmp_path / name).mkdir()
    manager = RunningManager(guard, broker, tmp_path / "manager")
    await asyncio.to_thread(manager.start)
    agent = AnAgent(guard, broker, network.host("web1", 11), tmp_path / "agent")
    try:
        await agent.started()
        await known(manager, NAME)
        assert (await asyncio.to_thread(manager.thwart, "block", ATTACKER, "--for", "10m")).returncode == 0
        (order,) = [each for each in manager.get("/v1/orders")["orders"] if each["target"] == ATTACKER]
        assert (await asyncio.to_thread(manager.thwart, "unblock", ATTACKER)).returncode == 0

        def over() -> bool:
            return any(line["action"] == "order_over" for line in about(manager.log, order["id"]))

        await eventually(over, 10)
        here, there = about(manager.log, order["id"]), about(agent.log, order["id"])
        assert [line["action"] for line in here] == ["ordered", "order_over"]
        assert [line["action"] for line in there] == ["settled", "ended"]
        assert {line["agent_id"] for line in there} == {NAME}
        assert {line["target"] for line in [*here, there[1]]} == {ATTACKER}
        assert {line["what"] for line in [*here, there[1]]} == {"firewall-drop"}
        password = broker.url.partition("://")[2].partition("@")[0].partition(":")[2]
        assert password and f":{password}@" not in manager.log.read_text() + agent.log.read_text()
    finally:
        await agent.close()
