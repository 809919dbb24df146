"""`thwart-agent action`: what this host can carry out, and whether it really does."""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

import click

from shared import command_line

if TYPE_CHECKING:
    from agent.trials import Offered, Step, TrialAnswer

DEFAULT = Path("/etc/thwart/agent.toml")


@click.group("action", cls=command_line.Noun)
def action() -> None:
    """What this host can carry out, and whether it really does.

    \b
    Examples:
      thwart-agent action list
      thwart-agent action test firewall-drop 192.0.2.1
    """


@action.command("list")
@command_line.config(DEFAULT)
@command_line.output
def listing(config: Path | None, output: str) -> None:
    """List the actions of this host: what carries each out, or why nothing does; needs neither broker nor manager.

    Those that are built in, those of installed packages, and the scripts. When no agent runs, what each needs is looked
    for now; an agent that runs says what it has chosen.

    \b
    Examples:
      thwart-agent action list
      thwart-agent action list -o json
    """
    from agent.alone import list_here
    from shared import settings

    _quietly()
    answer = asyncio.run(list_here(settings.load(settings.AgentSettings, config)))
    _fail_with(answer.error)
    if output == "json":
        command_line.print_json(answer.actions)
    else:
        _print_offered(answer.actions)


@action.command("test")
@click.argument("name")
@click.argument("target", default="")
@click.option(
    "--argument", "arguments", multiple=True, metavar="TEXT", help="Given to the action, as <extra_args> would be."
)
@command_line.config(DEFAULT)
@command_line.output
def trial(name: str, target: str, arguments: tuple[str, ...], config: Path | None, output: str) -> None:
    """Apply NAME to TARGET on this host, look whether that is in force, take it back, look again, say what was seen.

    It takes a moment, in which TARGET really is acted on: take one that nobody needs, such as 192.0.2.1, which is set
    aside for documentation. One that is protected, or in force already, is refused. What a script did can't be looked
    up, so that only its exit code is told; what just happens (a restart, a message) happens. Needs neither broker nor
    manager; with an agent running, that does it. Ends with 0 when it works, with 1 when it doesn't or was refused.

    \b
    Examples:
      thwart-agent action test firewall-drop 192.0.2.1
      thwart-agent action test route-null 2001:db8::/64 -o json
      thwart-agent action test deny-file.sh 192.0.2.1 --argument /tmp/denied
    """
    from agent.alone import try_here
    from agent.trials import TrialRequest
    from shared import settings

    _quietly()
    request = TrialRequest(action=name, target=target, arguments=arguments)
    answer = asyncio.run(try_here(settings.load(settings.AgentSettings, config), request))
    if output == "json":
        command_line.print_json(answer)
    _fail_with(answer.error)
    if output == "table":
        _print_trial(name, target, answer)
    if not answer.works:
        raise SystemExit(1)


def _quietly() -> None:
    """What is wrong with this host is in the answer."""
    from shared import log
    from shared.settings import LogSettings

    log.configure(LogSettings(level="critical"))


def _fail_with(error: str) -> None:
    if error:
        click.echo(f"thwart-agent: {error}", err=True)
        raise SystemExit(1)


def _print_offered(some: "tuple[Offered, ...]") -> None:
    from shared.tables import print_table

    rows = [(each.action, "-" if each.why_not else each.backend, each.why_not, each.passed_over) for each in some]
    print_table(("ACTION", "BY", "WHY NOT", "NOT BY"), rows, "nothing can be carried out on this host")


def _print_trial(name: str, target: str, answer: "TrialAnswer") -> None:
    from shared.tables import print_table

    click.echo(f"{name}{f' on {target}' if target else ''}, by {answer.backend}")
    rows = [(each.did, f"{each.took * 1_000:.1f} ms", _seen(each), each.problem) for each in answer.steps]
    print_table(("DONE", "TOOK", "SEEN", "PROBLEM"), rows, "nothing was done")
    click.echo(
        click.style("it works here", fg="green") if answer.works else click.style("it doesn't work here", fg="red")
    )


def _seen(step: "Step") -> str:
    if step.in_force is None:
        return "can't be looked up"
    return "in force" if step.in_force else "not in force"
