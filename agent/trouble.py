"""What is wrong with this agent just now: its heartbeats say so, and the log when it begins and when it is over."""

import structlog

log = structlog.get_logger()


class Trouble:
    """Troubles by name: each is there until it is over."""

    def __init__(self) -> None:
        self._troubles: dict[str, str] = {}

    def __str__(self) -> str:
        return "; ".join(self._troubles.values())

    def say(self, name: str, what: str) -> None:
        """`name` is wrong: `what`. Saying it again changes the words only."""
        if name not in self._troubles:
            log.error(what, action="trouble", trouble=name)
        self._troubles[name] = what

    def over(self, name: str) -> None:
        """`name` is right; nothing happens if it was."""
        if self._troubles.pop(name, None) is not None:
            log.info("is right again", action="trouble_over", trouble=name)
