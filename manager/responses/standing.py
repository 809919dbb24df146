"""The seam through which responses learn how things stand with an offender."""

from typing import Protocol

from manager.ledger.offenders import Offender


class Standing(Protocol):
    """What is known at one moment. Neither method changes anything."""

    def offender(self, response: str, target: str) -> Offender | None:
        """The offence that `target` is at with a response (its identity), and when its last block ends, or ended.

        None for a newcomer.
        """

    def holding(self, response: str, target: str) -> frozenset[str]:
        """The agents that hold `target` by an order of the response, or were sent one so lately that it is open."""
