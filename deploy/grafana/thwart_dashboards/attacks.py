"""*Attacks*: who is stopped, by which rule, how often they come back, and what was not done on purpose."""

from grafana_foundation_sdk.builders.dashboard import Dashboard
from grafana_foundation_sdk.builders.stat import Panel as Stat
from grafana_foundation_sdk.builders.timeseries import Panel as Timeseries

from thwart_dashboards import panels
from thwart_dashboards.panels import (
    AGENT,
    MANAGER,
    PER_SECOND,
    SECONDS,
    Query,
    counted,
    lines,
    now,
    number,
    quantiles,
    rate,
)


def dashboard() -> Dashboard:
    """From the line that somebody logged to the block, and what stands between them."""
    what = "Who is stopped, by which rule, how often they come back, and what was not done on purpose."
    rows = {"What comes": _coming(), "What is ordered": _ordered(), "What is not": _kept_back()}
    return panels.dashboard("Attacks", what, _numbers(), rows)


def _numbers() -> list[Stat]:
    return [
        number(
            "Blocks in force",
            "On all hosts together: `thwart blocks`.",
            now("thwart_effects", AGENT),
            nothing="no agents",
        ),
        number(
            "Alerts that led to orders",
            "In the time that is looked at.",
            counted("thwart_alerts_total", MANAGER, 'outcome="ordered"'),
            nothing="no manager",
        ),
        number(
            "Orders on hold",
            "They wait for a person: `thwart orders --on-hold`, then `thwart approve` or `thwart refuse`.",
            now("thwart_orders_on_hold", MANAGER),
            bad=1,
            nothing="no manager",
        ),
        number(
            "Refused on purpose",
            "Responses that did not act in the time that is looked at: the target is protected, or is none.",
            counted("thwart_refusals_total", MANAGER),
            nothing="no manager",
        ),
    ]


def _coming() -> list[Timeseries]:
    return [
        lines(
            "Alerts, by what came of them",
            "`quiet`: no response is for them, or what it would order is in force.",
            [Query(rate("thwart_alerts_total", MANAGER, "outcome"), "{{outcome}}")],
            unit=PER_SECOND,
            stacked=True,
        ),
        lines(
            "Rules",
            "The ten whose alerts were responded to most: `thwart rules`.",
            [Query(f"topk(10, {rate('thwart_rule_alerts_total', MANAGER, 'rule')})", "{{rule}}")],
            unit=PER_SECOND,
        ),
        lines(
            "Offences",
            "Orders by how often the target has offended. Who comes back stays out longer: `thwart offenders`.",
            [Query(rate("thwart_offences_total", MANAGER, "offence"), "{{offence}}")],
            unit=PER_SECOND,
            stacked=True,
        ),
        lines(
            "Log line → order, log line → block",
            "Two clocks: the logging host's, whole seconds in many logs, and the manager's.",
            [
                *quantiles("thwart_log_to_order_seconds", MANAGER, "order"),
                *quantiles("thwart_log_to_applied_seconds", MANAGER, "block"),
            ],
            unit=SECONDS,
        ),
    ]


def _ordered() -> list[Timeseries]:
    return [
        lines(
            "Orders, by where they go",
            "One for each order and not for each agent.",
            [Query(rate("thwart_orders_total", MANAGER, "operation", "location"), "{{operation}} {{location}}")],
            unit=PER_SECOND,
            stacked=True,
        ),
        lines(
            "Orders, by who gave them",
            "`foreign` is another correlator.",
            [Query(rate("thwart_orders_total", MANAGER, "origin"), "{{origin}}")],
            unit=PER_SECOND,
            stacked=True,
        ),
    ]


def _kept_back() -> list[Timeseries]:
    return [
        lines(
            "On hold",
            "A breaker keeps back what is too much at once, and `thwart pause` everything.",
            [
                Query(now("thwart_orders_on_hold", MANAGER), "on hold"),
                Query(f"60 * {rate('thwart_orders_held_total', MANAGER)}", "put on hold, a minute"),
            ],
        ),
        lines(
            "Refused on purpose, by why",
            "`protected` is the allowlist's work: `thwart allow`.",
            [Query(rate("thwart_refusals_total", MANAGER, "reason"), "{{reason}}")],
            unit=PER_SECOND,
            stacked=True,
        ),
    ]
