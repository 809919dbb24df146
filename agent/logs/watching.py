"""inotify: the only module that imports asyncinotify. Says at once when a log was written to or its folder changed.

Where the kernel allows no more watches the logs are still read, only later: whoever uses this looks by itself now
and then as well.
"""

from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import structlog
from asyncinotify import Inotify, Mask, Watch

WRITTEN = Mask.MODIFY
CHANGED = Mask.CREATE | Mask.MOVED_TO | Mask.ATTRIB | Mask.DELETE_SELF | Mask.MOVE_SELF

log = structlog.get_logger()


class Watching:
    """Watches of open files and of folders. Close it after use."""

    def __init__(self) -> None:
        self._inotify: Inotify | None = None
        self._files: dict[int, Watch] = {}
        self._warned = False
        try:
            self._inotify = Inotify()
        except OSError as error:
            self._warn(error)

    def file(self, fd: int) -> int | None:
        """Watches an open file, whatever it is renamed to; the number that `events` gives for it."""
        # through /proc, because between opening it and now its path may have become another file's
        watch = self._add(Path(f"/proc/self/fd/{fd}"), WRITTEN)
        if watch is None:
            return None
        self._files[watch.wd] = watch
        return watch.wd

    def folder_of(self, path: Path) -> None:
        """Watches the folder that `path` is in, or the nearest one that exists. Again and again is fine."""
        for folder in path.parents:
            if self._inotify is None or (folder.is_dir() and self._add(folder, CHANGED)):
                return

    def forget(self, number: int | None) -> None:
        """Ends the watch of a file."""
        watch = self._files.pop(number, None) if number is not None else None
        if watch is not None and self._inotify is not None:
            with suppress(OSError):  # it ended by itself
                self._inotify.rm_watch(watch)

    async def events(self) -> AsyncIterator[int | None]:
        """The numbers of files that were written to; None when a folder changed, or when events were lost."""
        while self._inotify is not None:
            event = await self._inotify.get()
            watch = event.watch
            if watch is not None and Mask.MOVE_SELF in event.mask:
                with suppress(OSError):
                    self._inotify.rm_watch(watch)  # its path leads elsewhere now
            yield watch.wd if watch is not None and watch.wd in self._files else None

    def close(self) -> None:
        if self._inotify is not None:
            self._inotify.close()

    def _add(self, path: Path, mask: Mask) -> Watch | None:
        if self._inotify is None:
            return None
        try:
            return self._inotify.add_watch(path, mask)
        except OSError as error:
            if path.exists():
                self._warn(error)
            return None

    def _warn(self, error: OSError) -> None:
        if not self._warned:
            log.warning(
                "can't watch log files, they are looked at every few seconds instead; "
                "raise fs.inotify.max_user_watches and fs.inotify.max_user_instances",
                action="watch_failed",
                error=str(error),
            )
        self._warned = True
