"""An action that changes nothing but itself: what a host would have in force, by a clock that is handed in."""

from collections.abc import Mapping, Sequence

from agent.actions.action import Effect, Result
from shared.clock import Clock
from shared.errors import ActionError
from shared.targets import normalise_address


class FakeAction:
    """Passes the same contract suite as the real ones. A test may look at `calls`, and make a key fail in `failing`.

    It cuts nobody off; a test for which it may sets `network`.
    """

    backend = "fake"
    exact = True

    def __init__(self, clock: Clock, name: str = "firewall-drop") -> None:
        self.name = name
        self.network = False
        self.failing: dict[str, str] = {}  # what to say about a key instead of doing it
        self.missing = ""  # what `prepare` and `inspect` say is missing on this host
        self.calls: list[tuple[str, tuple[str, ...]]] = []  # ("apply", keys), …
        self._clock = clock
        self._ends: dict[str, float | None] = {}
        self._moved = True

    def key(self, target: str, arguments: Sequence[str]) -> str:
        return normalise_address(target)

    def prepare(self) -> None:
        self._note("prepare")
        self._complain()

    def apply(self, effects: Sequence[Effect]) -> list[Result]:
        self._note("apply", effects)
        for effect in effects:
            if effect.key not in self.failing:
                self._ends[effect.key] = None if effect.left is None else self._clock.boot() + effect.left
        return self._results(effects)

    def revert(self, effects: Sequence[Effect]) -> list[Result]:
        self._note("revert", effects)
        for effect in effects:
            if effect.key not in self.failing:
                self._ends.pop(effect.key, None)
        return self._results(effects)

    def inspect(self) -> dict[str, float | None]:
        self._complain()
        self._moved = False
        return self.seen()

    def moved(self) -> bool:
        self._complain()
        return self._moved

    def seen(self) -> dict[str, float | None]:
        """What is in force, as `inspect` has it; who calls this isn't the agent."""
        now = self._clock.boot()
        return {key: end and end - now for key, end in self._ends.items() if end is None or end > now}

    def flush(self) -> None:
        """What is in force is gone, as if somebody had flushed the firewall."""
        self.tamper({})

    def tamper(self, ends: Mapping[str, float | None]) -> None:
        """What is in force is this and nothing else, as if somebody had edited the firewall: seconds left by key."""
        self._ends = {key: None if left is None else self._clock.boot() + left for key, left in ends.items()}
        self._moved = True

    def _note(self, call: str, effects: Sequence[Effect] = ()) -> None:
        self.calls.append((call, tuple(effect.key for effect in effects)))

    def _complain(self) -> None:
        if self.missing:
            raise ActionError(self.missing)

    def _results(self, effects: Sequence[Effect]) -> list[Result]:
        return [Result(key=effect.key, problem=self.failing.get(effect.key, "")) for effect in effects]
