"""How offenders look: a line for each response, or all that is remembered of one."""

from collections.abc import Sequence

import click

from manager.cli.shows.blocks import print_blocks
from manager.cli.shows.orders import print_orders
from manager.cli.shows.table import left
from manager.ledger.views import Offence, OffenderStory
from shared.tables import plain, print_table


def print_offences(found: Sequence[Offence]) -> None:
    """One line for each offender and response."""
    columns = ("TARGET", "OFFENCE", "RESPONSE", "BLOCKED FOR", "FORGOTTEN IN")
    print_table(columns, [_offence(each) for each in found], "nobody is remembered")


def print_offender(story: OffenderStory) -> None:
    """All that is remembered of one."""
    if story.offences:
        print_offences(story.offences)
    else:
        click.echo(plain(f"{story.target} is remembered by no response: its next offence is a first one"))
    if story.orders:
        click.echo("\nwhat responses ordered, newest first:")
        print_orders(story.orders)
    if story.blocks:
        click.echo("\nin force:")
        print_blocks(story.blocks)


def _offence(each: Offence) -> tuple[str, ...]:
    forgotten = "not while it is blocked" if each.forgotten_at is None else left(each.forgotten_at)
    return each.target, str(each.offence), each.response, left(each.ends_at, over="over"), forgotten
