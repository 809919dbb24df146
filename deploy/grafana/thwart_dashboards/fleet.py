"""*Fleet*: whether every host does what it was told to. Four numbers first; all is well while none of them is red."""

from grafana_foundation_sdk.builders.dashboard import Dashboard
from grafana_foundation_sdk.builders.stat import Panel as Stat
from grafana_foundation_sdk.builders.timeseries import Panel as Timeseries

from thwart_dashboards import panels
from thwart_dashboards.panels import (
    AGENT,
    MANAGER,
    PER_SECOND,
    SECONDS,
    SHARE,
    Query,
    lines,
    now,
    number,
    quantile,
    quantiles,
    rate,
)

OBJECTIVE = now("thwart_order_answer_objective_seconds", MANAGER, how="max")
LATE = f"({quantile(0.99, 'thwart_order_answer_seconds', MANAGER, '10m')}) / scalar({OBJECTIVE})"


def dashboard() -> Dashboard:
    """Blocks, answers, hosts."""
    what = "Whether every host does what it was told to."
    rows = {"Blocks": _blocks(), "Answers": _answers(), "Hosts": _hosts()}
    return panels.dashboard("Fleet", what, _numbers(), rows)


def _numbers() -> list[Stat]:
    return [
        number(
            "Answers overdue",
            "Answers that living agents owe for longer than answer_within. Above 0: `thwart orders`.",
            now("thwart_overdue_answers", MANAGER),
            bad=1,
            nothing="no manager",
        ),
        number(
            "Drift not repaired",
            "Effects that are otherwise on a host than its agent wrote down. Above 0 for long: `thwart agents`.",
            now("thwart_drift", AGENT),
            bad=1,
            nothing="no agents",
        ),
        number(
            "Silent agents",
            "Agents without a heartbeat for 30 s. Above 0: `thwart agents`.",
            now("thwart_agents", MANAGER, where='state="silent"'),
            bad=1,
            nothing="no manager",
        ),
        number(
            "Order → answer, p99 of its objective",
            "Within how much of answer_objective 99 of 100 answers of the last 10 minutes came. Red from 100 % on.",
            LATE,
            unit=SHARE,
            bad=1,
            nothing="no orders",
        ),
    ]


def _blocks() -> list[Timeseries]:
    return [
        lines(
            "Blocks in force, by action",
            "On all hosts together: one address blocked on five hosts is five.",
            [Query(f"{now('thwart_effects', AGENT, 'action')} > 0", "{{action}}")],
            stacked=True,
        ),
        lines(
            "Ends of blocks",
            "`reverted` is a block that ended, `kept` one that another order still holds, `failed` one that stays.",
            [Query(rate("thwart_expiries_total", AGENT, "outcome"), "{{outcome}}")],
            unit=PER_SECOND,
            stacked=True,
        ),
        lines(
            "Put right",
            "What somebody else had changed on a host, and blocks taken off because they cut the host off.",
            [
                Query(rate("thwart_repairs_total", AGENT, "found"), "{{found}}"),
                Query(rate("thwart_rollbacks_total", AGENT, "verdict"), "taken off: {{verdict}}"),
            ],
            unit=PER_SECOND,
            stacked=True,
        ),
        lines(
            "Order taken → in force",
            "On the hosts themselves, by each agent's clock alone.",
            quantiles("thwart_apply_seconds", AGENT),
            unit=SECONDS,
        ),
    ]


def _answers() -> list[Timeseries]:
    return [
        lines(
            "Answers, by status",
            "What agents said to orders. Which, and why one `failed` or was `refused`: `thwart orders`.",
            [Query(rate("thwart_acknowledgements_total", MANAGER, "status"), "{{status}}")],
            unit=PER_SECOND,
            stacked=True,
        ),
        lines(
            "Order → answer",
            "From an order given to each agent's answer heard, by the manager's clock alone.",
            [*quantiles("thwart_order_answer_seconds", MANAGER), Query(OBJECTIVE, "objective")],
            unit=SECONDS,
        ),
    ]


def _hosts() -> list[Timeseries]:
    return [
        lines(
            "Agents",
            "By whether they are heard.",
            [Query(now("thwart_agents", MANAGER, "state"), "{{state}}")],
            stacked=True,
        ),
        lines(
            "Versions",
            "How many run each: two of them while an upgrade is rolled out.",
            [
                Query(now("thwart_build_info", AGENT, "version", how="count"), "agent {{version}}"),
                Query(now("thwart_build_info", MANAGER, "version", how="count"), "manager {{version}}"),
            ],
            stacked=True,
        ),
        lines(
            "Oldest order without an answer",
            "Silent agents' included: their orders wait for them.",
            [Query(now("thwart_oldest_unanswered_seconds", MANAGER, how="max"), "oldest")],
            unit=SECONDS,
        ),
        lines(
            "Clocks apart",
            "The greatest difference between the manager's clock and a living agent's, a heartbeat's way included.",
            [Query(now("thwart_agents_skew_seconds", MANAGER, how="max"), "greatest")],
            unit=SECONDS,
        ),
    ]
