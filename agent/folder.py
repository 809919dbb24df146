"""The files in an agent's state folder, and the one lock on all of them."""

from contextlib import AbstractContextManager
from pathlib import Path

from shared import folder

JOURNAL, COLLECTOR, CONTROL = "journal.db", "collector.db", "control"


def owned(state: Path) -> AbstractContextManager[None]:
    """See `shared.folder.owned`: who has it owns the journal and the host's state."""
    return folder.owned(state, "agent.state_dir")
