"""`thwart check-config`: what a configuration comes to, and where it is wrong or doesn't mean what it seems to."""

from pathlib import Path
from typing import Literal

import click

from shared import command_line


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="FILE...")
@click.option(
    "--rules",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="PATH",
    help="A rule file, or a folder of them, that responses may refer to beside the shipped rules. May be repeated.",
)
@command_line.output
@click.pass_context
def command(
    ctx: click.Context, files: tuple[Path, ...], rules: tuple[Path, ...], output: Literal["table", "json"]
) -> None:
    """Read configuration and rule files as the manager would, and say what is honoured.

    FILE is an ossec.conf, or a file of rules or decoders; which one is seen from what is in it. The whole ossec.conf of
    a Wazuh 4 manager may be given: what is not ours in it is listed. Ends with 0 when all is in order, warnings or not,
    and with 2 when there are errors.

    \b
    Examples:
      thwart check-config /var/ossec/etc/ossec.conf
      thwart check-config ossec.conf --rules /var/ossec/etc/rules
      thwart check-config ossec.conf local_rules.xml -o json
    """
    from manager.checking import check
    from manager.cli import reports

    report = check(files, rules)
    reports.as_json(report) if output == "json" else reports.as_table(report)
    ctx.exit(2 if report.errors else 0)
