"""What is in force, read without writing: also while the daemon runs, and after a reboot before it has."""

from pathlib import Path

from msgspec import Struct, json

from agent.journal import times
from agent.journal.times import Now
from shared.errors import StoreError
from shared.store import Connection, Row, reading

_EFFECTS = "SELECT * FROM effects ORDER BY action, target"
_HOLDERS = "SELECT order_id, ends, adopted FROM holders WHERE action = ? AND key = ? ORDER BY order_id"


class EffectView(Struct, frozen=True, kw_only=True):
    """An effect for people. `expires_at` is by the wall clock; None: until lifted. `adopted`: it was in force already
    when the agent started, and is held until managers have said by which orders. With neither orders nor that it is on
    its way out: it could not be ended yet, and is tried again.
    """

    action: str
    target: str
    arguments: tuple[str, ...]
    since_at: float
    expires_at: float | None
    orders: tuple[str, ...]
    adopted: bool


def effects(journal: Path, boot_id: str, now: Now) -> list[EffectView]:
    """Everything in force. Raises StoreError when there is no journal."""
    if not journal.exists():
        raise StoreError(f"{journal}: there is none; no agent has run with this state_dir, or name its --config")
    with reading(journal) as connection:
        connection.execute("BEGIN")  # one moment's effects and holders, whatever the daemon does meanwhile
        moment = times.as_read(connection, boot_id, now)
        return [_effect(connection, row, moment) for row in connection.execute(_EFFECTS).fetchall()]


def _effect(connection: Connection, row: Row, moment: Now) -> EffectView:
    holders = connection.execute(_HOLDERS, (row["action"], row["key"])).fetchall()
    ends = [each["ends"] for each in holders]
    return EffectView(
        action=row["action"],
        target=row["target"],
        arguments=tuple(json.decode(row["arguments"])),
        since_at=row["since_at"],
        expires_at=None if None in ends else moment.wall_of(max(ends, default=moment.boot)),
        orders=tuple(each["order_id"] for each in holders if not each["adopted"]),
        adopted=any(each["adopted"] for each in holders),
    )
