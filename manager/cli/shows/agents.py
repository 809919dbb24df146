"""How agents look."""

from collections.abc import Sequence

from manager.api.bodies.agents import AgentView
from manager.cli.shows.table import ago, print_table
from shared import durations


def print_agents(found: Sequence[AgentView]) -> None:
    """One line for each agent."""
    rows = [_agent(each) for each in found]
    columns = ("AGENT", "STATE", "SEEN", "HOST", "ROLES", "ACTIONS", "HOLDS", "VERSION", "TROUBLE")
    print_table(columns, rows, "no agent has been heard of yet")


def _agent(each: AgentView) -> tuple[str, ...]:
    can, does = ", ".join(each.actions), ", ".join(each.roles)
    seen, holds, trouble = ago(each.seen_at), str(each.holds), _trouble(each)
    return each.id, each.state, seen, each.hostname, does, can, holds, each.version, trouble


def _trouble(each: AgentView) -> str:
    skew = f"its clock is {durations.words(abs(each.skew))} off" if abs(each.skew) > 5 else ""
    drift = f"{each.drift} effects are not as they should be" if each.drift else ""
    return "; ".join(part for part in (each.trouble, drift, skew) if part)
