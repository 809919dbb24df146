"""The allowlist while the manager runs: `<white_list>` and what people added, and how agents are told of it.

A change is one transaction with all that follows from it: what overlaps a new entry and may be in force, on hold or
unsent is lifted, and every agent is told, behind those lifts. Whatever is judged after it is judged by it.
"""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import structlog
from msgspec import Struct

from manager.allowlist import Told, effective
from manager.ledger import allowed, orders
from manager.ledger.allowed import Allowed
from manager.ledger.schema import FOREVER
from manager.ledger.views import AllowEntry, Listing
from manager.lifting import Lifting, lift
from manager.roster import Members, Roster
from shared import codec, outbox
from shared.broker import Publication
from shared.clock import Clock
from shared.errors import AllowlistFull, ConfigurationError, InvalidTarget, MessageTooLarge, NotOnAllowlist, StoreError
from shared.ids import digest
from shared.messages import Order, Policy, PolicyEntry
from shared.store import Connection, Store
from shared.targets import Allowlist, parse_network, text_of

SKEW = 60.0  # s that a version may lie in the future

log = structlog.get_logger()


class AllowRequest(Struct, frozen=True, kw_only=True):
    """A person's wish that nothing be done to a network. The same `request_id` is the same request."""

    request_id: str
    network: str
    reason: str = ""
    issuer: str = ""
    keep: float | None = None  # s that it stays on the list; None: until somebody takes it off


class Changed(Struct, frozen=True, kw_only=True):
    """What became of a change."""

    version: int
    network: str  # in the one spelling
    lifted: tuple[Order, ...] = ()  # the deletes that were given for it, as stored
    given: tuple[Order, ...] = ()  # those of them that are new


_Work = Callable[[Connection, Members, float], Changed]  # the last is now, in Unix seconds


class AllowPolicy:
    """Asked by whoever judges, at the time of judging; also from within the store's thread.

    `listed` is what the file at `source` lists at the start; to take it over may raise as `configured` does. `wake`
    is called when there is something to send.
    """

    def __init__(
        self,
        store: Store,
        roster: Roster,
        clock: Clock,
        *,
        listed: Allowlist,
        source: str,
        wake: Callable[[], None],
    ) -> None:
        self._store, self._roster, self._clock, self._source, self._wake = store, roster, clock, source, wake
        self._one = asyncio.Lock()  # a change that fails puts back what was before it, and not what another one made
        self._told = Told.of(store.run_now(allowed.told) or Policy(version=0, entries=()))
        self._file: tuple[PolicyEntry, ...] = ()
        self._next_end = FOREVER  # of an entry that is on the list for a time
        with self._refusing():
            self._say(store.run_now(self._with_members(self._taking_over(listed))))

    @property
    def version(self) -> int:
        """The version that every agent should have."""
        return self._told.policy.version

    def allowlist(self) -> Allowlist:
        """Everything on the list."""
        return self._told.allowlist

    def publication(self, key: str, *, caught_up: str = "") -> Publication:
        """The message that tells whoever listens to `key`. `caught_up`: the journal whose catch-up it ends."""
        return self._told.publication(key, caught_up=caught_up)

    async def listing(self) -> Listing:
        """The list for people: the file's entries first. Raises StoreError."""
        file = [AllowEntry(network=each.network, reason=each.reason, source=self._source) for each in self._file]
        by_hand = [_entry(each) for each in await self._store.read(allowed.entries)]
        return Listing(version=self.version, entries=(*file, *by_hand))

    async def configured(self, listed: Allowlist) -> Changed:
        """Takes over what the file lists now. Raises StoreError, and ConfigurationError when that is too much."""
        with self._refusing():
            return await self._change(self._taking_over(listed))

    async def add(self, request: AllowRequest) -> Changed:
        """Puts a network on the list, and lifts what overlaps it; a repeat lifts what has come to be since.

        One that is on it already stays there until the later of the two ends.

        Raises InvalidTarget, AllowlistFull, StoreError.
        """
        network = parse_network(request.network.strip())
        if network.prefixlen == 0:
            raise InvalidTarget(
                f"{text_of(network)} is everything; `thwart pause` sends nothing any more, "
                "`thwart unblock --everything` lifts what is in force"
            )
        name = text_of(network)
        word = Lifting(
            request_id=request.request_id,
            reason=f"on the allowlist: {request.reason or name}",
            issuer=request.issuer,
        )

        def work(connection: Connection, members: Members, now: float) -> Changed:
            until = FOREVER if request.keep is None else now + request.keep
            entry = Allowed(network=name, reason=request.reason, issuer=request.issuer, added_at=now, until=until)
            allowed.add(connection, entry)
            given = tuple(_lift(connection, Allowlist([(network, "")]), word, members, now))
            self._tell(connection, self._file, now)
            lifted = tuple(orders.of_origin(connection, request.request_id, "delete"))
            return Changed(version=self.version, network=name, lifted=lifted, given=given)

        return await self._change(work)

    async def remove(self, network: str) -> Changed:
        """Takes off the list what was added. Raises InvalidTarget, NotOnAllowlist with what to do, StoreError."""
        name = text_of(parse_network(network.strip()))

        def work(connection: Connection, members: Members, now: float) -> Changed:
            if not allowed.remove(connection, name):
                raise NotOnAllowlist(self._why_not(name))
            self._tell(connection, self._file, now)
            return Changed(version=self.version, network=name)

        return await self._change(work)

    async def end_due(self) -> None:
        """Takes off the list what was on it for a time that is over. Every second. Raises StoreError."""

        def work(connection: Connection, members: Members, now: float) -> Changed:
            self._tell(connection, self._file, now)
            return Changed(version=self.version, network="")

        if self._next_end <= self._clock.wall():
            await self._change(work)

    async def outdo(self, version: int) -> None:
        """Gives the list a version after `version`, unless no right clock can have made that. Raises StoreError."""

        def work(connection: Connection, members: Members, now: float) -> Changed:
            if version <= now + SKEW:
                self._tell(connection, self._file, now, after=version)
            return Changed(version=self.version, network="")

        await self._change(work)

    def _taking_over(self, listed: Allowlist) -> _Work:
        file = tuple(PolicyEntry(network=text_of(network), reason=reason) for network, reason in listed)

        def work(connection: Connection, members: Members, now: float) -> Changed:
            known = {each.network for each in self._told.policy.entries}
            fresh = [each for each in listed if text_of(each[0]) not in known]
            word = Lifting(
                request_id=digest("configured", self.version, tuple(text_of(network) for network, _ in fresh)),
                reason=f"on the allowlist, by {self._source}",
                issuer="manager",
            )
            lifted = tuple(_lift(connection, Allowlist(fresh), word, members, now))
            self._tell(connection, file, now)
            return Changed(version=self.version, network="", lifted=lifted, given=lifted)

        return work

    @contextmanager
    def _refusing(self) -> Iterator[None]:
        """What a file lists too much of is wrong with that file."""
        try:
            yield
        except AllowlistFull as full:
            raise ConfigurationError(str(full), path=self._source) from full

    def _why_not(self, network: str) -> str:
        if any(each.network == network for each in self._file):
            return (
                f"{network} is a <white_list> of {self._source}: take it out there, and have the file read anew "
                "(`thwart rules reload`)"
            )
        return f"{network} is not on the list as such; `thwart allow list` shows what is"

    async def _change(self, work: _Work) -> Changed:
        """Runs `work` as one transaction; what it sets here is put back if that fails."""
        async with self._one:
            before = (self._told, self._file, self._next_end)
            try:
                changed = await self._store.run(self._with_members(work))
            except StoreError:
                self._told, self._file, self._next_end = before
                raise
        self._say(changed)
        self._wake()
        return changed

    def _with_members(self, work: _Work) -> Callable[[Connection], Changed]:
        members = self._roster.members()  # here, because the roster is the loop's and `work` runs in the store's thread
        return lambda connection: work(connection, members, self._clock.wall())

    def _say(self, changed: Changed) -> None:
        entries, lifts = len(self._told.policy.entries), len(changed.lifted)
        log.info("the allowlist stands", action="policy", version=changed.version, entries=entries, lifts=lifts)

    def _tell(
        self, connection: Connection, file: tuple[PolicyEntry, ...], now: float, *, after: int | None = None
    ) -> None:
        """Tells every agent, if there is anything new, or a version `after` which it is to come.

        The last step: nothing after it may fail but the commit.
        """
        allowed.end(connection, now)
        by_hand = allowed.entries(connection)
        entries = effective(file, by_hand)
        before = self._told.policy
        if entries != before.entries or before.version == 0 or after is not None:
            version = max(before.version + 1, (after or 0) + 1, int(now))
            policy = Policy(version=version, entries=entries)
            try:
                told = Told.of(policy, self._told)
            except MessageTooLarge as error:
                raise AllowlistFull(
                    f"{len(entries)} networks with their reasons are more than agents can be told in one message "
                    f"of {codec.MAX_BODY} bytes; join some into larger networks, or give shorter reasons"
                ) from error
            allowed.tell(connection, policy, told.body)
            self._told = told
            outbox.put(connection, [told.publication("all")])
        self._file = file
        self._next_end = min((each.until for each in by_hand), default=FOREVER)


def _lift(connection: Connection, entries: Allowlist, word: Lifting, members: Members, now: float) -> list[Order]:
    """Lifts whatever overlaps `entries` and is not exempt from the list."""
    targets = [each for each in orders.open_targets(connection, now) if entries.protects(each)] if len(entries) else []
    found = [each for target in targets for each in orders.open_on(connection, target, now) if not each.order.exempt]
    return lift(connection, found, word, members, now)


def _entry(added: Allowed) -> AllowEntry:
    return AllowEntry(
        network=added.network,
        reason=added.reason,
        source="",
        issuer=added.issuer,
        added_at=added.added_at,
        until=None if added.until >= FOREVER else added.until,
    )
