"""Time in the journal: both clocks read together, and what a reboot makes of the ends that were written down."""

from uuid import uuid4

from msgspec import Struct

from shared.clock import Clock
from shared.store import Connection

_IDENTITY = "SELECT * FROM identity"
_BEGIN = "INSERT INTO identity (one, journal, boot, boot_clock, wall_at) VALUES (1, ?, ?, ?, ?)"
_STAMP = "UPDATE identity SET boot = ?, boot_clock = ?, wall_at = ?"
_MOVE = "UPDATE holders SET ends = ends + ?"
_MOVE_TAKEN = "UPDATE orders SET ends = ends + ? WHERE status IS NULL"


class Now(Struct, frozen=True, kw_only=True):
    """One moment by both clocks: Unix seconds, and seconds since boot."""

    wall: float
    boot: float

    @classmethod
    def by(cls, clock: Clock) -> "Now":
        """What `clock` says now."""
        return cls(wall=clock.wall(), boot=clock.boot())

    def wall_of(self, ends: float | None) -> float | None:
        """The Unix seconds of a reading of the boot clock; None stays None. Never negative."""
        return None if ends is None else max(0.0, self.wall + (ends - self.boot))

    def left(self, ends: float | None) -> float | None:
        """Seconds until a reading of the boot clock; None stays None."""
        return None if ends is None else ends - self.boot


class Resumed(Struct, frozen=True, kw_only=True):
    """The journal's id, and the moment that it can't be earlier than, whatever the wall clock says."""

    journal: str
    since: Now


def resume(connection: Connection, boot_id: str, now: Now) -> Resumed:
    """Makes the journal's id if it is new.

    After a reboot the wall clock says how much of each hold is left, but never less time passed than none: a clock
    that came up earlier than the last wall time written down counts as that.
    """
    row = connection.execute(_IDENTITY).fetchone()
    if row is None:
        journal = uuid4().hex
        connection.execute(_BEGIN, (journal, boot_id, now.boot, now.wall))
        return Resumed(journal=journal, since=now)
    passed = now.boot - row["boot_clock"]
    if row["boot"] != boot_id:
        passed = max(0.0, now.wall - row["wall_at"])
        shift = now.boot - row["boot_clock"] - passed
        connection.execute(_MOVE, (shift,))
        connection.execute(_MOVE_TAKEN, (shift,))
    since = Now(wall=row["wall_at"] + passed, boot=now.boot)
    stamp(connection, boot_id, now, since)
    return Resumed(journal=row["journal"], since=since)


def stamp(connection: Connection, boot_id: str, now: Now, since: Now) -> None:
    """Writes both clocks down; in every transaction that writes anyway.

    The wall clock at least as late as it must be: it may be wrong until the network sets it, and if the host goes
    down before that, the next boot would take the difference for time that has passed.
    """
    wall = max(now.wall, since.wall + now.boot - since.boot)
    connection.execute(_STAMP, (boot_id, now.boot, wall))


def as_read(connection: Connection, boot_id: str, now: Now) -> Now:
    """The moment to compare `ends` with for somebody who only reads: after a reboot, when `resume` has not run yet."""
    row = connection.execute(_IDENTITY).fetchone()
    if row is None or row["boot"] == boot_id:
        return now
    passed = max(0.0, now.wall - row["wall_at"])
    return Now(wall=now.wall, boot=row["boot_clock"] + passed)
