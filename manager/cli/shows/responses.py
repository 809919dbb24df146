"""How responses look."""

import click

from manager.api.bodies.responses import Responses, ResponseStory, ResponseView
from manager.cli.shows.table import counted
from shared import durations
from shared.tables import plain, print_table

_COLUMNS = ("NAME", "COMMAND", "LOCATION", "FIRES ON", "RULES", "TIMEOUT", "THEN", "BREAKER", "WHERE")


def print_responses(found: Responses) -> None:
    """One line a response."""
    print_table(_COLUMNS, [_row(each) for each in found.responses], "no response is configured: nothing is ordered")


def print_response(story: ResponseStory) -> None:
    """One response, and the rules that fire it."""
    print_responses(Responses(responses=(story.response,)))
    if not story.fired_by:
        click.echo("\nno rule in force fires it")
        return
    click.echo(f"\nfired by {counted(len(story.fired_by), 'rule')}:")
    rows = [(each.rule, str(each.level), plain(each.description), each.why) for each in story.fired_by]
    print_table(("RULE", "LEVEL", "DESCRIPTION", "BECAUSE"), rows, "")


def _row(response: ResponseView) -> tuple[str, ...]:
    return (
        response.identity,
        command(response),
        place(response),
        selectors(response),
        str(response.fires),
        timeout(response),
        repeats(response),
        breaker(response),
        response.where,
    )


def command(response: ResponseView) -> str:
    """The command's name, with what is unusual about the response."""
    flags = (
        ("disabled", response.disabled),
        ("dry run", response.dry_run),
        ("exempt", response.white_list_exempt),
        ("waits for approval", response.approval),
    )
    notes = [word for word, given in flags if given]
    return f"{response.command} ({', '.join(notes)})" if notes else response.command


def place(response: ResponseView) -> str:
    """The location as the file spells it, and for whom."""
    if response.exclude:
        return f"{response.location} but {', '.join(response.exclude)}"
    return ": ".join(word for word in (response.location, ", ".join(response.agents)) if word)


def selectors(response: ResponseView) -> str:
    """What it fires on."""
    rules = f"rule {', '.join(response.rules_id)}" if response.rules_id else ""
    level = f"level ≥ {response.level}" if response.level is not None else ""
    groups = f"group {', '.join(response.rules_group)}" if response.rules_group else ""
    others = " and ".join(word for word in (level, groups) if word)
    return ", or ".join(word for word in (rules, others) if word)


def timeout(response: ResponseView) -> str:
    """How long a first block is."""
    if response.one_shot:
        return "-"
    return "until lifted" if response.timeout is None else durations.words(response.timeout)


def repeats(response: ResponseView) -> str:
    """How long those are that follow."""
    return ", ".join(durations.words(each) for each in response.repeated_offenders) or "-"


def breaker(response: ResponseView) -> str:
    """How many new targets a minute it takes, or that it was too many."""
    return "tripped" if response.tripped else f"{response.limit:,} a minute"
