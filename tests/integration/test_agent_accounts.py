"""The agent daemon with `disable-account` and `host-deny`, killed and rebooted while they are in force."""

import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from agent.actions.disable_account.accounts import PASSED
from shared.messages import Order
from tests.integration.an_agent import AnAgent, a_delete, an_order
from tests.stage import enter
from tests.stage.agent_with_etc import WHAT
from tests.stage.broker import Broker
from tests.stage.guard import Guard
from tests.stage.network import Network
from tests.stage.own_etc import OwnEtc
from tests.stage.process import Process
from tests.stage.reboot import rebooted
from tests.waiting import eventually, wait_for

pytestmark = [pytest.mark.root, pytest.mark.broker]
HOST_DENY, DISABLE = WHAT
ATTACKER = "203.0.113.9"
BRIEF, LONG = 2.0, 6.0  # s


class WithEtc(AnAgent):
    """Has a throw-away /etc, and no firewall."""

    etc: OwnEtc
    wrapper: tuple[str, ...] = ()

    def start(self) -> None:
        command = [*enter.own_etc(self.etc.folder), sys.executable, "-m", "tests.stage.agent_with_etc"]
        self._process = Process(self._guard, [*self.wrapper, *command, str(self.config)], self.log)

    def closed(self) -> set[str]:
        """The accounts of people that are locked and have expired, as `getent` has them."""
        fields = (line.split(":") for line in self.etc.run("getent", "shadow").splitlines())
        return {name for name, password, *rest in fields if password.startswith("!") and rest[5] == str(PASSED)}

    def denied(self) -> list[str]:
        path = self.etc.folder / "hosts.deny"
        return path.read_text().splitlines() if path.exists() else []


@pytest.fixture
def etc(tmp_path: Path) -> Iterator[OwnEtc]:
    """Of three people, one of whom was locked out, and had an account until 2030, before anybody came."""
    one = OwnEtc(tmp_path / "etc")
    one.add(("alice", "ann", "bob"))
    one.run("usermod", "--lock", "--expiredate", "2030-01-01", "bob")
    yield one
    one.close()


@pytest.fixture
async def agent(guard: Guard, broker: Broker, network: Network, etc: OwnEtc, tmp_path: Path) -> AsyncIterator[WithEtc]:
    one = WithEtc(guard, broker, network.host("web1", 11), tmp_path)
    one.etc = etc
    yield one
    await one.close()


async def test_what_is_in_force_outlives_a_kill_and_a_reboot_and_no_more(agent: WithEtc, tmp_path: Path) -> None:
    """What was over while the agent was down ends with its start, the rest on time; and everything is as it was."""
    before = {name: agent.etc.shadow(name) for name in ("alice", "ann", "bob")}
    await agent.started()
    orders = [_disable("o1", "alice", BRIEF), _disable("o2", "ann", LONG), _disable("o3", "bob", LONG)]
    orders.append(an_order("o4", ATTACKER, LONG, action=HOST_DENY))
    await agent.send(*orders)
    for order in orders:
        answer = await agent.answered(order)
        assert (answer.status, answer.detail) == ("applied", "new"), answer
    assert agent.closed() == {"alice", "ann", "bob"}
    agent.process.kill()
    wait_for(lambda: time.time() > _end(orders[0]))
    assert agent.closed() == {"alice", "ann", "bob"}
    assert agent.denied() == [f"thwart ALL: {ATTACKER}"]
    agent.wrapper = rebooted(tmp_path)
    await agent.started()
    assert agent.closed() == {"ann", "bob"}
    assert (await agent.ended(orders[0])).outcome == "reverted"
    assert time.time() < _end(orders[1])
    for order in orders[1:]:
        end = await agent.ended(order)
        assert (end.cause, end.outcome) == ("timeout", "reverted")
        assert end.at == pytest.approx(_end(order), abs=1.0)
    assert {name: agent.etc.shadow(name) for name in before} == before
    assert agent.denied() == []


async def test_what_somebody_opens_by_hand_is_closed_again(agent: WithEtc) -> None:
    """The journal says who is closed; who wants it otherwise lifts the order."""
    await agent.started()
    orders = [_disable("o1", "alice"), an_order("o2", ATTACKER, action=HOST_DENY)]
    await agent.send(*orders)
    for order in orders:
        await agent.answered(order)
    agent.etc.run("usermod", "--unlock", "--expiredate", "", "alice")
    (agent.etc.folder / "hosts.deny").write_text("")
    await eventually(lambda: agent.closed() == {"alice"} and agent.denied(), 10)
    await agent.send(a_delete("o3", "o1", target="alice", action=DISABLE))
    assert (await agent.answered("o3")).status == "lifted"
    assert agent.closed() == set()


async def test_a_lost_journal_locks_nobody_out_for_ever(agent: WithEtc) -> None:
    """What was closed and denied is held by nobody's order, and whoever lifts it on the host has it as it was."""
    await agent.started()
    for order in (_disable("o1", "alice", None), an_order("o2", ATTACKER, None, action=HOST_DENY)):
        await agent.send(order)
        await agent.answered(order)
    agent.process.kill()
    for path in agent.state.glob("journal.db*"):
        path.unlink()
    await agent.started()
    assert {(each["target"], each["adopted"]) for each in agent.command("effects")} == {
        ("alice", True),
        (ATTACKER, True),
    }
    for target in ("alice", ATTACKER):
        agent.command("lift", target)
    assert (agent.closed(), agent.denied()) == (set(), [])


async def test_what_must_not_be_closed_is_refused_with_the_reason(agent: WithEtc) -> None:
    """Root's, the system's, and whoever isn't in /etc/passwd; the next one is closed all the same."""
    await agent.started()
    names = ("root", "daemon", "nobody", "someone.else", "alice")
    await agent.send(*(_disable(f"o{name}", name) for name in names))
    said = {name: await agent.answered(f"o{name}") for name in names}
    assert {name: each.status for name, each in said.items()} == {
        **dict.fromkeys(names, "failed"),
        "root": "refused",
        "alice": "applied",
    }
    assert "never" in said["root"].detail
    assert "no person's" in said["daemon"].detail
    assert "no account of this host's own" in said["someone.else"].detail
    assert agent.closed() == {"alice"}


def _disable(order_id: str, name: str, timeout: float | None = 600.0) -> Order:
    return an_order(order_id, name, timeout, action=DISABLE)


def _end(order: Order) -> float:
    assert order.expires_at is not None
    return order.expires_at
