"""What a run over logs finds, and what it comes to."""

from collections import Counter
from typing import TYPE_CHECKING

from msgspec import Struct

from manager.correlation import Firing, alert
from manager.correlation.windows import SOURCE
from shared.messages import Alert, Order

if TYPE_CHECKING:  # what responses are made of takes as long to load as a hundred thousand lines to read
    from manager.responses.verdict import Refusal


class Finding(Struct, frozen=True, kw_only=True):
    """A rule that fired, and the orders that would follow."""

    firing: Firing
    orders: tuple[Order, ...] = ()
    refusals: "tuple[Refusal, ...]" = ()

    @property
    def alert(self) -> Alert:
        """The alert that would go out."""
        return alert(self.firing)

    @property
    def source(self) -> str:
        """The address that it is about; empty when the line names none."""
        return self.firing.event.fields.get(SOURCE, "")


class Tally:
    """What a run came to: how many lines, alerts by rule and by source, orders."""

    def __init__(self) -> None:
        self.lines = self.orders = 0
        self.rules: Counter[str] = Counter()
        self.sources: Counter[str] = Counter()

    def count(self, finding: Finding) -> None:
        """Add one finding."""
        firing = finding.firing
        self.rules[firing.rule.id] += 1
        if source := firing.event.fields.get(SOURCE):
            self.sources[source] += 1
        if finding.orders:
            self.orders += len(finding.orders)
