"""`thwart up`: everything that one host needs, in the foreground."""

import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click

from manager.cli import options

if TYPE_CHECKING:
    from manager.up.plan import Plan

AUTH_LOG = Path("/var/log/auth.log")
OSSEC_CONF = Path("/etc/thwart/ossec.conf")
METRICS_PORT = 9464
_PORT = click.IntRange(0, 65_535)


@click.command("up")
@click.option(
    "--state",
    type=click.Path(path_type=Path, file_okay=False),
    default=options.UP,
    show_default=True,
    help="The folder that everything is kept in; it may be there from the last time.",
)
@click.option(
    "--config",
    "ossec_conf",
    type=click.Path(path_type=Path, dir_okay=False),
    default=OSSEC_CONF,
    show_default=True,
    help="The responses, an ossec.conf.",
)
@click.option(
    "--rules",
    multiple=True,
    type=click.Path(path_type=Path, exists=True),
    metavar="PATH",
    help="A rule file, or a folder of them, beside the shipped rules; later ones override. May be repeated.",
)
@click.option(
    "--log",
    "logs",
    multiple=True,
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help=f"A log to follow. May be repeated. Default: {AUTH_LOG}, or the journal where that isn't there.",
)
@click.option("--journal", is_flag=True, help="Follow the systemd journal.")
@click.option("--api-port", type=_PORT, default=9460, show_default=True, help="Of loopback; 0: any that is free.")
@click.option("--broker-port", type=_PORT, default=0, help="Of loopback. Default: any that is free.")
def command(
    state: Path,
    ossec_conf: Path,
    rules: tuple[Path, ...],
    logs: tuple[Path, ...],
    journal: bool,
    api_port: int,
    broker_port: int,
) -> None:
    """Run all that one host needs until Ctrl-C: a private RabbitMQ node, the manager, and an agent.

    It is no supervisor: when one part ends, all end, with exit code 1; systemd and containers are for what has to stay
    up. Blocks stay in force when it stops, and end on time by nftables and ipset, by anything else once an agent runs
    again. The settings that it doesn't make itself can be given in the environment, as THWART_<SECTION>_<KEY>.

    \b
    Examples:
      thwart up
      thwart up --config ./ossec.conf --rules ./local_rules.xml
      thwart up --journal --state /srv/thwart --api-port 0
    """
    from manager.up import running
    from manager.up.plan import Plan
    from manager.up.private_broker import free_port, is_free

    if journal and logs:
        raise click.UsageError("say --journal, or name files with --log")
    plan = Plan(
        state=state.absolute(),
        ossec_conf=ossec_conf if ossec_conf == OSSEC_CONF else ossec_conf.absolute(),
        rules=rules,
        logs=() if journal else logs or ((AUTH_LOG,) if AUTH_LOG.exists() else ()),
        api_port=_settled(api_port),
        metrics_port=METRICS_PORT if is_free(METRICS_PORT) else free_port(),
        broker_port=broker_port,
    )
    running.require(plan)
    _check(plan)
    running.run(plan, _tell, lambda: _tell(_what_now(plan)))


def _settled(api_port: int) -> int:
    """The port itself, if nobody has it; for 0 one that is free."""
    from manager.up.private_broker import free_port, is_free
    from shared.errors import SettingsError

    if api_port and not is_free(api_port):
        raise SettingsError(
            f"--api-port: somebody listens on port {api_port}, another manager perhaps; stop it, or name another port"
        )
    return api_port or free_port()


def _check(plan: "Plan") -> None:
    """Reads what the manager will read, so that a mistake in it is said before anything runs."""
    from manager.correlation import load, shipped
    from manager.responses import configuration

    load([shipped(), *plan.rules])
    if plan.ossec_conf.exists() or plan.ossec_conf != OSSEC_CONF:
        configuration.load(plan.ossec_conf)
    else:
        _tell(f"there is no {OSSEC_CONF}: nothing is blocked by itself; write one, or name it with --config")


def _what_now(plan: "Plan") -> str:
    """For who has just started it."""
    from manager.up.running import STAY

    found = plan.api == options.API_URL and plan.token_file == options.token_file()
    variables = f"  export THWART_API_URL={plan.api} THWART_API_TOKEN_FILE={plan.token_file}\n"
    came_from = os.environ.get("SSH_CONNECTION", "").partition(" ")[0]
    yours = f"  thwart allow add {came_from}   # never block where you are logged in from\n" if came_from else ""
    return (
        f"all of it runs: the agent follows {plan.follows}; the API is {plan.api}, its token {plan.token_file}\n"
        "In another terminal:\n"
        f"{'' if found else variables}{yours}"
        "  thwart blocks                      # what is in force, until when\n"
        "  thwart block 203.0.113.9 --for 10m # and thwart unblock\n"
        "  thwart orders                      # what was ordered, and why\n"
        f"  thwart-agent effects --config {plan.state / 'agent.toml'}\n"
        f"Ctrl-C stops all of it; {STAY}."
    )


def _tell(what: str) -> None:
    with suppress(OSError):  # its terminal was closed, which is why it stops
        click.echo(f"thwart up: {what}")
