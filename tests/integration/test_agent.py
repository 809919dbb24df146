"""The agent daemon, real in every part: broker, journal, kernel, process."""

import asyncio
import os
import stat
from collections.abc import AsyncIterator
from pathlib import Path

import msgpack
import msgspec
import pytest

from shared import codec, topology
from shared.broker import Consumer
from shared.errors import ThwartError
from shared.ids import fingerprint
from tests.integration.an_agent import COMMAND, NAME, AnAgent, a_delete, an_order
from tests.stage.broker import Broker
from tests.stage.guard import Guard
from tests.stage.network import Network
from tests.waiting import eventually

pytestmark = [pytest.mark.root, pytest.mark.broker]
ATTACKER, OTHER = "203.0.113.9", "2001:db8:bad::9"


@pytest.fixture
async def agent(guard: Guard, broker: Broker, network: Network, tmp_path: Path) -> AsyncIterator[AnAgent]:
    one = AnAgent(guard, broker, network.host("web1", 11), tmp_path, allow=["198.51.100.0/24"])
    yield one
    await one.close()


async def test_an_order_blocks_is_answered_ends_and_says_so(agent: AnAgent) -> None:
    """An order's whole life: in the kernel, acknowledged, ended on time, told once each."""
    await agent.started()
    order = an_order("o1", timeout=1.5)
    await agent.send(order)
    answer = await agent.answered(order)
    assert (answer.status, answer.detail) == ("applied", "new")
    assert answer.expires_at == pytest.approx(order.expires_at, abs=0.2)
    assert 0 < (agent.in_force()[ATTACKER] or 0) <= 1.5
    end = await agent.ended(order)
    assert (end.cause, end.outcome, end.target) == ("timeout", "reverted", ATTACKER)
    assert end.at == pytest.approx(order.expires_at, abs=0.3)
    assert agent.in_force() == {}
    await eventually(lambda: agent.unsent() == 0)
    assert agent.stop() == 0
    assert len(agent.answers(order)) == len(agent.ends(order)) == 1


async def test_a_network_is_blocked_until_its_own_end(agent: AnAgent) -> None:
    """With one inside it and a host in both; a lift of the host says what goes on covering it."""
    await agent.started()
    wide, narrow, host = "203.0.113.0/24", "203.0.113.0/25", ATTACKER
    orders = [an_order("w", wide, 600.0), an_order("n", narrow, 1.5), an_order("h", host, None)]
    await agent.send(*orders)
    for order in orders:
        assert (await agent.answered(order)).detail == "new"
    assert set(agent.in_force()) == {wide, narrow, host}
    assert (await agent.ended(orders[1])).detail == f"still covered by {wide}"
    await agent.send(a_delete("d1", "h"))
    assert (await agent.answered("d1")).detail == f"still covered by {wide}"
    assert set(agent.in_force()) == {wide}
    await agent.send(a_delete("d2", "w", target=wide))
    assert (await agent.answered("d2")).detail == ""
    assert agent.in_force() == {}


async def test_an_order_delivered_twice_is_carried_out_once(agent: AnAgent) -> None:
    """A repeat gets the recorded answer again, word for word, and no second execution."""
    await agent.started()
    order = an_order("o1")
    await agent.send(order)
    first = await agent.answered(order)
    before = agent.in_force()[ATTACKER]
    await agent.send(order, key="all")
    assert await agent.answered(order, 2) == first
    assert agent.in_force()[ATTACKER] <= before


async def test_a_delete_that_overtakes_its_add_is_not_undone_by_it(agent: AnAgent) -> None:
    """An add that comes after it was lifted is answered so, and the kernel never has it."""
    await agent.started()
    order, delete = an_order("o1"), a_delete("d1", "o1")
    await agent.send(delete)
    assert (await agent.answered(delete)).status == "lifted"
    await agent.send(order)
    assert (await agent.answered(order)).status == "lifted"
    assert agent.in_force() == {}


async def test_an_order_after_its_deadline_is_stale(agent: AnAgent) -> None:
    """What comes too late, or with less than a second left, is answered and not carried out."""
    await agent.started()
    late = an_order("late", deadline=1.0, expires_at=1.0)
    brief = an_order("brief", timeout=0.9)
    await agent.send(late, brief)
    assert (await agent.answered(late)).status == (await agent.answered(brief)).status == "stale"
    assert agent.in_force() == {}


async def test_an_order_that_waited_half_its_time_blocks_for_the_rest(agent: AnAgent) -> None:
    """An agent that was away gets what is still in force, for the time that is left, under its own queue's key."""
    await agent.started()
    agent.stop()
    order = an_order("o1", timeout=600.0)
    waited = msgspec.structs.replace(order, issued_at=order.issued_at - 300, expires_at=order.expires_at - 300)
    await agent.send(waited)
    agent.start()
    assert (await agent.answered(order)).detail == "new"
    assert 290 < agent.in_force()[ATTACKER] <= 300


async def test_poison_stops_nothing(agent: AnAgent, broker: Broker) -> None:
    """What can't be decoded is dead-lettered with the reason; with a readable id it is answered; the next is taken."""
    await agent.started()
    everything = [*topology.exchanges(), *topology.manager_queues("classic")]
    dead = Consumer(broker.settings, "dead", everything, [topology.MANAGER_DEAD])
    good = an_order("good")
    nameless = msgpack.packb({"v": 1, "id": "nameless"})
    newer = msgpack.packb({"v": 99, "id": "newer"})
    await agent.send_raw(b"\xc1 no msgpack", nameless, newer, b"", msgpack.packb([1]), codec.encode(good))
    assert (await agent.answered(good)).status == "applied"
    for order_id in ("nameless", "newer"):
        answer = await agent.answered(order_id)
        assert answer.status == "refused"
        assert answer.detail.startswith("malformed: ")
    consuming = asyncio.create_task(dead.run())
    letters = []
    while len(letters) < 5:
        letters += await dead.batch(topology.MANAGER_DEAD)
    assert [each.reason for each in letters] == [
        "malformed",
        "malformed",
        "unsupported-version",
        "malformed",
        "malformed",
    ]
    assert letters[0].body == b"\xc1 no msgpack"
    consuming.cancel()


async def test_an_order_for_somebody_else_is_refused(agent: AnAgent) -> None:
    """What comes here by mistake is not carried out, and says so."""
    await agent.started()
    other, server = an_order("o1", agents=("web2",)), an_order("o2", location="server", agents=())
    await agent.send(other, server)
    assert (await agent.answered(other)).detail == f"malformed: it is for web2, and this is {NAME}"
    assert (await agent.answered(server)).detail == f"malformed: it is for servers, and {NAME} is none"
    assert agent.in_force() == {}


async def test_what_is_protected_is_refused_with_the_reason(agent: AnAgent) -> None:
    """The host's own list holds unless the order is exempt; the automatic set always holds."""
    await agent.started()
    mine = an_order("mine", "198.51.100.7")
    exempt = an_order("exempt", "198.51.100.7", exempt=True)
    loopback = an_order("loopback", "127.0.0.1", exempt=True)
    unknown = an_order("unknown", action="make-coffee")
    await agent.send(mine, loopback, unknown, exempt)
    assert (await agent.answered(exempt)).status == "applied"
    assert agent.answers(mine)[0].detail == "protected: 198.51.100.7 is protected by 198.51.100.0/24 (agent.allow)"
    assert agent.answers(loopback)[0].detail.startswith("invalid-target: ")
    assert agent.answers(unknown)[0].detail == "unknown-action: make-coffee"
    assert set(agent.in_force()) == {"198.51.100.7"}


async def test_one_of_two_holders_lifted_keeps_the_block_until_the_others_end(agent: AnAgent) -> None:
    """A lift of the order that holds longest moves the kernel's own timeout to what remains."""
    await agent.started()
    short, long = an_order("short", timeout=60.0), an_order("long", timeout=600.0)
    await agent.send(short, long)
    assert (await agent.answered(long)).detail == "extended"
    assert agent.in_force()[ATTACKER] > 500
    delete = a_delete("d1", "long")
    await agent.send(delete)
    assert (await agent.answered(delete)).status == "lifted"
    end = await agent.ended(long)
    assert (end.cause, end.outcome) == ("lifted", "kept")
    assert 50 < agent.in_force()[ATTACKER] <= 60
    assert agent.ends(short) == []


async def test_sigterm_keeps_blocks_and_a_restart_takes_them_over(agent: AnAgent) -> None:
    """Stopping lifts nothing; the next start applies what is missing, for the time left, and answers nothing twice."""
    await agent.started()
    order, brief = an_order("o1", timeout=600.0), an_order("o2", OTHER, timeout=None)
    await agent.send(order, brief)
    await agent.answered(brief)
    await eventually(lambda: agent.unsent() == 0)
    assert agent.stop() == 0
    assert set(agent.in_force()) == {ATTACKER, OTHER}
    agent.host.run("nft", "flush", "ruleset")
    await agent.started()
    assert agent.in_force()[OTHER] is None
    assert 500 < agent.in_force()[ATTACKER] < 600
    assert len(agent.answers(order)) == len(agent.answers(brief)) == 1


async def test_who_comes_onto_the_hosts_list_is_let_go_at_the_next_start(agent: AnAgent) -> None:
    """What is in force on them ends before anything is applied again; an exempt order's block stays."""
    await agent.started()
    order, exempt = an_order("o1"), an_order("o2", "203.0.113.77", exempt=True)
    await agent.send(order, exempt)
    await agent.answered(order)
    await agent.answered(exempt)
    assert agent.stop() == 0
    agent.config.write_text(agent.config.read_text().replace("198.51.100.0/24", "203.0.113.0/24"))
    await agent.started()
    end = await agent.ended(order)
    assert (end.cause, end.outcome) == ("lifted", "reverted")
    assert set(agent.in_force()) == {"203.0.113.77"}
    await agent.send(order)
    assert (await agent.answered(order, 2)).status == "applied"  # as it was said: a repeat is no second execution
    assert set(agent.in_force()) == {"203.0.113.77"}


async def test_an_end_that_passes_while_the_agent_is_down_is_told_at_the_next_start(agent: AnAgent) -> None:
    """The kernel ends the block on time; the expiry event comes late, and once."""
    await agent.started()
    order = an_order("o1", timeout=1.2)
    await agent.send(order)
    await agent.answered(order)
    await eventually(lambda: agent.unsent() == 0)
    agent.process.kill()
    await eventually(lambda: agent.in_force() == {})
    await agent.started()
    end = await agent.ended(order)
    assert (end.cause, end.outcome) == ("timeout", "reverted")


async def test_heartbeats_say_what_is_held_and_that_the_queue_is_new(agent: AnAgent, broker: Broker) -> None:
    """At once on start, `new` only when the queue had to be made; the fingerprint leaves out what ends in a minute."""
    await agent.started()
    first = agent.heartbeats()[-1]
    assert (first.agent_id, first.queue, first.holds.count) == (NAME, "new", 0)
    assert first.actions == {"firewall-drop": "nftables"}
    held, brief = an_order("held", timeout=600.0), an_order("brief", OTHER, timeout=30.0)
    await agent.send(held, brief)
    await agent.answered(brief)
    agent.stop()
    await agent.started()
    again = agent.heartbeats()[-1]
    assert (again.queue, again.journal) == ("kept", first.journal)
    assert (again.holds.count, again.holds.xor) == (1, fingerprint(["held"]))


async def test_the_command_line_works_beside_the_daemon(agent: AnAgent) -> None:
    """The daemon does the lifting; what it ended is told to the managers."""
    await agent.started()
    order, other = an_order("o1"), an_order("o2", OTHER)
    await agent.send(order, other)
    await agent.answered(other)
    assert {each["target"] for each in agent.command("effects")} == {ATTACKER, OTHER}
    assert stat.S_IMODE(os.stat(agent.state / "control").st_mode) == 0o600
    answer = agent.command("lift", ATTACKER)
    assert answer["lifted"] == [{"action": "firewall-drop", "target": ATTACKER, "orders": 1}]
    assert set(agent.in_force()) == {OTHER}
    end = await agent.ended(order)
    assert (end.cause, end.outcome) == ("lifted", "reverted")
    assert agent.command("lift", ATTACKER)["lifted"] == []


async def test_the_command_line_works_without_daemon_or_broker(agent: AnAgent) -> None:
    """The same is done in its place, and told when the daemon runs again. What was lifted does not come back."""
    await agent.started()
    order, other = an_order("o1"), an_order("o2", OTHER, timeout=None)
    await agent.send(order, other)
    await agent.answered(other)
    await eventually(lambda: agent.unsent() == 0)
    agent.stop()
    assert {each["target"]: each["expires_at"] for each in agent.command("effects")} == {
        ATTACKER: pytest.approx(order.expires_at, abs=1),
        OTHER: None,
    }
    assert len(agent.command("lift", "--all")["lifted"]) == 2
    assert agent.in_force() == {}
    assert agent.command("effects") == []
    assert agent.unsent() == 2
    await agent.started()
    await agent.send(order)
    await agent.ended(order)
    await agent.ended(other)
    await agent.answered(order, 2)
    assert agent.in_force() == {}


async def test_a_second_daemon_in_the_same_folder_says_who_has_it(agent: AnAgent) -> None:
    """Two owners of one journal would undo each other's work."""
    await agent.started()
    with pytest.raises(ThwartError, match=f"belongs to another process, pid {agent.process.pid}"):
        agent.host.run(str(COMMAND), "run", "--config", str(agent.config))
