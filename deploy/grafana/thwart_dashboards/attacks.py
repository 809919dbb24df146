"""*Attacks*: who is stopped, by which rule, how often they come back, and what was not done on purpose."""

from thwart_dashboards.panels import (
    AGENT,
    MANAGER,
    PER_SECOND,
    SECONDS,
    Board,
    Lines,
    Number,
    counted,
    now,
    quantiles,
    rate,
    rates,
)

NUMBERS = (
    Number(
        "Blocks in force",
        "On all hosts together: `thwart blocks`.",
        now("thwart_effects", AGENT),
        "no agents",
    ),
    Number(
        "Alerts that led to orders",
        "In the time that is looked at.",
        counted("thwart_alerts_total", MANAGER, 'outcome="ordered"'),
        "no manager",
    ),
    Number(
        "Orders on hold",
        "They wait for a person: `thwart orders --on-hold`, then `thwart approve` or `thwart refuse`.",
        now("thwart_orders_on_hold", MANAGER),
        "no manager",
        bad=True,
    ),
    Number(
        "Refused on purpose",
        "Responses that did not act in the time that is looked at: the target is protected, or is none.",
        counted("thwart_refusals_total", MANAGER),
        "no manager",
    ),
)

COMING = (
    Lines(
        "Alerts, by what came of them",
        "`quiet`: no response is for them, or what it would order is in force.",
        rates("thwart_alerts_total", MANAGER, "outcome"),
        PER_SECOND,
        stacked=True,
    ),
    Lines(
        "Rules",
        "The ten whose alerts were responded to most: `thwart rules`.",
        {"{{rule}}": f"topk(10, {rate('thwart_rule_alerts_total', MANAGER, 'rule')})"},
        PER_SECOND,
    ),
    Lines(
        "Offences",
        "Orders by how often the target has offended. Who comes back stays out longer: `thwart offenders`.",
        rates("thwart_offences_total", MANAGER, "offence"),
        PER_SECOND,
        stacked=True,
    ),
    Lines(
        "Log line → order, log line → block",
        "Two clocks: the logging host's, whole seconds in many logs, and the manager's.",
        {
            **quantiles("thwart_log_to_order_seconds", MANAGER, "order"),
            **quantiles("thwart_log_to_applied_seconds", MANAGER, "block"),
        },
        SECONDS,
    ),
)

ORDERED = (
    Lines(
        "Orders, by where they go",
        "One for each order and not for each agent.",
        rates("thwart_orders_total", MANAGER, "operation", "location"),
        PER_SECOND,
        stacked=True,
    ),
    Lines(
        "Orders, by who gave them",
        "`foreign` is another correlator.",
        rates("thwart_orders_total", MANAGER, "origin"),
        PER_SECOND,
        stacked=True,
    ),
)

KEPT_BACK = (
    Lines(
        "On hold",
        "A breaker keeps back what is too much at once, and `thwart pause` everything.",
        {
            "on hold": now("thwart_orders_on_hold", MANAGER),
            "put on hold, a minute": f"60 * {rate('thwart_orders_held_total', MANAGER)}",
        },
    ),
    Lines(
        "Refused on purpose, by why",
        "`protected` is the allowlist's work: `thwart allow`.",
        rates("thwart_refusals_total", MANAGER, "reason"),
        PER_SECOND,
        stacked=True,
    ),
)

# From the line that somebody logged to the block, and what stands between them.
BOARD = Board(
    "Attacks",
    "Who is stopped, by which rule, how often they come back, and what was not done on purpose.",
    NUMBERS,
    {"What comes": COMING, "What is ordered": ORDERED, "What is not": KEPT_BACK},
)
