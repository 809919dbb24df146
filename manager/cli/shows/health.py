"""How it looks that something is kept back, or was refused: a line each."""

from collections.abc import Iterator

from manager.api.bodies.health import Health
from manager.cli.shows.table import counted, time_of
from manager.ledger.views import Pause
from shared.tables import plain


def notes(health: Health) -> Iterator[str]:
    """What an operator wants to hear of a manager that is ready. Nothing when all goes out as ordered."""
    if health.paused:
        yield paused(health.paused)
    yield from (tripped(response) for response in health.tripped)
    if health.on_hold:
        yield f"{counted(health.on_hold, 'order')} on hold; see `thwart orders --on-hold`"
    if health.unsent:
        yield f"unsent: {counted(health.unsent, 'message')} that the broker has not confirmed"
    if health.configuration_refused:
        why = plain(" ".join(health.configuration_refused.split()))
        yield f"the configuration was refused when it was read anew, and the one before is in force: {why}"


def paused(pause: Pause) -> str:
    """Since when, by whom and why."""
    why = f": {pause.reason}" if pause.reason else ""
    return plain(f"paused since {time_of(pause.since)} by {pause.issuer}{why}; nothing but lifts is sent")


def tripped(response: str) -> str:
    return f"the breaker of {plain(response)} has tripped: what is new of it is on hold"
