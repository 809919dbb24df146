"""Which network in force a host, or a smaller network, lies in: what is lifted there is blocked all the same.

The rule it keeps: by the prefix lengths in use, one look for each, however many effects there are.
"""

from agent.journal.times import Now
from shared.errors import InvalidTarget
from shared.store import Connection
from shared.targets import parse_network

_LENGTHS = """
WITH RECURSIVE lengths (length) AS (
    SELECT min(length) FROM effects WHERE action = :action AND length IS NOT NULL
    UNION ALL
    SELECT (SELECT min(length) FROM effects WHERE action = :action AND length > lengths.length) FROM lengths
    WHERE lengths.length IS NOT NULL
)
SELECT length FROM lengths WHERE length IS NOT NULL ORDER BY length DESC
"""
_HELD = """
SELECT 1 FROM holders WHERE action = ? AND key = ? AND lifted = 0 AND (ends IS NULL OR ends > ?) LIMIT 1
"""


class Networks:
    """What is held at one moment, for one transaction."""

    def __init__(self, connection: Connection, now: Now) -> None:
        self._connection, self._boot = connection, now.boot
        self._lengths: dict[str, list[int]] = {}

    def around(self, action: str, key: str) -> str:
        """The narrowest network around `key` that goes on being held; empty when there is none."""
        lengths = self._in_use(action)
        try:
            network = parse_network(key) if lengths else None
        except InvalidTarget:
            return ""
        for length in lengths:
            if network is not None and length < network.prefixlen:
                wider = str(network.supernet(new_prefix=length))
                if self._connection.execute(_HELD, (action, wider, self._boot)).fetchone():
                    return wider
        return ""

    def _in_use(self, action: str) -> list[int]:
        if action not in self._lengths:
            self._lengths[action] = [row["length"] for row in self._connection.execute(_LENGTHS, {"action": action})]
        return self._lengths[action]
