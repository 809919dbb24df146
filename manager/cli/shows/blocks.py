"""How blocks look: a line for each agent, or all that concerns one address."""

from collections.abc import Sequence

import click

from manager.cli import addresses
from manager.cli.shows.orders import print_orders
from manager.cli.shows.table import left, time_of
from manager.ledger.views import Block, BlockStory, Holder
from shared.command_line import SHORT
from shared.tables import print_table

_COLUMNS = ("TARGET", "ACTION", "AGENT", "SINCE", "LEFT", "ORDER", "BY", "")


def print_blocks(found: Sequence[Block]) -> None:
    """One line for each block and agent, and for each order that holds it there."""
    print_table(_COLUMNS, [_block(block, holder) for block in found for holder in block.holders], "nothing is blocked")


def print_block(story: BlockStory) -> None:
    """All that concerns one target."""
    if story.blocks:
        print_blocks(story.blocks)
    else:
        click.echo(f"{story.target} itself is not blocked anywhere{addresses.advice_on_host(story.target)}")
    if story.around:
        click.echo(f"\nnetworks that cover {story.target}, and stay when it is unblocked:")
        print_blocks(story.around)
    if story.inside:
        click.echo(f"\nblocks of what lies in {story.target}:")
        print_blocks(story.inside)
    held = {holder.order_id for block in story.blocks for holder in block.holders}
    coming = [each for each in story.orders if each.id not in held]
    if coming:
        click.echo(f"\non hold, or not in force yet ({len(coming)}):")
        print_orders(coming)


def _block(block: Block, holder: Holder) -> tuple[str, ...]:
    aside = "being lifted" if holder.lifting else ""
    since, by = time_of(holder.since), holder.response or "a person"
    return block.target, block.action, holder.agent_id, since, left(holder.until), holder.order_id[:SHORT], by, aside
