"""The systemd journal as a source of lines: each entry once, over restarts, rotation and vacuum.

An entry's sequence and number are its file and offset to the manager, which drops what lies at or below the highest
number that it has: they are the journal's own, so what is read again after a crash is known. journalctl begins *at* the
last entry that was shipped and not after it; if that one doesn't come first, it is gone, and that is said.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from pathlib import Path

import structlog
import tenacity

from agent.logs import entries, journalctl, lines
from agent.logs.entries import Entry
from agent.logs.lines import Line
from agent.logs.positions import JournalPlace
from agent.logs.shipping import Shipping
from shared.errors import JournalUnreadable
from shared.settings import FollowedLog

MACHINE_ID = Path("/etc/machine-id")
PAUSE, LONGEST_PAUSE = 0.5, 30.0  # s between two tries
PRINT = (
    *("--output=json", f"--output-fields={','.join(entries.FIELDS)}", "--all"),  # without --all long fields are null
    *("--follow", "--no-tail", "--quiet", "--no-pager"),
    "--merge",  # without it --follow leaves out what was logged before the last boot
)

log = structlog.get_logger()


class Journald:
    """One journal, from `place` on. `moved` is called when the place changed."""

    def __init__(
        self, followed: FollowedLog, place: JournalPlace, shipping: Shipping, moved: Callable[["Journald"], None]
    ) -> None:
        self.name, self.place = followed.name, place
        self._followed, self._shipping, self._moved = followed, shipping, moved
        self._sought = ""  # the cursor that journalctl was told to begin at, until an entry came
        self._trouble = ""

    async def follow(self) -> None:
        """Follows until cancelled. A journalctl that ends is started again: at once if it was of use, else later and
        later."""
        while True:
            async for attempt in tenacity.AsyncRetrying(
                retry=tenacity.retry_if_exception_type(JournalUnreadable),
                wait=tenacity.wait_exponential(multiplier=PAUSE, max=LONGEST_PAUSE),
                before_sleep=self._say,
            ):
                with attempt:
                    await self._read_on()

    async def _read_on(self) -> None:
        """Ships what journalctl prints until it ends. Raises JournalUnreadable if it ends without anything new."""
        before, self._sought = self.place, self.place.cursor
        async with journalctl.following(self._arguments()) as child:
            async for raw in child.lines():
                await self._take(list(self._understood(raw)))
                self._tell_of_long_ones(child)
                self._trouble = ""
            words = await child.words()
        if self.place == before:
            raise JournalUnreadable(words)
        log.warning("journalctl ended; starting it again", action="journal_reopened", source=self.name, problem=words)

    def _arguments(self) -> Sequence[str]:
        wanted, directory = self._followed, self._followed.directory
        return [
            *PRINT,
            *([f"--cursor={self.place.cursor}"] if self.place.cursor else []),
            *([f"--since=@{self.place.since:.6f}"] if self.place.since and not self.place.cursor else []),
            *([f"--unit={wanted.journal}"] if isinstance(wanted.journal, str) else []),
            *([f"--directory={directory}"] if directory else _of_this_host()),
        ]

    def _understood(self, raw: Sequence[bytes]) -> Iterator[Entry]:
        for each in raw:
            try:
                yield entries.entry(each)
            except ValueError as error:
                self._shipping.skip(self.name, str(error))

    def _tell_of_long_ones(self, child: journalctl.Journalctl) -> None:
        for _ in range(child.too_long):
            self._shipping.skip(self.name, f"an entry of over {journalctl.LONGEST} bytes")
        child.too_long = 0

    async def _take(self, some: Sequence[Entry]) -> None:
        """Ships what is new, in order, and moves the place after each confirm."""
        if some and self._sought:
            some = some[1:] if some[0].same_as(self._sought) else self._after_a_gap(some)
            self._sought = ""
        for sequence, of_it in groupby(some, key=lambda each: each.sequence):
            for batch in _batches(list(of_it)):
                new = [Line(text=each.text, offset=each.number) for each in batch if each.text is not None]
                if new:
                    await self._shipping.ship(self.name, f"journal-{sequence}", new, new[-1].offset + 1)
                self.place = JournalPlace(cursor=batch[-1].cursor)
                self._moved(self)

    def _after_a_gap(self, some: Sequence[Entry]) -> Sequence[Entry]:
        log.warning(
            "the journal no longer has the entry that was read last, it was vacuumed or made anew; going on with the "
            "oldest after it, what lay between is lost",
            action="journal_gap",
            source=self.name,
        )
        return some

    def _say(self, attempt: tenacity.RetryCallState) -> None:
        """Warns once of each trouble."""
        error = attempt.outcome.exception() if attempt.outcome else None
        if str(error) != self._trouble:
            log.warning(
                "can't follow the systemd journal; trying again",
                action="journal_unreadable",
                source=self.name,
                problem=str(error),
            )
        self._trouble = str(error)


def _batches(some: Sequence[Entry]) -> Iterator[Sequence[Entry]]:
    """`some` in pieces that fit into a message."""
    start = weight = 0
    for at, each in enumerate(some):
        more = lines.weight(each.text or "")
        if at > start and (weight + more > lines.ROOM or at - start == lines.MAX_LINES):
            yield some[start:at]
            start, weight = at, 0
        weight += more
    if some:
        yield some[start:]


def _of_this_host() -> list[str]:
    """With --merge the journals that other hosts have sent here would come too."""
    try:
        return [f"_MACHINE_ID={MACHINE_ID.read_text().strip()}"]
    except OSError:
        return []
