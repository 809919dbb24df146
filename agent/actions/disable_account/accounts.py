"""The seam between `disable-account` and a system that keeps accounts: how one stands, and how to close it.

Nobody logs in by a closed account, by password or by key. How it stood before is the caller's to remember.
"""

from collections.abc import Mapping
from typing import Protocol

from msgspec import Struct

# The day since 1970 on which a closed account has expired: 0 may mean never (shadow(5)), and 1 is what usermod(8) tells
# people to take, so that theirs can be told from ours.
PASSED = 2


class Standing(Struct, frozen=True, kw_only=True):
    """How one account stands, as far as closing it changes that."""

    number: str  # the system's own name for it; when somebody else is given the account's name, it is another
    locked: bool = False  # its password opens nothing
    passwordless: bool = False  # it has none, behind the lock either
    expires: int | None = None  # days since 1970, where accounts expire


class Account(Struct, frozen=True, kw_only=True):
    """An account of this host's own."""

    standing: Standing
    closed: bool = False
    opens: str = ""  # what opens it by hand, if it is closed as nobody else does it
    refusal: str = ""  # why it must never be closed


class Accounts(Protocol):
    """A host's own accounts. Called from one thread."""

    backend: str

    def key(self, name: str) -> str:
        """The one spelling of a name, as `look` has it. Pure."""

    def prepare(self, *, sessions: bool) -> None:
        """Raises ActionError with what is missing on this host; `sessions`: for ending them as well."""

    def look(self) -> Mapping[str, Account]:
        """All accounts of this host's own, by name. Raises ActionError."""

    def mark(self) -> object:
        """Another value once an account may have changed; None where only a look can tell."""

    def wait_for_others(self) -> None:
        """Returns when accounts can be changed: once for all that comes next. Raises ActionError after a moment."""

    def close(self, name: str) -> None:
        """Lets nobody log in by it any more. Twice is safe. Raises ActionError."""

    def restore(self, name: str, now: Standing, wanted: Standing) -> None:
        """From how it stands `now` to how it stood. Raises ActionError."""

    def end_sessions(self, name: str, standing: Standing) -> None:
        """Ends what runs for it. Raises ActionError."""


def merged(kept: Standing | None, found: Standing) -> Standing:
    """How an account is to stand when it is open again: as it did before it was closed, by what was kept, except for
    what somebody else has changed since. Whether there is a password behind a lock closing doesn't change.
    """
    if kept is None or kept.number != found.number:
        return found
    return Standing(
        number=found.number,
        locked=found.locked and (kept.locked or kept.passwordless != found.passwordless),
        passwordless=found.passwordless,
        expires=kept.expires if found.expires == PASSED else found.expires,
    )
