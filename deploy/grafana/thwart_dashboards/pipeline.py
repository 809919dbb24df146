"""*Pipeline*: what carries it all. Queues, links, correlation, memory, disks."""

from grafana_foundation_sdk.builders.dashboard import Dashboard
from grafana_foundation_sdk.builders.stat import Panel as Stat
from grafana_foundation_sdk.builders.timeseries import Panel as Timeseries

from thwart_dashboards import panels
from thwart_dashboards.panels import (
    AGENT,
    BYTES,
    MANAGER,
    PER_SECOND,
    QUEUES,
    RABBITMQ,
    SECONDS,
    Query,
    counted,
    lines,
    now,
    number,
    quantiles,
    rate,
)

DAEMONS = f'job=~"{MANAGER}|{AGENT}"'
MEMORY = "process_resident_memory_bytes"


def dashboard() -> Dashboard:
    """Broker first: everything goes through it."""
    what = "What carries it all: queues, links, correlation, memory, disks."
    rows = {"Broker": _broker(), "Ways": _ways(), "Correlation": _correlation(), "What it takes": _resources()}
    return panels.dashboard("Pipeline", what, _numbers(), rows)


def _numbers() -> list[Stat]:
    return [
        number(
            "Broker alarms",
            "RabbitMQ takes no messages while it is short of memory or disk. Above 0: make room for it.",
            f"{now('rabbitmq_alarms_memory_used_watermark', RABBITMQ)}"
            f" + {now('rabbitmq_alarms_free_disk_space_watermark', RABBITMQ)}",
            bad=1,
            nothing="no broker",
        ),
        number(
            "Waiting in queues",
            "Messages that nobody has taken. They wait for agents that are away; else it is 0 again at once.",
            now("rabbitmq_queue_messages_ready", RABBITMQ),
            nothing="no broker",
        ),
        number(
            "Unsent",
            "Messages, manager's and agents', that the broker has not confirmed. They are on disk and wait for it.",
            f"sum(thwart_unsent{{{DAEMONS}}})",
            nothing="no daemons",
        ),
        number(
            "Dead letters",
            "Messages that could not be taken, in the time that is looked at: `thwart dead-letters`.",
            counted("thwart_dead_letters_total", MANAGER),
            bad=1,
            nothing="no manager",
        ),
    ]


def _broker() -> list[Timeseries]:
    return [
        lines(
            "Messages in queues",
            "`ready`: nobody has taken them. `unacked`: somebody has, and isn't done.",
            [
                Query(now("rabbitmq_queue_messages_ready", RABBITMQ), "ready"),
                Query(now("rabbitmq_queue_messages_unacked", RABBITMQ), "unacked"),
            ],
            stacked=True,
        ),
        lines(
            "Managers' queues",
            "What agents logged and said, and nobody has taken. One that grows: the manager is away, or can't keep up.",
            [Query(now("rabbitmq_detailed_queue_messages_ready", QUEUES, "queue"), "{{queue}}")],
            stacked=True,
        ),
        lines(
            "Messages through the broker",
            "One order to all is received once, and delivered once to each agent.",
            [
                Query(rate("rabbitmq_global_messages_received_total", RABBITMQ), "received"),
                Query(rate("rabbitmq_global_messages_delivered_total", RABBITMQ), "delivered"),
                Query(rate("rabbitmq_global_messages_acknowledged_total", RABBITMQ), "acked"),
            ],
            unit=PER_SECOND,
        ),
        lines(
            "Redelivered, unroutable",
            "Redelivered: a connection ended before its work was done. Unroutable: no queue is for it.",
            [
                Query(rate("rabbitmq_global_messages_redelivered_total", RABBITMQ), "redelivered"),
                Query(rate("rabbitmq_global_messages_unroutable_dropped_total", RABBITMQ), "unroutable, dropped"),
                Query(rate("rabbitmq_global_messages_unroutable_returned_total", RABBITMQ), "unroutable, returned"),
            ],
            unit=PER_SECOND,
        ),
        lines(
            "Reached by Prometheus",
            "What isn't reached is missing in all the other panels.",
            [Query("sum by (job) (up)", "{{job}}")],
        ),
        lines(
            "Queues and connections",
            "Both grow with the number of agents, and with nothing else.",
            [
                Query(now("rabbitmq_queues", RABBITMQ), "queues"),
                Query(now("rabbitmq_connections", RABBITMQ), "connections"),
            ],
        ),
    ]


def _ways() -> list[Timeseries]:
    return [
        lines(
            "Unsent, by whom",
            "Not confirmed by the broker.",
            [Query(f"sum by (job) (thwart_unsent{{{DAEMONS}}})", "{{job}}")],
            stacked=True,
        ),
        lines(
            "Connections made anew",
            "By what the connection is for. Everybody's at once: the broker was restarted.",
            [
                Query(rate("thwart_reconnects_total", MANAGER, "link"), "manager, {{link}}"),
                Query(rate("thwart_reconnects_total", AGENT, "link"), "agents, {{link}}"),
            ],
            unit=PER_SECOND,
            stacked=True,
        ),
        lines(
            "Dead letters, by why",
            "They are kept, and named by `thwart dead-letters`.",
            [Query(rate("thwart_dead_letters_total", MANAGER, "reason"), "{{reason}}")],
            unit=PER_SECOND,
            stacked=True,
        ),
    ]


def _correlation() -> list[Timeseries]:
    return [
        lines(
            "Log lines",
            "Known ones came a second time, after a lost connection, and were dropped.",
            [
                Query(rate("thwart_log_lines_total", MANAGER), "correlated"),
                Query(rate("thwart_log_lines_known_total", MANAGER), "known"),
            ],
            unit=PER_SECOND,
        ),
        lines(
            "How far behind it is",
            "From the instant that a log line names to the order. Two clocks, and whole seconds in many logs.",
            quantiles("thwart_log_to_order_seconds", MANAGER),
            unit=SECONDS,
        ),
        lines(
            "Searches given up",
            "A rule's pattern that takes too long counts as no match. `thwart explain` shows what a line comes to.",
            [Query(rate("thwart_pattern_limits_total", MANAGER), "given up")],
            unit=PER_SECOND,
        ),
        lines(
            "Configuration read",
            "`refused`: a file has a mistake, and what was before stays in force: `thwart check-config`.",
            [Query(rate("thwart_configuration_reloads_total", MANAGER, "result"), "{{result}}")],
            unit=PER_SECOND,
            stacked=True,
        ),
    ]


def _resources() -> list[Timeseries]:
    return [
        lines(
            "Memory",
            "Resident.",
            [
                Query(now(MEMORY, MANAGER), "manager"),
                Query(f'quantile(0.5, {MEMORY}{{job="{AGENT}"}})', "agent, median"),
                Query(now(MEMORY, AGENT, how="max"), "agent, greatest"),
                Query(now("rabbitmq_process_resident_memory_bytes", RABBITMQ), "broker"),
            ],
            unit=BYTES,
        ),
        lines(
            "Processor",
            "1 is one core.",
            [
                Query(rate("process_cpu_seconds_total", MANAGER), "manager"),
                Query(rate("process_cpu_seconds_total", AGENT), "all agents"),
            ],
        ),
        lines(
            "Ledger",
            "What orders, answers and alerts of the last `retention` take on the manager's disk.",
            [Query(now("thwart_ledger_bytes", MANAGER), "ledger")],
            unit=BYTES,
        ),
        lines(
            "Free disk at the broker",
            "Below its limit the broker takes no messages.",
            [
                Query(now("rabbitmq_disk_space_available_bytes", RABBITMQ, how="min"), "free"),
                Query(now("rabbitmq_disk_space_available_limit_bytes", RABBITMQ, how="max"), "limit"),
            ],
            unit=BYTES,
        ),
    ]
