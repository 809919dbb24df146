"""*Pipeline*: what carries it all. Queues, links, correlation, memory, disks."""

from thwart_dashboards.panels import (
    AGENT,
    BYTES,
    MANAGER,
    PER_SECOND,
    QUEUES,
    RABBITMQ,
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

UNSENT = f'thwart_unsent{{job=~"{MANAGER}|{AGENT}"}}'
MEMORY = "process_resident_memory_bytes"

NUMBERS = (
    Number(
        "Broker alarms",
        "RabbitMQ takes no messages while it is short of memory or disk. Above 0: make room for it.",
        f"{now('rabbitmq_alarms_memory_used_watermark', RABBITMQ)}"
        f" + {now('rabbitmq_alarms_free_disk_space_watermark', RABBITMQ)}",
        "no broker",
        bad=True,
    ),
    Number(
        "Waiting in queues",
        "Messages that nobody has taken. They wait for agents that are away; else it is 0 again at once.",
        now("rabbitmq_queue_messages_ready", RABBITMQ),
        "no broker",
    ),
    Number(
        "Unsent",
        "Messages, manager's and agents', that the broker has not confirmed. They are on disk and wait for it.",
        f"sum({UNSENT})",
        "no daemons",
    ),
    Number(
        "Dead letters",
        "Messages that could not be taken, in the time that is looked at: `thwart dead-letters`.",
        counted("thwart_dead_letters_total", MANAGER),
        "no manager",
        bad=True,
    ),
)

BROKER = (
    Lines(
        "Messages in queues",
        "`ready`: nobody has taken them. `unacked`: somebody has, and isn't done.",
        {
            "ready": now("rabbitmq_queue_messages_ready", RABBITMQ),
            "unacked": now("rabbitmq_queue_messages_unacked", RABBITMQ),
        },
        stacked=True,
    ),
    Lines(
        "Managers' queues",
        "What agents logged and said, and nobody has taken. One that grows: the manager is away, or can't keep up.",
        {"{{queue}}": now("rabbitmq_detailed_queue_messages_ready", QUEUES, "queue")},
        stacked=True,
    ),
    Lines(
        "Messages through the broker",
        "One order to all is received once, and delivered once to each agent.",
        {
            "received": rate("rabbitmq_global_messages_received_total", RABBITMQ),
            "delivered": rate("rabbitmq_global_messages_delivered_total", RABBITMQ),
            "acked": rate("rabbitmq_global_messages_acknowledged_total", RABBITMQ),
        },
        PER_SECOND,
    ),
    Lines(
        "Redelivered, unroutable",
        "Redelivered: a connection ended before its work was done. Unroutable: no queue is for it.",
        {
            "redelivered": rate("rabbitmq_global_messages_redelivered_total", RABBITMQ),
            "unroutable, dropped": rate("rabbitmq_global_messages_unroutable_dropped_total", RABBITMQ),
            "unroutable, returned": rate("rabbitmq_global_messages_unroutable_returned_total", RABBITMQ),
        },
        PER_SECOND,
    ),
    Lines(
        "Reached by Prometheus",
        "What isn't reached is missing in all the other panels.",
        {"{{job}}": "sum by (job) (up)"},
    ),
    Lines(
        "Queues and connections",
        "Both grow with the number of agents, and with nothing else.",
        {"queues": now("rabbitmq_queues", RABBITMQ), "connections": now("rabbitmq_connections", RABBITMQ)},
    ),
)

WAYS = (
    Lines(
        "Unsent, by whom",
        "Not confirmed by the broker.",
        {"{{job}}": f"sum by (job) ({UNSENT})"},
        stacked=True,
    ),
    Lines(
        "Connections made anew",
        "By what the connection is for. Everybody's at once: the broker was restarted.",
        {
            "manager, {{link}}": rate("thwart_reconnects_total", MANAGER, "link"),
            "agents, {{link}}": rate("thwart_reconnects_total", AGENT, "link"),
        },
        PER_SECOND,
        stacked=True,
    ),
    Lines(
        "Dead letters, by why",
        "They are kept, and named by `thwart dead-letters`.",
        rates("thwart_dead_letters_total", MANAGER, "reason"),
        PER_SECOND,
        stacked=True,
    ),
)

CORRELATION = (
    Lines(
        "Log lines",
        "Known ones came a second time, after a lost connection, and were dropped.",
        {
            "correlated": rate("thwart_log_lines_total", MANAGER),
            "known": rate("thwart_log_lines_known_total", MANAGER),
        },
        PER_SECOND,
    ),
    Lines(
        "How far behind it is",
        "From the instant that a log line names to the order. Two clocks, and whole seconds in many logs.",
        quantiles("thwart_log_to_order_seconds", MANAGER),
        SECONDS,
    ),
    Lines(
        "Searches given up",
        "A rule's pattern that takes too long counts as no match. `thwart explain` shows what a line comes to.",
        {"given up": rate("thwart_pattern_limits_total", MANAGER)},
        PER_SECOND,
    ),
    Lines(
        "Configuration read",
        "`refused`: a file has a mistake, and what was before stays in force: `thwart check-config`.",
        rates("thwart_configuration_reloads_total", MANAGER, "result"),
        PER_SECOND,
        stacked=True,
    ),
)

RESOURCES = (
    Lines(
        "Memory",
        "Resident.",
        {
            "manager": now(MEMORY, MANAGER),
            "agent, median": f'quantile(0.5, {MEMORY}{{job="{AGENT}"}})',
            "agent, greatest": now(MEMORY, AGENT, how="max"),
            "broker": now("rabbitmq_process_resident_memory_bytes", RABBITMQ),
        },
        BYTES,
    ),
    Lines(
        "Processor",
        "1 is one core.",
        {
            "manager": rate("process_cpu_seconds_total", MANAGER),
            "all agents": rate("process_cpu_seconds_total", AGENT),
        },
    ),
    Lines(
        "Ledger",
        "What orders, answers and alerts of the last `retention` take on the manager's disk.",
        {"ledger": now("thwart_ledger_bytes", MANAGER)},
        BYTES,
    ),
    Lines(
        "Free disk at the broker",
        "Below its limit the broker takes no messages.",
        {
            "free": now("rabbitmq_disk_space_available_bytes", RABBITMQ, how="min"),
            "limit": now("rabbitmq_disk_space_available_limit_bytes", RABBITMQ, how="max"),
        },
        BYTES,
    ),
)

# Broker first: everything goes through it.
BOARD = Board(
    "Pipeline",
    "What carries it all: queues, links, correlation, memory, disks.",
    NUMBERS,
    {"Broker": BROKER, "Ways": WAYS, "Correlation": CORRELATION, "What it takes": RESOURCES},
)
