"""*Fleet*: whether every host does what it was told to. Four numbers first; all is well while none of them is red."""

from thwart_dashboards.panels import (
    AGENT,
    MANAGER,
    PER_SECOND,
    SECONDS,
    SHARE,
    Board,
    Lines,
    Number,
    now,
    quantile,
    quantiles,
    rate,
    rates,
)

OBJECTIVE = now("thwart_order_answer_objective_seconds", MANAGER, how="max")
LATE = f"({quantile(0.99, 'thwart_order_answer_seconds', MANAGER, '10m')}) / scalar({OBJECTIVE})"

NUMBERS = (
    Number(
        "Answers overdue",
        "Answers that living agents owe for longer than answer_within. Above 0: `thwart orders`.",
        now("thwart_overdue_answers", MANAGER),
        "no manager",
        bad=True,
    ),
    Number(
        "Drift not repaired",
        "Effects that are otherwise on a host than its agent wrote down. Above 0 for long: `thwart agents`.",
        now("thwart_drift", AGENT),
        "no agents",
        bad=True,
    ),
    Number(
        "Silent agents",
        "Agents without a heartbeat for 30 s. Above 0: `thwart agents`.",
        now("thwart_agents", MANAGER, where='state="silent"'),
        "no manager",
        bad=True,
    ),
    Number(
        "Order → answer, p99 of its objective",
        "Within how much of answer_objective 99 of 100 answers of the last 10 minutes came. Red from 100 % on.",
        LATE,
        "no orders",
        bad=True,
        unit=SHARE,
    ),
)

BLOCKS = (
    Lines(
        "Blocks in force, by action",
        "On all hosts together: one address blocked on five hosts is five.",
        {"{{action}}": f"{now('thwart_effects', AGENT, 'action')} > 0"},
        stacked=True,
    ),
    Lines(
        "Ends of blocks",
        "`reverted` is a block that ended, `kept` one that another order still holds, `failed` one that stays.",
        rates("thwart_expiries_total", AGENT, "outcome"),
        PER_SECOND,
        stacked=True,
    ),
    Lines(
        "Put right",
        "What somebody else had changed on a host, and blocks taken off because they cut the host off.",
        {
            **rates("thwart_repairs_total", AGENT, "found"),
            "taken off: {{verdict}}": rate("thwart_rollbacks_total", AGENT, "verdict"),
        },
        PER_SECOND,
        stacked=True,
    ),
    Lines(
        "Order taken → in force",
        "On the hosts themselves, by each agent's clock alone.",
        quantiles("thwart_apply_seconds", AGENT),
        SECONDS,
    ),
)

ANSWERS = (
    Lines(
        "Answers, by status",
        "What agents said to orders. Which, and why one `failed` or was `refused`: `thwart orders`.",
        rates("thwart_acknowledgements_total", MANAGER, "status"),
        PER_SECOND,
        stacked=True,
    ),
    Lines(
        "Order → answer",
        "From an order given to each agent's answer heard, by the manager's clock alone.",
        {**quantiles("thwart_order_answer_seconds", MANAGER), "objective": OBJECTIVE},
        SECONDS,
    ),
)

HOSTS = (
    Lines(
        "Agents",
        "By whether they are heard.",
        {"{{state}}": now("thwart_agents", MANAGER, "state")},
        stacked=True,
    ),
    Lines(
        "Versions",
        "How many run each: two of them while an upgrade is rolled out.",
        {
            "agent {{version}}": now("thwart_build_info", AGENT, "version", how="count"),
            "manager {{version}}": now("thwart_build_info", MANAGER, "version", how="count"),
        },
        stacked=True,
    ),
    Lines(
        "Oldest order without an answer",
        "Silent agents' included: their orders wait for them.",
        {"oldest": now("thwart_oldest_unanswered_seconds", MANAGER, how="max")},
        SECONDS,
    ),
    Lines(
        "Clocks apart",
        "The greatest difference between the manager's clock and a living agent's, a heartbeat's way included.",
        {"greatest": now("thwart_agents_skew_seconds", MANAGER, how="max")},
        SECONDS,
    ),
)

BOARD = Board(
    "Fleet",
    "Whether every host does what it was told to.",
    NUMBERS,
    {"Blocks": BLOCKS, "Answers": ANSWERS, "Hosts": HOSTS},
)
