"""`ip-customblock`: a file for each blocked address, named like it, in a folder that a program of yours looks into.

Where to begin with an action of your own: it has all that one needs, and is found like yours, by an entry point
(README.md, "Your own actions"). The rule it keeps: a file is its own only if its name is an address as `key` spells it;
whatever else is in the folder stays as it is.
"""

import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from errno import EEXIST
from pathlib import Path

from agent.actions.action import Effect, Result
from shared.errors import ActionError, InvalidTarget
from shared.targets import names_host, normalise_address

FOLDER = "/var/lib/thwart/blocked"
_NEW = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC  # a pipe would be waited for


class IpCustomblock:
    """Implements `Action`. Its keyword arguments are what `[actions.own.ip-customblock]` may have."""

    name = "ip-customblock"
    backend = "files"
    network = False  # files cut nobody off
    exact = False  # a file knows no end: the agent calls `revert` in time

    def __init__(self, *, folder: str = FOLDER) -> None:
        self._folder = Path(folder)
        self._known: set[str] | None = None  # what was in the folder for `inspect`, and what we have changed since

    def key(self, target: str, arguments: Sequence[str]) -> str:
        """The address in its one spelling, which has nothing in it that leads out of the folder."""
        key = normalise_address(target)
        if not names_host(key):
            raise InvalidTarget(f"{key} is a network, and {self.name} takes single addresses")
        return key

    def prepare(self) -> None:
        """The folder comes with the first address: most hosts never have one."""
        there = next(each for each in (self._folder, *self._folder.parents) if each.exists())
        if not (there.is_dir() and os.access(there, os.W_OK | os.X_OK)):
            raise ActionError(f"{there}: no folder that can be written to")

    def apply(self, effects: Sequence[Effect]) -> list[Result]:
        with suppress(OSError):  # what is wrong with it each file will say
            self._folder.mkdir(mode=0o755, parents=True, exist_ok=True)
        return [self._done(effect.key, self._put) for effect in effects]

    def revert(self, effects: Sequence[Effect]) -> list[Result]:
        return [self._done(effect.key, self._remove) for effect in effects]

    def inspect(self) -> dict[str, float | None]:
        self._known = self._names()
        return {name: None for name in self._known if self._is_ours(name)}

    def moved(self) -> bool:
        """Looks itself: the names in a folder of 10,000 take 5 ms. What has no such cheap way uses a `Lookout`."""
        return self._known is None or self._names() != self._known

    def _done(self, key: str, how: Callable[[str], None]) -> Result:
        try:
            how(key)
        except OSError as error:
            return Result(key=key, problem=f"{self._folder / key}: {error.strerror}")
        return Result(key=key)

    def _put(self, key: str) -> None:
        path = self._folder / key
        os.close(os.open(path, _NEW, 0o644))
        if not path.is_file():  # a pipe, or a device
            raise FileExistsError(EEXIST, "there is something of that name, and it is no file")
        if self._known is not None:
            self._known.add(key)

    def _remove(self, key: str) -> None:
        (self._folder / key).unlink(missing_ok=True)
        if self._known is not None:
            self._known.discard(key)

    def _names(self) -> set[str]:
        try:
            return set(os.listdir(self._folder))
        except FileNotFoundError:
            return set()
        except OSError as error:
            raise ActionError(f"{self._folder}: {error.strerror}") from error

    def _is_ours(self, name: str) -> bool:
        path = self._folder / name
        try:
            return self.key(name, ()) == name and path.is_file() and not path.is_symlink()
        except InvalidTarget:
            return False
