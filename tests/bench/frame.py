"""What a benchmark is as a command: its options, a folder of its own, and how its figures are told."""

import argparse
import json
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table

from shared import log
from shared.settings import LogSettings
from tests.bench.busy import told
from tests.stage.guard import Guard

WIDTH = 110  # of a table that no terminal shows


def options(name: str, doc: str | None) -> argparse.ArgumentParser:
    """Those of `python -m tests.bench.NAME`, whose docstring begins with what it measures. Errors alone are logged."""
    log.configure(LogSettings(level="error", format="text"))
    parser = argparse.ArgumentParser(prog=f"python -m tests.bench.{name}", description=(doc or "").partition("\n")[0])
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output")
    return parser


@contextmanager
def stage() -> Iterator[tuple[Guard, Path]]:
    """A guard, and a folder that is gone after it."""
    with Guard() as guard:
        folder = Path(tempfile.mkdtemp(prefix="thwart-bench-"))
        guard.folder(folder)
        yield guard, folder


def table(*figures: str, of: str = "") -> Table:
    """A column for each of the figures, beside `of` what they are."""
    made = Table(box=None, header_style="dim", padding=(0, 2, 0, 0))
    if of:
        made.add_column(of)
    for name in figures:
        made.add_column(name, justify="right")
    return made


def tell(found: Mapping[str, Any], busy: dict[str, float], *said: Table | str, as_json: bool) -> None:
    """What was found as JSON, or what is `said` of it to people; and how busy the machine was, see `Busy.share`."""
    if as_json:
        print(json.dumps(msgspec.to_builtins({**found, "busy": busy})))
        return
    console = Console(highlight=False)
    console = console if console.is_terminal else Console(highlight=False, width=WIDTH)
    for each in (*said, told(busy)):
        if isinstance(each, Table):
            console.print(each)
            print()
        else:
            print(each)
