"""Work that must reach the ledger before the broker may forget its cause: tried until the disk takes it.

A full disk is waited out. What fails for any other reason is found by halving and left out, so that no message that
somebody sends can stop its queue.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import structlog
import tenacity

from shared.errors import StoreError

Item = TypeVar("Item")
Result = TypeVar("Result")

SLOWEST_RETRY = 5.0  # s

log = structlog.get_logger()


async def until_stored(work: Callable[[], Awaitable[Result]], what: str) -> Result:
    """What `work()` gives, tried again for as long as it raises StoreError. `what` is what waits, for the log."""

    def say(state: tenacity.RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        log.error("the ledger can't be written, trying again", action="store_retry", waiting=what, error=str(error))

    attempts = tenacity.AsyncRetrying(
        wait=tenacity.wait_exponential(multiplier=0.1, max=SLOWEST_RETRY),
        retry=tenacity.retry_if_exception_type(StoreError),
        before_sleep=say,
    )
    async for attempt in attempts:
        with attempt:
            return await work()
    raise AssertionError("the attempts never end")


async def store_all(
    work: Callable[[Sequence[Item]], Awaitable[Result]], items: Sequence[Item], what: str
) -> tuple[list[Result], list[Item]]:
    """`work(items)` as `until_stored`, in parts where it must be: the results, and the items that can't be stored."""
    try:
        return [await until_stored(lambda: work(items), what)], []
    except Exception as error:
        if len(items) < 2:
            log.error("can't be stored, left out", action="store_failed", kind=what, error=repr(error))
            return [], list(items)
    middle = len(items) // 2
    first, spoiled = await store_all(work, items[:middle], what)
    second, more = await store_all(work, items[middle:], what)
    return [*first, *second], [*spoiled, *more]
