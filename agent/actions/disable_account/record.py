"""What actions must remember of the host to put it back: a small file, on the disk before anything is changed.

The rule it keeps: it is beside the journal and not in it, so that a lost journal doesn't leave an account closed for
ever. Secrets are never in it.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Generic, TypeVar

import msgspec

from agent.actions.tools import whole_file
from agent.actions.tools.whole_file import Mark
from shared.errors import ActionError

T = TypeVar("T")
MODE = 0o600


class Record(Generic[T]):
    """A struct by key. Whoever changes it holds its lock: a test of an action by hand runs beside the agent."""

    def __init__(self, path: Path, kind: type[T]) -> None:
        """The file is made when there is something to remember."""
        self._path = path
        self._decoder = msgspec.json.Decoder(dict[str, kind])  # type: ignore[valid-type]

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Nobody else changes it, or what it is about, meanwhile. Raises ActionError."""
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise ActionError(f"{self._path.parent}: {error.strerror}") from error
        with whole_file.alone(self._path.parent):
            yield

    def read(self) -> dict[str, T]:
        """Raises ActionError, also when the file says nothing sensible: then a person has to look."""
        content = whole_file.read(self._path)
        try:
            return self._decoder.decode(content) if content else {}
        except msgspec.MsgspecError as error:
            raise ActionError(
                f"{self._path} is damaged: {error}; put it right, or remove it once all is open"
            ) from error

    def write(self, things: Mapping[str, T]) -> None:
        """Returns when it would survive a power cut. Raises ActionError."""
        if things != self.read():
            content, was = msgspec.json.format(msgspec.json.encode(things)) + b"\n", whole_file.read(self._path)
            whole_file.replace(self._path, content, was=was, mode=MODE)

    def mark(self) -> Mark | None:
        """Another value once it has changed."""
        return whole_file.mark(self._path)
