"""`thwart rules`: which are in force, what each asks and sets off, reading them anew, and holding them to cases."""

from pathlib import Path
from typing import Literal

import click

from manager.cli import completing, options, without_manager
from shared import command_line


@click.group("rules", cls=command_line.Noun)
def command() -> None:
    """The rules that turn log lines into alerts. `thwart rules` alone lists those in force."""


@command.command("list")
@click.option("--group", metavar="NAME", help="Only rules in this group.")
@click.option("--level", type=click.IntRange(0, 16), help="Only rules of at least this level.")
@click.option("--text", metavar="TEXT", help="Only rules whose id or description holds this.")
@without_manager.files
@command_line.output
@options.api
def list_(
    group: str | None,
    level: int | None,
    text: str | None,
    config: Path | None,
    rules: tuple[Path, ...],
    output: Literal["table", "json"],
    api: str,
    token_file: Path,
) -> None:
    """List the rules in force at the manager, in file order.

    \b
    Examples:
      thwart rules list --group sshd
      thwart rules --level 10 -o json
      thwart rules list --text 'brute force' --rules local_rules.xml
    """
    from manager.api.bodies.rules import RuleFilter, Rules
    from manager.cli.shows.rules import print_rules
    from manager.cli.shows.table import as_json
    from manager.client import Client

    if config or rules:
        found = without_manager.rulebook(config, rules).rules(RuleFilter(group=group, level=level, text=text))
    else:
        with Client(api, token_file) as client:
            found = client.get("/v1/rules", Rules, group=group, level=level, text=text)
    as_json(found.rules) if output == "json" else print_rules(found)


@command.command("show")
@click.argument("rule_id", metavar="ID", shell_complete=completing.rules)
@without_manager.files
@command_line.output
@options.api
def show(
    rule_id: str,
    config: Path | None,
    rules: tuple[Path, ...],
    output: Literal["table", "json"],
    api: str,
    token_file: Path,
) -> None:
    """Show one rule as it is understood: its tests, its place in the tree, what it counts, what it sets off.

    \b
    Examples:
      thwart rules show 5712
      thwart rules show 100001 --rules local_rules.xml --config ossec.conf
    """
    from urllib.parse import quote

    from manager.api.bodies.rules import RuleStory
    from manager.cli.shows.rules import print_rule
    from manager.cli.shows.table import as_json
    from manager.client import Client

    if config or rules:
        story = without_manager.rulebook(config, rules).rule(rule_id)
    else:
        with Client(api, token_file) as client:
            story = client.get(f"/v1/rules/{quote(rule_id, safe='')}", RuleStory)
    as_json(story) if output == "json" else print_rule(story)


@command.command("reload")
@command_line.output
@options.api
def reload(output: Literal["table", "json"], api: str, token_file: Path) -> None:
    """Have the manager read its rules and ossec.conf anew, whole or not at all, as SIGHUP does.

    When something is wrong with them it says what, with file and line, and what was in force stays in force.

    \b
    Example:
      thwart check-config /etc/thwart/ossec.conf && thwart rules reload
    """
    from manager.api.bodies.rules import NewReload, Reloaded
    from manager.cli.shows.table import as_json
    from manager.client import Client

    with Client(api, token_file) as client:
        done = client.post("/v1/rules/reload", NewReload(), Reloaded)
    if output == "json":
        as_json(done)
    else:
        click.echo(f"in force: {done.rules} rules, {done.decoders} decoders, {done.responses} responses")


@command.command("test")
@click.argument("cases", nargs=-1, type=click.Path(path_type=Path, exists=True), metavar="[DIR|FILE.ini]...")
@without_manager.rules
@command_line.output
@click.pass_context
def test(
    ctx: click.Context, cases: tuple[Path, ...], rules: tuple[Path, ...], output: Literal["table", "json"]
) -> None:
    """Hold the rules to cases: lines that were logged, and what they have to come to. Needs no manager.

    Each [section] of an .ini file is a case: `log 1 pass = LINE`, `log 2 pass = LINE` and so on, read in order, and
    what they come to: `rule = 5712`, `alert = 10` (the level), `decoder = sshd`, `field srcip = 203.0.113.9`. Where the
    rule counts others, the last line has to come to it, else each. `log N fail = LINE` must not; `log N = LINE` is
    read only. Without a file the cases that ship with Thwart are run. Ends with 1 when a case fails.

    \b
    Examples:
      thwart rules test
      thwart rules test my-cases/ --rules local_rules.xml
      thwart rules test sshd.ini -o json
    """
    from manager.cli.shows.rules import print_results
    from manager.cli.shows.table import as_json

    results = without_manager.tested(cases, rules)
    as_json(results) if output == "json" else print_results(results)
    ctx.exit(0 if all(each.passed for each in results) else 1)
