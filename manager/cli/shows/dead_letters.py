"""How dead letters look."""

from collections.abc import Sequence

from manager.cli.shows.table import ago
from manager.ledger.views import DeadLetter
from shared.command_line import SHORT
from shared.tables import print_table


def print_dead_letters(found: Sequence[DeadLetter]) -> None:
    """One line for each message that could not be taken."""
    rows = [
        (ago(one.at), one.reason, one.kind, one.routing_key, one.sender, one.message_id[:SHORT], one.detail)
        for one in found
    ]
    print_table(("AGE", "REASON", "KIND", "KEY", "SENT BY", "ID", "DETAIL"), rows, "no dead letters")
