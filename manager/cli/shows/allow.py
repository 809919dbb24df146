"""How the allowlist looks."""

from collections.abc import Sequence

from manager.cli.shows.table import left, time_of
from manager.ledger.views import AllowEntry
from shared.tables import print_table


def print_allowed(found: Sequence[AllowEntry]) -> None:
    """One line for each entry of the allowlist."""
    rows = [
        (
            each.network,
            each.reason,
            left(each.until) if each.until else "until removed",
            each.source or f"added {time_of(each.added_at or 0.0)} by {each.issuer}",
        )
        for each in found
    ]
    print_table(("NETWORK", "WHY", "LEFT", "FROM"), rows, "nothing is on the allowlist")
