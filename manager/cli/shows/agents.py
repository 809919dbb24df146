"""How agents look: a line each, or all that is known of one."""

from collections.abc import Sequence

import click

from manager.api.bodies.agents import AgentView
from manager.cli.shows.table import ago, time_of
from shared import durations
from shared.tables import plain, print_table

NOTICED = 5.0  # s that a clock may be off


def print_agents(found: Sequence[AgentView], *, filtered: bool = False) -> None:
    """One line for each agent."""
    rows = [_agent(each) for each in found]
    columns = ("AGENT", "STATE", "SEEN", "HOST", "LABELS", "ROLES", "BLOCKS BY", "HOLDS", "VERSION", "TROUBLE")
    print_table(columns, rows, "no such agent" if filtered else "no agent has been heard of yet")


def print_agent(each: AgentView) -> None:
    """All that is known of one."""
    facts = [
        ("agent", each.id),
        ("state", f"{each.state}, heard of {ago(each.seen_at)} ago"),
        ("host", each.hostname),
        ("addresses", ", ".join(each.addresses)),
        ("roles", ", ".join(each.roles)),
        ("labels", _labels(each)),
        ("version", each.version),
        ("running", f"since {time_of(each.started_at)}"),
        ("known", f"since {time_of(each.first_seen_at)}"),
        ("allowlist", _policy(each)),
        ("holds", f"{each.holds} orders that have more than a minute left"),
        ("drift", f"{each.drift} effects that its host has otherwise than they should be" if each.drift else "none"),
        ("unsent", str(each.unsent)),
        ("clock", _clock(each.skew)),
        ("trouble", each.trouble or "none"),
    ]
    for name, value in facts:
        if value:
            click.echo(f"{name + ':':<11}{plain(value)}")
    rows = [(name, backend, "", each.passed_over.get(name, "")) for name, backend in sorted(each.actions.items())]
    rows += [(name, "-", why, "") for name, why in sorted(each.unsupported.items())]
    print_table(("ACTION", "BY", "WHY NOT", "NOT BY"), rows, "it can carry out nothing")


def _policy(each: AgentView) -> str:
    if each.policy_current:
        return "as it is"
    has = f"has version {each.policy}" if each.policy else "has none yet"
    return f"{has}, and will be told the latest"


def _clock(skew: float) -> str:
    """The message's way is in it, so a little is nothing."""
    if abs(skew) <= NOTICED:
        return "right"
    return f"{durations.words(abs(skew))} {'behind' if skew > 0 else 'ahead of'} the manager's"


def _agent(each: AgentView) -> tuple[str, ...]:
    seen, holds, roles = ago(each.seen_at), str(each.holds), ", ".join(each.roles)
    place = (each.id, each.state, seen, each.hostname, _labels(each), roles)
    return (*place, _blocks_by(each), holds, each.version, _trouble(each))


def _labels(each: AgentView) -> str:
    return ", ".join(f"{name}={value}" for name, value in sorted(each.labels.items()))


def _blocks_by(each: AgentView) -> str:
    """All that it can carry out is a dozen names, and `show` has them."""
    return each.actions.get("firewall-drop", "nothing")


def _trouble(each: AgentView) -> str:
    skew = f"its clock is {durations.words(abs(each.skew))} off" if abs(each.skew) > NOTICED else ""
    drift = f"{each.drift} effects are not as they should be" if each.drift else ""
    return "; ".join(part for part in (each.trouble, drift, skew) if part)
