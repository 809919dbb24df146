"""Who may speak for which agent, by the login that the broker has checked.

A login that is the id of an agent in the roster speaks for that agent alone. Any other may be shared by many; so may
our own, even where some agent goes by that name.
"""

from collections.abc import Collection

from manager.roster import Roster


class Senders:
    """Tells by the roster as it is now. `own` are the manager's logins."""

    def __init__(self, roster: Roster, own: Collection[str]) -> None:
        self._roster, self._own = roster, frozenset(own)

    def may_speak(self, login: str, agent_id: str) -> bool:
        """True when what came with `login` may be about `agent_id`; it is empty when the sender didn't say."""
        return login == agent_id or login in self._own or self._roster.get(login) is None

    def is_ours(self, login: str) -> bool:
        """True for what a manager sent."""
        return login in self._own
