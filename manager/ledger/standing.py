"""How things stand with an offender, judged inside the transaction that decides: what escalation asks the ledger.

Alerts of one batch see each other's offences, because they are written before the next is judged.
"""

from manager.ledger import offenders
from manager.ledger.offenders import Offender
from shared.store import Connection

_HOLDING = """
SELECT DISTINCT oa.agent_id FROM orders o JOIN order_agents oa ON oa.order_id = o.id
WHERE o.target = ? AND o.until > ? AND o.response = ? AND o.lasting = 1 AND o.dry_run = 0 AND o.lifted_by IS NULL
    AND (oa.state IN ('applied', 'unchanged') OR (oa.state = 'waiting' AND oa.since > ?))
"""


class LedgerStanding:
    """The ledger's view, at `now`, within the transaction of `connection`. `answer_within` is in seconds."""

    def __init__(self, connection: Connection, now: float, answer_within: float) -> None:
        self._connection, self._now, self._since = connection, now, now - answer_within

    def offender(self, response: str, target: str) -> Offender | None:
        """The offence that `target` is at with `response`, and when its last block ends; None for a newcomer."""
        return offenders.find(self._connection, response, target)

    def holding(self, response: str, target: str) -> frozenset[str]:
        """The agents that hold `target` by an order of `response`, or were sent one a moment ago."""
        rows = self._connection.execute(_HOLDING, (target, self._now, response, self._since))
        return frozenset(row["agent_id"] for row in rows)
