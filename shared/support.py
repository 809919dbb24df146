"""The bundle of `thwart support` and `thwart-agent support`: a tar.gz for root alone, and what both put into it.

Nothing is in it that `redaction` hasn't seen, and that something couldn't be taken is said and hinders nothing else.
"""

import io
import os
import platform
import subprocess
import tarfile
import time
import tomllib
from collections.abc import Callable, Mapping
from importlib.metadata import PackageNotFoundError, distributions, version
from pathlib import Path
from typing import Any

import click
import msgspec

from shared.redaction import Redactor
from shared.settings import PREFIX
from shared.store import Connection, reading

RECENT = "2000"  # lines of a journal
PATIENCE = 20.0  # s for a program that is asked
LARGEST = 8 * 1024 * 1024  # characters of one part; of a longer one the end is kept
_ASK_FOR_VERSION = {
    "nft": ["nft", "--version"],
    "systemctl": ["systemctl", "--version"],
    "rabbitmq-server": ["dpkg-query", "--show", "rabbitmq-server"],  # asked itself, it would start a node
}

Part = Callable[[], str]


class Bundle:
    """Collects parts, then writes them."""

    def __init__(self, name: str) -> None:
        self._name, self.redactor = name, Redactor()
        self._parts: dict[str, str] = {}
        self._failed: dict[str, str] = {}

    def take(self, name: str, part: Part) -> None:
        """Puts in what `part` gives. Raises nothing: what goes wrong is said in the bundle."""
        try:
            self._parts[name] = self.redactor.text(part())[-LARGEST:]
        except Exception as error:  # whatever is broken is what the bundle is for
            self._failed[name] = self.redactor.text(f"{type(error).__name__}: {error}")

    def close(self, folder: Path) -> Path:
        """Writes the file, mode 600, and says what is in it. Raises click.ClickException when it can't be written."""
        path = folder / f"{self._name}-{time.strftime('%Y%m%d-%H%M%S')}.tar.gz"
        parts = {name: self.redactor.once_more(text) for name, text in self._parts.items()}
        failed = {name: self.redactor.once_more(why) for name, why in self._failed.items()}
        parts["CONTENTS.txt"] = _contents(parts, failed)
        try:
            _write(path, parts)
        except OSError as error:
            raise click.ClickException(f"{path} can't be written: {error.strerror}; name a folder with --to") from error
        click.echo(parts["CONTENTS.txt"], nl=False, err=True)
        click.echo(path)
        return path


def host(bundle: Bundle) -> None:
    """Versions of everything, and the variables that are ours."""
    bundle.take("versions.json", lambda: as_json(_versions()))
    mine = {name: value for name, value in os.environ.items() if name.startswith(PREFIX)}
    bundle.take("environment.json", lambda: as_json(bundle.redactor.document(mine)))


def settings(bundle: Bundle, config: Path | None) -> None:
    """The settings' file, without comments."""
    if config is not None:
        bundle.take("settings.json", lambda: as_json(bundle.redactor.document(tomllib.loads(config.read_text()))))


def journal(bundle: Bundle, unit: str) -> None:
    """What systemd has kept of the daemon's log."""
    command = ["journalctl", "--no-pager", "--quiet", "--output=cat", f"--lines={RECENT}", f"--unit={unit}"]
    bundle.take(f"logs/{unit}.log", lambda: _said_by(command))


def database(bundle: Bundle, path: Path, groups: Mapping[str, str]) -> None:
    """A store in figures: its size and integrity, rows by table, and what `groups` counts."""
    bundle.take(f"{path.stem}.json", lambda: as_json(_figures(path, groups)))


def as_json(document: Any) -> str:
    return msgspec.json.format(msgspec.json.encode(document), indent=2).decode() + "\n"


def _figures(path: Path, groups: Mapping[str, str]) -> dict[str, Any]:
    with reading(path) as connection:
        tables = [row["name"] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return {
            "bytes": {each.name: each.stat().st_size for each in sorted(path.parent.glob(f"{path.name}*"))},
            "integrity": [row[0] for row in connection.execute("PRAGMA quick_check(20)")],
            "rows": {table: _count(connection, table) for table in sorted(tables)},
            **{name: dict(tuple(row) for row in connection.execute(query)) for name, query in groups.items()},
        }


def _count(connection: Connection, table: str) -> int:
    count: int = connection.execute(f'SELECT count(*) FROM "{table}"').fetchone()[0]  # noqa: S608  # the schema's names
    return count


def _versions() -> dict[str, Any]:
    return {
        "thwart": _version("thwart"),
        "python": platform.python_version(),
        "system": platform.freedesktop_os_release().get("PRETTY_NAME", ""),
        "kernel": platform.release(),
        "machine": platform.machine(),
        "host": platform.node(),
        "uid": os.geteuid(),
        "packages": {each.metadata["Name"]: each.version for each in distributions()},
        "programs": {name: _said_or_why(command) for name, command in _ASK_FOR_VERSION.items()},
    }


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _said_or_why(command: list[str]) -> str:
    try:
        return _said_by(command).strip().partition("\n")[0]
    except (OSError, subprocess.SubprocessError, RuntimeError) as error:
        return f"not known: {error}"


def _said_by(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, timeout=PATIENCE, check=False)  # no shell
    if done.returncode or not done.stdout.strip():
        why = done.stderr.decode(errors="replace").strip()
        raise RuntimeError(why or f"{command[0]} has nothing (exit code {done.returncode})")
    return done.stdout.decode(errors="backslashreplace")


def _contents(parts: Mapping[str, str], failed: Mapping[str, str]) -> str:
    taken = [f"took {name}, {len(text.encode(errors='replace'))} bytes" for name, text in sorted(parts.items())]
    missing = [f"could not take {name}: {' '.join(why.split())}" for name, why in sorted(failed.items())]
    return "\n".join([*taken, *missing]) + "\n"


def _write(path: Path, parts: Mapping[str, str]) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    os.fchmod(descriptor, 0o600)
    with os.fdopen(descriptor, "wb") as file, tarfile.open(fileobj=file, mode="w:gz") as archive:
        for name, text in sorted(parts.items()):
            body = text.encode(errors="replace")
            entry = tarfile.TarInfo(f"{path.name.removesuffix('.tar.gz')}/{name}")
            entry.size, entry.mode, entry.mtime = len(body), 0o600, time.time()
            archive.addfile(entry, io.BytesIO(body))
