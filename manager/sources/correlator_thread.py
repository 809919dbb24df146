"""The correlator and the one thread that touches it, so that a batch of a hundred thousand lines holds up nobody.

Windows live in memory alone: a crash forgets what was half counted, and lines that were taken before it are not
counted again, because positions are in the ledger.
"""

import asyncio
from collections.abc import Collection, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor

import structlog
from msgspec import Struct

from manager.correlation import Correlator, LogLine, Ruleset, alert
from manager.ledger.positions import Position
from manager.responses.verdict import Sighting
from shared import messages
from shared.messages import LogBatch

FILES = 200_000  # whose positions are kept in memory; only batches that come again need them, and those come soon

_EXPLODES = (
    "a pattern takes too long over some lines; there it counts as not matching. Write it so that no text can be "
    "matched in two ways, without one repeat inside another"
)

log = structlog.get_logger()


class Reading(Struct, frozen=True, kw_only=True):
    """What came of some batches: the alerts that some response is for, in the order of their lines, and how far each
    file has been read now.
    """

    sightings: tuple[Sighting, ...]
    positions: tuple[Position, ...]
    lines: int  # that were new
    known: int  # that were dropped because they had been read before
    quiet: int = 0  # alerts that no response is for: a third of a busy host's lines, so they are counted and no more
    cut: int = 0  # searches for a pattern that were given up


class CorrelatorThread:
    """Counts lines once: what lies at or below a file's position is dropped unread.

    `answered` are the ids of the rules whose alerts some response is for.
    """

    def __init__(self, correlator: Correlator, positions: Iterable[Position], *, answered: Collection[str]) -> None:
        self._correlator, self._answered = correlator, answered
        self._read = Positions(positions)
        self._said: set[str] = set()
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="correlator")

    async def read(self, batches: Sequence[LogBatch]) -> Reading:
        """Feeds the lines that are new. What was fed stays fed, whatever becomes of the sightings."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, self.take, batches)

    def forget(self, target: str, before: float | None = None) -> None:
        """Drops what was counted of `target`, or what of it is older. Returns at once; holds for batches read later."""
        self._thread.submit(self._forget, target, before)

    async def follow(self, ruleset: Ruleset, answered: Collection[str]) -> None:
        """Goes by other rules from the next batch on. Windows of rules that are the same in both go on counting."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self._follow, ruleset, answered)

    def forget_everything(self) -> None:
        """Drops what was counted of anybody. Returns at once, as `forget` does."""
        self._thread.submit(self._forget_everything)

    def close(self) -> None:
        """Waits for the batch that is being read. Twice is safe."""
        self._thread.shutdown()

    def _forget(self, target: str, before: float | None) -> None:
        self._correlator.forget(target, before)

    def _follow(self, ruleset: Ruleset, answered: Collection[str]) -> None:
        correlator = Correlator(ruleset)
        correlator.adopt(self._correlator)
        self._correlator, self._answered = correlator, answered

    def _forget_everything(self) -> None:
        self._correlator.forget_everything()

    def take(self, batches: Sequence[LogBatch]) -> Reading:
        """What `read` does, in the thread that calls: nobody else may touch the correlator meanwhile."""
        sightings: list[Sighting] = []
        positions = []
        lines = known = quiet = 0
        for batch in batches:
            fresh = self._read.fresh(batch)
            lines, known = lines + len(fresh), known + len(batch.lines) - len(fresh)
            quiet += self._feed(batch, fresh, sightings)
            positions.extend(self._read.after(batch, fresh))
        return Reading(
            sightings=tuple(sightings),
            positions=tuple(positions),
            lines=lines,
            known=known,
            quiet=quiet,
            cut=self._cut(),
        )

    def _cut(self) -> int:
        """How many searches were given up since the last time; says so once for each pattern."""
        fresh = 0
        for cut in self._correlator.cut_short():
            fresh += cut.times
            if cut.where not in self._said:
                self._said.add(cut.where)
                log.warning(_EXPLODES, action="pattern_limit", where=cut.where, pattern=cut.pattern)
        return fresh

    def _feed(self, batch: LogBatch, lines: Sequence[messages.LogLine], sightings: list[Sighting]) -> int:
        """Adds what the lines make fire to `sightings`; how many alerts no response is for.

        A line that breaks a rule is skipped, never its batch.
        """
        quiet = 0
        for line in lines:
            try:
                firing = self._correlator.feed(
                    LogLine(
                        agent_id=batch.agent_id,
                        source=batch.source,
                        file=batch.cursor.file,
                        offset=line.offset,
                        at=line.at,
                        text=line.text,
                    )
                )
                if firing is None:
                    continue
                if firing.rule.id in self._answered:
                    sightings.append(Sighting(alert=alert(firing), at=firing.at))
                else:
                    quiet += 1
            except Exception as error:
                _skipped(batch, line, error)
        return quiet


def _skipped(batch: LogBatch, line: messages.LogLine, error: Exception) -> None:
    log.error(
        "a line can't be correlated, skipped",
        action="line_failed",
        agent_id=batch.agent_id,
        source=batch.source,
        offset=line.offset,
        error=repr(error),
    )


class Positions:
    """The last line read of each file. Belongs to the correlator's thread."""

    def __init__(self, positions: Iterable[Position]) -> None:
        self._last = {(each.agent_id, each.source, each.file): each.offset for each in positions}

    def fresh(self, batch: LogBatch) -> list[messages.LogLine]:
        """The lines of `batch` that lie after the file's position, each after the one before."""
        last = self._last.get(_file(batch), -1)
        fresh = []
        for line in batch.lines:
            if line.offset > last:
                fresh.append(line)
                last = line.offset
        return fresh

    def after(self, batch: LogBatch, fresh: Sequence[messages.LogLine]) -> list[Position]:
        """Moves on past `fresh`; the position to store, also of a known batch: it may not be stored yet."""
        last = fresh[-1].offset if fresh else self._last.get(_file(batch), -1)
        self._last.pop(_file(batch), None)  # to the end: files read lately are the last to be forgotten
        self._last[_file(batch)] = last
        if len(self._last) > FILES:
            del self._last[next(iter(self._last))]
        agent_id, source, file = _file(batch)
        return [Position(agent_id=agent_id, source=source, file=file, offset=last)] if last >= 0 else []


def _file(batch: LogBatch) -> tuple[str, str, str]:
    return batch.agent_id, batch.source, batch.cursor.file
