"""How long the block for an alert is: the first time, the next times, and while one is in force already."""

from msgspec import Struct

from manager.ledger.offenders import Offender
from manager.ledger.schema import FOREVER
from manager.responses.response import Response

LEAST_LEFT = 1.0  # s: an agent answers `stale` to what has less, and what the attacker does next is a new offence


class Term(Struct, frozen=True, kw_only=True):
    """An offence, and the block for it. Spans are seconds; a timeout of None is until lifted."""

    offence: int
    timeout: float | None
    ends_at: float  # FOREVER until lifted
    running: bool  # a block is in force: the offence is not a new one, and the timeout is what is left

    @property
    def expires_at(self) -> float | None:
        """The end as an order has it."""
        return None if self.timeout is None else self.ends_at


def term(response: Response, known: Offender | None, at: float, now: float, memory: float) -> Term | None:
    """What an alert of the instant `at` makes of an offender; None when it is about a block that is as good as over.

    Only what happens after the last block's end is a new offence, and the end is forgotten after `memory`. A host
    whose clock is ahead doesn't make offences early.
    """
    if known is None or known.ends_at < now - memory:
        return _new(response, 1, now)
    if min(at, now) >= known.ends_at:
        return _new(response, known.offence + 1, now)
    if known.ends_at >= FOREVER:
        return Term(offence=known.offence, timeout=None, ends_at=FOREVER, running=True)
    left = known.ends_at - now
    if left < LEAST_LEFT:
        return None
    return Term(offence=known.offence, timeout=left, ends_at=known.ends_at, running=True)


def _new(response: Response, offence: int, now: float) -> Term:
    timeout = response.timeout_of(offence)
    ends_at = FOREVER if timeout is None else now + timeout
    return Term(offence=offence, timeout=timeout, ends_at=ends_at, running=False)
