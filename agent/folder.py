"""The files in an agent's state folder, and the one lock on all of them."""

import os
from contextlib import AbstractContextManager, suppress
from datetime import UTC, datetime
from pathlib import Path

import structlog

from shared import folder
from shared.errors import StoreDamaged
from shared.store import Store

JOURNAL, COLLECTOR, CONTROL, HEALTH = "journal.db", "collector.db", "control", "health"
ASIDE = ".damaged-"  # and the instant
BESIDE = ("", "-wal", "-shm")  # what SQLite writes beside a database belongs to it

log = structlog.get_logger()


def owned(state: Path) -> AbstractContextManager[None]:
    """See `shared.folder.owned`: who has it owns the journal and the host's state."""
    return folder.owned(state, "agent.state_dir")


def opened(path: Path, schema: str) -> Store:
    """The database at `path`, seen to be whole. One that is damaged is set aside, and a new one begun in its place.

    An agent without its journal is of more use than none: it adopts what is in force and is sent what it lacks.
    """
    try:
        return Store(path, schema, check=True)
    except StoreDamaged as error:
        set_aside(error)
        return Store(path, schema)


def set_aside(error: StoreDamaged) -> Path:
    """Renames the damaged database, which nobody may have open: who closes it later would take its successor's log
    away. Where it is now, for a person to look at.
    """
    instant = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
    aside = error.path.with_name(f"{error.path.name}{ASIDE}{instant}")
    for ending in BESIDE:
        with suppress(FileNotFoundError):
            os.rename(f"{error.path}{ending}", f"{aside}{ending}")
    log.error("set a damaged database aside", action="set_aside", path=str(aside), problem=str(error))
    return aside


def aside(state: Path) -> list[Path]:
    """What was set aside and is there still."""
    return sorted(path for path in state.glob(f"*{ASIDE}*") if not path.name.endswith(BESIDE[1:]))
