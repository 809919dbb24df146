"""`disable-account`: nobody logs in by it, by password or by key, until its time is over; then it is as it was before.

The rule it keeps: how an account stands is on the disk before it is closed, so that it can be opened whatever happens
in between; and what was locked, or had expired, before is so afterwards. Root's, the system's and a directory's
accounts are refused.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import structlog
from msgspec import Struct
from msgspec.structs import replace

from agent.actions.action import Effect, Result
from agent.actions.disable_account.accounts import Account, Accounts, Standing, merged
from agent.actions.disable_account.record import Record
from agent.actions.tools.lookout import Lookout
from agent.actions.tools.problems import Problems, one_by_one, results
from shared.errors import ActionError, InvalidTarget
from shared.targets import normalise_account

ROOT = "root"
FORGOTTEN = "{} was closed by Thwart, and the record of how it stood before is lost; as root, `{}` opens it"

_Do = Callable[[Collection[str], "_Host"], Problems]
_Judge = Callable[[Collection[str], "_Host", "_Host", Problems], Problems]

log = structlog.get_logger()


class DisableAccount:
    """Implements `Action`. `kept` names the file in which it remembers."""

    name = "disable-account"
    network = False
    exact = False

    def __init__(
        self,
        accounts: Accounts,
        *,
        kept: Path,
        never: Collection[str] = (),
        ends_sessions: bool = False,
        lookout: Lookout | None = None,
    ) -> None:
        """`never` are accounts that stay open whatever is ordered."""
        self.backend = accounts.backend
        self._accounts, self._record = accounts, Record(kept, Kept)
        self._never = {accounts.key(name) for name in (*never, ROOT)}
        self._ends_sessions = ends_sessions
        self._lookout = lookout or Lookout()
        self._seen: tuple[object, ...] | None = None  # when `inspect` told, or we changed something since

    def key(self, target: str, arguments: Sequence[str]) -> str:
        """The account's name; `arguments` make no difference."""
        key = self._accounts.key(normalise_account(target))
        if key in self._never:
            raise InvalidTarget(f"{key} is never to be disabled on this host")
        return key

    def prepare(self) -> None:
        """What an earlier run closed stays so. What it didn't come to close is forgotten: some day an administrator's
        lock would be taken for ours.
        """
        self._accounts.prepare(sessions=self._ends_sessions)
        if self._host().left_open():
            with suppress(ActionError), self._record.alone():
                self._forget(self._when_free().left_open())

    def apply(self, effects: Sequence[Effect]) -> list[Result]:
        return self._carry_out(effects, self._close, self._closed)

    def revert(self, effects: Sequence[Effect]) -> list[Result]:
        return self._carry_out(effects, self._open, self._opened)

    def inspect(self) -> dict[str, float | None]:
        """What is closed by us, as it is remembered, or can be seen. Others' locks are none of our business."""
        seen = self._marks()
        host = self._host()
        self._seen = seen
        self._lookout.looked()
        return dict.fromkeys(host.in_force())

    def moved(self) -> bool:
        """By the files that keep accounts; without such a sign it is looked at now and then."""
        if self._seen is None or self._marks() != self._seen:
            return True
        return self._accounts.mark() is None and self._lookout.due()

    def _marks(self) -> tuple[object, ...]:
        return self._record.mark(), self._accounts.mark()

    def _host(self) -> "_Host":
        return _Host(kept=self._record.read(), accounts=self._accounts.look())

    def _when_free(self) -> "_Host":
        """As it is when nobody else is changing accounts: a tool of a killed run may still be closing one, and who had
        them locked may have changed them. Raises ActionError.
        """
        self._accounts.wait_for_others()
        return self._host()

    def _carry_out(self, effects: Sequence[Effect], do: _Do, judge: _Judge) -> list[Result]:
        keys = dict.fromkeys(effect.key for effect in effects)
        try:
            with self._record.alone():
                problems = self._watched(keys, do, judge) if keys else {}
        except ActionError as error:
            self._seen = None
            problems = dict.fromkeys(keys, str(error))
        return results(effects, problems)

    def _watched(self, keys: Collection[str], do: _Do, judge: _Judge) -> Problems:
        """What failed. Afterwards it is as known what is in force as it was before: the others were looked at, too."""
        known = not self.moved()
        before = self._host()
        problems = do(keys, before)
        mark = self._accounts.mark()
        after = self._host()
        problems = judge(keys, before, after, problems)
        known = known and before.in_force() - set(keys) == after.in_force() - set(keys)
        self._seen = (self._record.mark(), mark) if known else None
        return problems

    def _close(self, keys: Collection[str], host: "_Host") -> Problems:
        if host.to_close(keys):
            host = self._when_free()
        problems = {key: refusal for key in keys if (refusal := host.refusal(key))}
        some = host.to_close(keys)
        if some:
            news = {key: Kept(standing=host.open(key), sessions=self._ends_sessions) for key in some}
            self._record.write({**host.kept, **news})
        return problems | one_by_one(self._accounts.close, ((key, (key,)) for key in some))

    def _closed(self, keys: Collection[str], before: "_Host", after: "_Host", problems: Problems) -> Problems:
        """What is not closed, and is as it is to be when it is open, needs no reminder."""
        there = after.in_force()
        self._forget(key for key in keys if key not in there and after.is_open(key))
        left = [key for key in keys if key in there and after.has_sessions(key)] if self._ends_sessions else []
        ended = [key for key in left if self._end_sessions(key, after)]
        if ended:
            done = {key: replace(after.kept[key], sessions=False) for key in ended}
            self._record.write({**self._record.read(), **done})
        return dict.fromkeys((key for key in keys if key not in there), "it was closed, and isn't") | problems

    def _open(self, keys: Collection[str], host: "_Host") -> Problems:
        if not host.kept.keys().isdisjoint(keys):
            host = self._when_free()
        problems = {key: FORGOTTEN.format(key, host.accounts[key].opens) for key in keys if host.is_forgotten(key)}
        some = [key for key in keys if key not in problems and not host.is_open(key)]
        changes = ((key, (key, host.accounts[key].standing, host.open(key))) for key in some)
        return problems | one_by_one(self._accounts.restore, changes)

    def _opened(self, keys: Collection[str], before: "_Host", after: "_Host", problems: Problems) -> Problems:
        done = {key for key in keys if after.is_open(key)}
        self._forget(done)
        return dict.fromkeys((key for key in keys if key not in done), "it was opened, and isn't as before") | problems

    def _forget(self, keys: Iterable[str]) -> None:
        gone = set(keys)
        self._record.write({key: each for key, each in self._record.read().items() if key not in gone})

    def _end_sessions(self, key: str, host: "_Host") -> bool:
        """If they can't be, it is closed all the same, and that is what was ordered."""
        try:
            if others := host.others(key):
                raise ActionError(f"{', '.join(others)} would be put out as well, with the same uid")
            self._accounts.end_sessions(key, host.accounts[key].standing)
        except ActionError as error:
            log.warning("sessions go on", action="sessions_not_ended", target=key, problem=str(error))
            return False
        return True


class Kept(Struct, frozen=True, kw_only=True):
    """What is remembered of an account: how it stood, and whether sessions are still to be ended."""

    standing: Standing
    sessions: bool = False


class _Host(Struct, frozen=True, kw_only=True):
    """What is remembered of its accounts, and how they are, at one moment."""

    kept: Mapping[str, Kept]
    accounts: Mapping[str, Account]

    def in_force(self) -> set[str]:
        return {key for key, each in self.accounts.items() if each.closed and (self._is_about(key) or each.opens)}

    def refusal(self, key: str) -> str:
        """Why it is not to be closed; empty when it may be."""
        if key not in self.accounts:
            return f"{key} is no account of this host's own; a directory's can be closed there"
        return self.accounts[key].refusal

    def to_close(self, keys: Iterable[str]) -> list[str]:
        in_force = self.in_force()
        return [key for key in keys if key not in in_force and not self.refusal(key)]

    def is_forgotten(self, key: str) -> bool:
        """Whether we have closed it, and don't know any more how it stood."""
        return key in self.accounts and bool(self.accounts[key].opens) and not self._is_about(key)

    def open(self, key: str) -> Standing:
        """How an account that is there is to stand when it is open."""
        kept = self.kept.get(key)
        return merged(kept.standing if kept else None, self.accounts[key].standing)

    def is_open(self, key: str) -> bool:
        """Whether there is nothing to put back. An account that is gone, or somebody else's by now, needs nothing."""
        if not self._is_about(key):
            return not self.is_forgotten(key)
        return self.open(key) == self.accounts[key].standing

    def left_open(self) -> list[str]:
        """What is remembered for nothing."""
        in_force = self.in_force()
        return [key for key in self.kept if key not in in_force and self.is_open(key)]

    def has_sessions(self, key: str) -> bool:
        """Whether some may be left of those that were to be ended."""
        return key in self.kept and self.kept[key].sessions

    def others(self, key: str) -> list[str]:
        """Whose accounts are one with it for the system."""
        number = self.accounts[key].standing.number
        return [name for name, each in self.accounts.items() if each.standing.number == number and name != key]

    def _is_about(self, key: str) -> bool:
        return (
            key in self.kept
            and key in self.accounts
            and self.kept[key].standing.number == self.accounts[key].standing.number
        )
