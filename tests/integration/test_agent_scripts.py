"""Scripts on a real agent: announced, started, and in nobody's way."""

import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.integration.an_agent import AnAgent, a_delete, an_order
from tests.stage.broker import Broker
from tests.stage.guard import Guard
from tests.stage.network import Network
from tests.waiting import eventually

pytestmark = [pytest.mark.root, pytest.mark.broker]
HANGS = "#!/bin/sh\ntouch {folder}/started\nexec sleep 60\n"
NOTES = '#!/bin/sh\nread -r line; echo "$line" >> {folder}/said\n'
ATTACKER, OTHER = "203.0.113.9", "203.0.113.10"
LATE = 1.0  # s


@pytest.fixture
async def agent(guard: Guard, broker: Broker, network: Network, tmp_path: Path) -> AsyncIterator[AnAgent]:
    scripts = tmp_path / "scripts"
    scripts.mkdir(mode=0o755)
    for name, text in (("hangs.sh", HANGS), ("notes.sh", NOTES), ("open.sh", NOTES)):
        (scripts / name).write_text(text.format(folder=tmp_path))
        (scripts / name).chmod(0o777 if name == "open.sh" else 0o755)
    one = AnAgent(guard, broker, network.host("web1", 11), tmp_path, scripts=str(scripts), script_timeout=4)
    yield one
    await one.close()


async def test_a_script_that_hangs_holds_up_no_block(agent: AnAgent, tmp_path: Path) -> None:
    """A block comes into force, ends and is lifted meanwhile, each at once and in the kernel; it is killed at last."""
    await agent.started()
    beat = agent.heartbeats()[-1]
    scripts = [name for name, backend in beat.actions.items() if backend == "script"]
    assert (beat.actions["firewall-drop"], scripts) == ("nftables", ["hangs.sh", "notes.sh"])
    assert "open.sh" in beat.unsupported
    hanging = [an_order(f"h{number}", f"10.0.0.{number}", action="hangs.sh") for number in range(1, 9)]
    await agent.send(*hanging)
    await eventually((tmp_path / "started").exists)
    began = time.monotonic()
    short, long = an_order("short", timeout=1.5), an_order("long", OTHER)
    await agent.send(short, long)
    assert (await agent.answered(short)).detail == "new"
    assert set(agent.in_force()) == {ATTACKER, OTHER}
    await agent.send(a_delete("lift", "long", target=OTHER))
    assert (await agent.answered("lift")).status == "lifted"
    end = await agent.ended(short)
    assert end.at == pytest.approx(short.expires_at, abs=LATE)
    assert agent.in_force() == {}
    assert time.monotonic() - began < 1.5 + 2 * LATE
    assert agent.answers(hanging[0]) == []
    answer = await agent.answered(hanging[0])
    assert (answer.status, answer.detail) == ("failed", "killed: it had not ended within its time limit")


async def test_a_lift_on_the_host_ends_what_a_script_did(agent: AnAgent, tmp_path: Path) -> None:
    """Whether the daemon runs or not: `thwart-agent lift` tells the script and says what was ended."""
    await agent.started()
    for order_id, target in (("o1", ATTACKER), ("o2", OTHER)):
        await agent.send(an_order(order_id, target, action="notes.sh"))
    await agent.answered("o2")
    await agent.answered("o1")
    lifted = agent.command("lift", ATTACKER)["lifted"]
    assert lifted == [{"action": "notes.sh", "target": ATTACKER, "orders": 1}]
    assert agent.stop() == 0
    assert [each["target"] for each in agent.command("lift", "--all")["lifted"]] == [OTHER]
    commands = [line.split('"command":"')[1].split('"')[0] for line in (tmp_path / "said").read_text().splitlines()]
    assert commands == ["add", "add", "delete", "delete"]
