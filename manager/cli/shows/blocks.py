"""How blocks look."""

from collections.abc import Sequence

from manager.cli.shows.table import left, print_table
from manager.ledger.views import Block, Holder
from shared.command_line import SHORT


def print_blocks(found: Sequence[Block]) -> None:
    """One line for each block and agent."""
    rows = [_block(block, holder) for block in found for holder in block.holders]
    print_table(("TARGET", "ACTION", "AGENT", "LEFT", "ORDER", ""), rows, "nothing is blocked")


def _block(block: Block, holder: Holder) -> tuple[str, ...]:
    aside = "being lifted" if holder.lifting else ""
    return block.target, block.action, holder.agent_id, left(holder.until), holder.order_id[:SHORT], aside
