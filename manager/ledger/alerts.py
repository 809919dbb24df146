"""Alerts as they were taken, and what was refused because of them."""

import msgspec

from shared.messages import Alert
from shared.store import Connection

_PUT = """
INSERT INTO alerts (id, rule_id, agent_id, at, recorded_at, late, body) VALUES (?, ?, ?, ?, ?, ?, ?)
ON CONFLICT DO NOTHING
"""
_FIND = "SELECT body FROM alerts WHERE id = ?"
_REFUSE = """
INSERT INTO refusals (alert_id, response, target, reason, detail, at) VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT DO NOTHING
"""


def put(connection: Connection, alert: Alert, at: float, late: bool, now: float) -> bool:
    """Writes down `alert`; False when it was there already."""
    row = (alert.id, alert.rule.id, alert.agent.id, at, now, late, msgspec.json.encode(alert))
    return connection.execute(_PUT, row).rowcount == 1


def find(connection: Connection, alert_id: str) -> Alert | None:
    """The alert as it was taken, or None."""
    row = connection.execute(_FIND, (alert_id,)).fetchone()
    return None if row is None else msgspec.json.decode(row["body"], type=Alert)


def refuse(
    connection: Connection, alert_id: str, response: str, target: str, reason: str, detail: str, now: float
) -> None:
    """Writes down that `response` did not act on an alert on purpose, and why."""
    connection.execute(_REFUSE, (alert_id, response, target, reason, detail, now))
