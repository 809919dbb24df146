"""The pause: whether the manager keeps everything but lifts to itself. In the ledger, so that no crash ends it."""

from manager.ledger.views import Pause
from shared.store import Connection

_FIND = "SELECT since, issuer, reason FROM pause WHERE id = 1"
_BEGIN = "INSERT INTO pause (id, since, issuer, reason) VALUES (1, ?, ?, ?) ON CONFLICT DO NOTHING"
_END = "DELETE FROM pause"


def find(connection: Connection) -> Pause | None:
    """The pause that is on, or None."""
    row = connection.execute(_FIND).fetchone()
    return None if row is None else Pause(since=row["since"], issuer=row["issuer"], reason=row["reason"])


def begin(connection: Connection, pause: Pause) -> bool:
    """False, and nothing done, when one is on already."""
    return connection.execute(_BEGIN, (pause.since, pause.issuer, pause.reason)).rowcount == 1


def end(connection: Connection) -> bool:
    """False when none was on."""
    return connection.execute(_END).rowcount == 1
