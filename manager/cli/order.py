"""`thwart order`: gives any action by hand."""

from pathlib import Path
from typing import Literal

import click

from manager.cli import addresses, completing, options, placing
from shared import command_line


def _lines(_: click.Context, option: click.Parameter, given: tuple[str, ...]) -> tuple[str, ...]:
    for each in given:
        if not each.isprintable():
            raise click.BadParameter(f"{each[:80]!r} is more than a line", param=option)
    return given


@click.command("order")
@click.argument("action", shell_complete=completing.actions)
@click.argument("target", default="")
@placing.terms("the manager's, 4h; a script without a time is told once")
@click.option(
    "--argument",
    "arguments",
    multiple=True,
    metavar="TEXT",
    callback=_lines,
    help="Given to the action, as <extra_args> would be; may be repeated.",
)
@options.request_id("The same id is the same order.")
@command_line.output
@options.api
@click.pass_context
def command(
    ctx: click.Context,
    action: str,
    target: str,
    said: placing.Said,
    arguments: tuple[str, ...],
    request_id: str | None,
    output: Literal["table", "json"],
    api: str,
    token_file: Path,
) -> None:
    """Have ACTION carried out on TARGET, on the agents that are named, the manager hosts, or all.

    ACTION is a built-in one, a package's, or the name of a file in the agents' script folder; `thwart agents show ID`
    lists what an agent can carry out. TARGET is what such an action acts on: an address or network, an account,
    whatever a script wants; a restart or a message has none, and no --for either. `thwart unblock TARGET` ends what
    lasts.

    What is protected is refused, and no breaker holds back what a person orders. Ends with 0 when no agent said no, 1
    when one did or the manager refused, 2 for wrong usage, 3 when the manager can't be reached.

    \b
    Examples:
      thwart order disable-account alice --agent web1 --for 2h
      thwart order host-deny 203.0.113.9 --all
      thwart order route-null 203.0.113.0/24 --server --for forever
      thwart order restart-wazuh --agent web1 --agent web2
      thwart order deny-file.sh 203.0.113.9 --all --for 1h --argument /var/lib/thwart/denied
      thwart order disable-account alice --all --dry-run -o json
    """
    if said.location is None:
        raise click.UsageError("say where: --agent ID, --server or --all")

    from msgspec import UNSET

    from manager import client
    from manager.api.bodies.blocks import Given
    from manager.api.bodies.orders import NewOrder
    from manager.cli.shows.words import in_words

    wish = NewOrder(
        request_id=request_id or client.request_id(),
        action=action,
        target=_checked(action, target, said.timeout),
        arguments=arguments,
        location=said.location,
        agents=said.agents,
        timeout=UNSET if said.timeout is None else said.timeout,
        reason=said.reason,
        dry_run=said.dry_run,
    )
    with client.Client(api, token_file) as http:
        given = http.post("/v1/orders", wish, Given)
        done = placing.report(http, given, f"ordering {in_words(given.orders[0])}", wait=said.wait, output=output)
    ctx.exit(0 if done else 1)


def _checked(action: str, target: str, timeout: float | Literal["forever"] | None) -> str:
    """The target in its one spelling; what can't be meant is wrong usage."""
    from manager.actions import target_of, term
    from shared.actions import kind_of
    from shared.errors import InvalidTarget, JustHappens, UnknownAction

    try:
        term(action, timeout, 0.0)
        return target_of(action, target)
    except InvalidTarget as error:
        hint = addresses.advice(target) if kind_of(action) == "address" else ""
        raise click.BadParameter(f"{error}{hint}", param_hint="TARGET") from error
    except JustHappens as error:
        raise click.BadParameter(str(error), param_hint="--for") from error
    except UnknownAction as error:
        raise click.BadParameter(str(error), param_hint="ACTION") from error
