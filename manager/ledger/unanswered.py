"""What agents owe an answer to: how much, and for how long. For figures, so it reads beside the writer."""

from collections.abc import Collection

from msgspec import Struct

from shared.store import Connection

# One row for each agent that owes something. `+`: else SQLite goes through everything that was ever ordered of each
# agent, to be spared the sorting of what is waiting.
_BY_AGENT = """
SELECT agent_id, MIN(since) AS oldest, SUM(CASE WHEN since < ? THEN 1 ELSE 0 END) AS overdue FROM (
    SELECT oa.agent_id, CASE WHEN oa.since > o.sent_at THEN oa.since ELSE o.sent_at END AS since
    FROM order_agents oa JOIN orders o ON o.id = oa.order_id
    WHERE oa.state = 'waiting' AND o.sent_at IS NOT NULL
) AS owed GROUP BY +agent_id
"""


class Unanswered(Struct, frozen=True, kw_only=True):
    """At one moment."""

    overdue: int  # answers that living agents owe for longer than `answer_within`
    oldest: float  # s since the oldest order was sent, or sent again, that anybody owes an answer to; 0: nobody does


def unanswered(connection: Connection, now: float, answer_within: float, living: Collection[str]) -> Unanswered:
    """Counts as `thwart orders --state overdue` does."""
    rows = connection.execute(_BY_AGENT, (now - answer_within,)).fetchall()
    return Unanswered(
        overdue=sum(row["overdue"] for row in rows if row["agent_id"] in living),
        oldest=max((now - row["oldest"] for row in rows), default=0.0),
    )
