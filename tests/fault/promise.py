"""The promise that every order is held to, whatever was killed: in force once, over on time, answered once, ended once.

An answer or an end may come twice, word for word the same; never two different ones.
"""

import time
from collections.abc import Sequence

from shared.messages import Acknowledgement, Expiry, Order
from tests.fault.a_fleet import Agent, Fleet
from tests.waiting import wait_for

EARLY, LATE = 0.2, 1.0  # s before and after its end: in force until the one, over by the other
PATIENCE = 15.0  # s for what should have happened long ago
Window = tuple[float, float]  # the instants between which something happened


def in_force(order: Order, *agents: Agent) -> None:
    """Waits until each of `agents` was seen to have it in its kernel: what is lifted at once might never be seen."""
    wait_for(lambda: all(agent.kernel.stays(order.target) for agent in agents), PATIENCE)


def over(order: Order, *agents: Agent) -> None:
    """Waits until each of `agents` has said that it no longer holds."""
    wait_for(lambda: all(agent.ends(order) for agent in agents), max(0.0, order.expires_at - time.time()) + PATIENCE)


def kept(fleet: Fleet, order: Order, *agents: Agent, lifted: Window | None = None) -> None:
    """An order that took effect on each of `agents` and is over: by its own end, or lifted within `lifted`."""
    fleet.all_is_said()
    judged(fleet, order, *agents, lifted=lifted)


def judged(fleet: Fleet, order: Order, *agents: Agent, lifted: Window | None = None) -> None:
    """`kept`, when all is said."""
    for agent in agents:
        in_force_once(agent, order, lifted)
        answer, expiry = the_one(agent.answers(order)), the_one(agent.ends(order))
        assert (answer.status, answer.detail) == ("applied", "new"), f"{agent} answered {answer}"
        cause = "lifted" if lifted else "timeout"
        assert (expiry.cause, expiry.outcome) == (cause, "reverted"), f"{agent} ended it with {expiry}"
    written_down(fleet, order, dict.fromkeys(agents, "ended"))


def never_in_force(fleet: Fleet, order: Order, status: str, *agents: Agent) -> None:
    """An order that each of `agents` answered with `status` and that changed nothing on any host."""
    fleet.all_is_said()
    for agent in agents:
        assert agent.kernel.stays(order.target) == [], f"{agent} had it in force"
        assert agent.ends(order) == [], f"{agent} ended what had never begun"
    answered(order, status, *agents)
    written_down(fleet, order, dict.fromkeys(agents, status))


def answered(order: Order, status: str, *agents: Agent) -> None:
    """Each of `agents` has given this answer, and no other."""
    for agent in agents:
        answer = the_one(agent.answers(order))
        assert answer.status == status, f"{agent} answered {answer}"


def in_force_once(agent: Agent, order: Order, lifted: Window | None = None, longest: float = 0.0) -> None:
    """Its target was in the agent's kernel without a break, until its end, and at no time for longer than that.

    `longest` is the end of another order that held it.
    """
    stays = agent.kernel.stays(order.target)
    assert len(stays) == 1, f"{agent} had it in force {len(stays)} times: {stays}"
    (stay,) = stays
    earliest, latest = lifted or (order.expires_at, order.expires_at + LATE)
    early, late = earliest - stay.gone, stay.until - latest
    assert early <= EARLY, f"{agent} had it only until {early:.2f} s before its end"
    assert late <= 0, f"{agent} had it {late:.2f} s too long"
    assert stay.latest_end <= max(order.expires_at, longest) + LATE, (
        f"{agent} would have had it until {stay.latest_end}"
    )


def written_down(fleet: Fleet, order: Order, states: dict[Agent, str]) -> None:
    """The ledger has these states, and each thing that was said once."""
    assert fleet.manager.states(order) == {agent.name: state for agent, state in states.items()}
    said = fleet.manager.rows("SELECT agent_id, kind FROM history WHERE order_id = ?", order.id)
    assert len(said) == len(set(said)), f"the ledger heard different things: {said}"


def the_one(said: Sequence[Acknowledgement | Expiry]) -> Acknowledgement | Expiry:
    """What was said, however many times it came."""
    different = {repr(each): each for each in said}
    assert len(different) == 1, f"said {len(different)} different things: {list(different)}"
    return said[0]
