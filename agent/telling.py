"""What was settled, as lines of the log: one for each answer and each end."""

import structlog

from agent.journal.settling import Settled

log = structlog.get_logger()


def tell(settled: Settled) -> None:
    """Says it."""
    for said in settled.acknowledgements:
        words = {"order_id": said.order_id, "agent_id": said.agent_id, "status": said.status, "detail": said.detail}
        log.info("settled an order", action="settled", **words)
    for end in settled.expiries:
        log.info(
            "an order ended",
            action="ended",
            order_id=end.order_id,
            agent_id=end.agent_id,
            what=end.action,
            target=end.target,
            cause=end.cause,
            outcome=end.outcome,
            detail=end.detail,
        )
