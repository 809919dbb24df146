"""`thwart-agent`: the daemon, and what a person on the host does with broker and manager gone.

Nothing heavy is imported before a command runs, so that --help answers at once.
"""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

import click

from agent.action_commands import DEFAULT, action
from shared import checkup, command_line, durations

if TYPE_CHECKING:
    from agent.control import LiftAnswer
    from agent.journal.views import EffectView
    from shared.settings import AgentSettings


@click.group("thwart-agent", cls=command_line.Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="thwart")
def main() -> None:
    """Carry out orders on this host: put blocks in force, end them on time, say so.

    \b
    Examples:
      thwart-agent run --config /etc/thwart/agent.toml
      thwart-agent effects
      thwart-agent action test firewall-drop 192.0.2.1
      thwart-agent health
      thwart-agent lift 203.0.113.9
      thwart-agent lift --all
    """


@main.command(name="run")
@command_line.config(DEFAULT)
@command_line.test
def run(config: Path | None, test: bool) -> None:
    """Run the agent until SIGTERM. The broker need not be there; blocks stay when the agent ends.

    There is one for each network namespace; a second one refuses, and says who is there.

    \b
    Examples:
      thwart-agent run
      thwart-agent run -t
      THWART_AGENT_ID=web1 thwart-agent run --config ./agent.toml
    """
    from agent import app, identity, namespace
    from shared import log

    settings = _settings(config)
    if test:
        for warning in app.checked(settings):
            click.echo(f"{click.style('warning', fg='yellow')}: {warning}")
        mine = identity.known(settings) or "given an id by its first start"
        click.echo(f"settings: {config or 'no file'}, in order; this agent is {mine}")
        return
    log.configure(settings.log)
    with namespace.held(lambda: identity.sentence(settings)):
        asyncio.run(app.run(settings))


@main.command()
@command_line.config(DEFAULT)
@command_line.output
def effects(config: Path | None, output: str) -> None:
    """Show what is in force on this host; needs neither broker nor manager.

    What the agent found in force when it started and has no order for is `adopted`: it is held with the time that was
    left, until a manager has sent everything that is in force for this agent.

    \b
    Examples:
      thwart-agent effects
      thwart-agent effects -o json
    """
    from agent import folder, host
    from agent.journal import views
    from agent.journal.times import Now
    from shared.clock import SystemClock

    state, now = Path(_settings(config).agent.state_dir), Now.by(SystemClock())
    some = views.effects(state / folder.JOURNAL, host.boot_id(), now)
    if output == "json":
        command_line.print_json(some)
    else:
        _print_effects(some, now.wall)


@main.command()
@click.argument("target", required=False)
@click.option("--all", "everything", is_flag=True, help="End whatever is in force on this host.")
@command_line.config(DEFAULT)
@command_line.output
def lift(target: str | None, everything: bool, config: Path | None, output: str) -> None:
    """End what is in force on TARGET now; needs neither broker nor manager.

    TARGET is an address or network, or a name as `thwart-agent effects` shows it, of an account for one. The managers
    hear of it as soon as the broker can be reached. An alert that comes later blocks again.

    \b
    Examples:
      thwart-agent lift 203.0.113.9
      thwart-agent lift alice
      thwart-agent lift --all
    """
    from agent.alone import lift_here
    from agent.control import LiftRequest
    from shared import log
    from shared.settings import LogSettings

    _check(target, everything)
    log.configure(LogSettings(level="warning"))
    answer = asyncio.run(lift_here(_settings(config), LiftRequest(target=target)))
    if output == "json":
        command_line.print_json(answer)
    else:
        _print_lifted(answer, target)
    for problem in answer.problems:
        click.echo(f"thwart-agent: could not be ended: {problem}", err=True)
    if answer.problems or answer.error:
        raise SystemExit(1)


@main.command()
@command_line.config(DEFAULT)
@checkup.options
@click.pass_context
def health(ctx: click.Context, config: Path | None, wanted: str, output: str) -> None:
    """Say whether the agent on this host lives and is ready; needs neither broker nor manager.

    Live: its loop has turned within 5 s and the journal can be written. Ready: it takes orders. A broker that is away
    makes it not ready, never dead. Ends with 0 when it is ready (with --live: when it lives), 1 when it isn't, and 3
    when no agent runs here.

    \b
    Examples:
      thwart-agent health
      thwart-agent health --live
      thwart-agent health -o json
    """
    from agent.checkup import looked_at

    ctx.exit(checkup.show("the agent", looked_at(Path(_settings(config).agent.state_dir)), wanted, output))


@main.command()
@command_line.to
@command_line.config(DEFAULT)
def support(to: Path, config: Path | None) -> None:
    """Write a bundle for whoever helps: versions, settings, the journal in figures, how the agent is, its recent log.

    Secrets are taken out: passwords in URLs, values whose name says that they are secret, and these values wherever
    else they occur. Look through it before you send it. Works with the agent down too, and says what it couldn't take.

    \b
    Examples:
      thwart-agent support
      thwart-agent support --to /tmp
    """
    from agent.support import gather
    from shared.support import Bundle

    bundle = Bundle("thwart-agent-support")
    gather(bundle, config)
    bundle.close(to)


main.add_command(action)


def _settings(config: Path | None) -> "AgentSettings":
    from shared import settings

    return settings.load(settings.AgentSettings, config)


def _check(target: str | None, everything: bool) -> None:
    """No more than that: a script may act on any word, which may look like a mistyped address."""
    if (target is None) != everything or (target is not None and not target.strip()):
        raise click.UsageError("name a TARGET, or say --all")


def _print_effects(some: "list[EffectView]", now: float) -> None:
    from shared.tables import print_table

    rows = [_effect(each, now) for each in some]
    print_table(("ACTION", "TARGET", "SINCE", "LEFT", "ORDERS"), rows, "nothing is in force on this host")


def _effect(each: "EffectView", now: float) -> tuple[str, ...]:
    since = f"{durations.words(max(0.0, now - each.since_at))} ago"
    orders = [order[: command_line.SHORT] for order in each.orders] + ["adopted"] * each.adopted
    return each.action, each.target, since, _left(each, now), ", ".join(orders)


def _left(each: "EffectView", now: float) -> str:
    if not each.orders and not each.adopted:
        return "could not be ended yet"
    return "until lifted" if each.expires_at is None else durations.words(max(0.0, each.expires_at - now))


def _print_lifted(answer: "LiftAnswer", target: str | None) -> None:
    if answer.error:
        click.echo(f"thwart-agent: {answer.error}", err=True)
    elif not (answer.lifted or answer.problems):
        click.echo(f"nothing is in force on {target or 'this host'}{' itself' if answer.covered else ''}")
    for each in answer.lifted:
        orders = "one order" if each.orders == 1 else f"{each.orders} orders" if each.orders else "no order"
        click.echo(f"lifted {each.action} on {each.target}, held by {orders}")
    for network in answer.covered:
        click.echo(f"{target} is still covered by {network}; `thwart-agent lift {network}` ends that")
