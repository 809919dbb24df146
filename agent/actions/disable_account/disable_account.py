"""`disable-account`: nobody logs in by it, by password or by key, until its time is over; then it is as it was before.

The rule it keeps: how an account stands is on the disk before it is closed, so that it can be opened whatever happens
in between; and what was locked, or had expired, before is so afterwards. Root's, the system's and a directory's
accounts are refused.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path

import structlog
from msgspec import Struct

from agent.actions.action import Effect, Result
from agent.actions.disable_account.accounts import Account, Accounts, Standing, merged
from agent.actions.disable_account.record import Record
from agent.actions.tools.lookout import Lookout
from agent.actions.tools.problems import Problems, one_by_one, results
from shared.errors import ActionError, InvalidTarget
from shared.targets import normalise_account

ROOT = "root"

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
        self._accounts, self._record = accounts, Record(kept, Standing)
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
        """Changes nothing: what an earlier run closed stays so."""
        self._accounts.prepare(sessions=self._ends_sessions)
        self._accounts.look()
        self._record.read()

    def apply(self, effects: Sequence[Effect]) -> list[Result]:
        return self._carry_out(effects, self._close, self._closed)

    def revert(self, effects: Sequence[Effect]) -> list[Result]:
        return self._carry_out(effects, self._open, self._opened)

    def inspect(self) -> dict[str, float | None]:
        """What is remembered and stands as it should. Somebody else's locks are none of our business."""
        seen = self._marks()
        host = _Host(kept=self._record.read(), accounts=self._accounts.look())
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
        before = _Host(kept=self._record.read(), accounts=self._accounts.look())
        problems = do(keys, before)
        mark = self._accounts.mark()
        after = _Host(kept=self._record.read(), accounts=self._accounts.look())
        problems = judge(keys, before, after, problems)
        known = known and before.in_force() - set(keys) == after.in_force() - set(keys)
        self._seen = (self._record.mark(), mark) if known else None
        return problems

    def _close(self, keys: Collection[str], host: "_Host") -> Problems:
        problems = {key: refusal for key in keys if (refusal := _refusal(key, host.accounts))}
        in_force = host.in_force()
        some = [key for key in keys if key not in problems and key not in in_force]
        if some:
            self._accounts.wait_for_others()
            self._record.write({**host.kept, **{key: host.open(key) for key in some}})
        return problems | one_by_one(self._accounts.close, ((key, (key,)) for key in some))

    def _closed(self, keys: Collection[str], before: "_Host", after: "_Host", problems: Problems) -> Problems:
        """What is not closed, and is as it is to be when it is open, needs no reminder."""
        there = after.in_force()
        self._end_sessions({key: after.accounts[key] for key in there.intersection(keys) - before.in_force()})
        self._forget(key for key in keys if key not in there and after.is_open(key))
        return dict.fromkeys((key for key in keys if key not in there), "it was closed, and isn't") | problems

    def _open(self, keys: Collection[str], host: "_Host") -> Problems:
        some = [key for key in keys if not host.is_open(key)]
        if some:
            self._accounts.wait_for_others()
        changes = ((key, (key, host.accounts[key].standing, host.open(key))) for key in some)
        return one_by_one(self._accounts.restore, changes)

    def _opened(self, keys: Collection[str], before: "_Host", after: "_Host", problems: Problems) -> Problems:
        done = {key for key in keys if after.is_open(key)}
        self._forget(done)
        return dict.fromkeys((key for key in keys if key not in done), "it was opened, and isn't as before") | problems

    def _forget(self, keys: Iterable[str]) -> None:
        gone = set(keys)
        self._record.write({key: each for key, each in self._record.read().items() if key not in gone})

    def _end_sessions(self, accounts: Mapping[str, Account]) -> None:
        for key, account in accounts.items() if self._ends_sessions else ():
            try:
                self._accounts.end_sessions(key, account.standing)
            except ActionError as error:  # it is closed all the same, and that is what was ordered
                log.warning("sessions go on", action="sessions_not_ended", target=key, problem=str(error))


class _Host(Struct, frozen=True, kw_only=True):
    """What is remembered of its accounts, and how they are, at one moment."""

    kept: Mapping[str, Standing]
    accounts: Mapping[str, Account]

    def in_force(self) -> set[str]:
        return {key for key in self.kept if self._is_about(key) and self.accounts[key].closed}

    def open(self, key: str) -> Standing:
        """How an account that is there is to stand when it is open."""
        return merged(self.kept.get(key), self.accounts[key].standing)

    def is_open(self, key: str) -> bool:
        """Whether there is nothing to put back. An account that is gone, or somebody else's by now, needs nothing."""
        return not self._is_about(key) or self.open(key) == self.accounts[key].standing

    def _is_about(self, key: str) -> bool:
        return key in self.kept and key in self.accounts and self.kept[key].number == self.accounts[key].standing.number


def _refusal(key: str, accounts: Mapping[str, Account]) -> str:
    if key not in accounts:
        return f"{key} is no account of this host's own; a directory's can be closed there"
    return accounts[key].refusal
