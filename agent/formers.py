"""What carried an action out in an earlier run, and may still have something in force for it.

The rule it keeps: what ends is ended there as well, so that nobody who was let go stays blocked by what isn't used any
more, until that is empty.
"""

from collections import defaultdict
from collections.abc import Sequence

from msgspec.structs import replace

from agent.actions.action import Action, Effect, Result
from shared.errors import ActionError


class Formers:
    """By action. `revert` is for the thread in which all actions are called."""

    def __init__(self) -> None:
        self._of: dict[str, list[Action]] = defaultdict(list)

    def add(self, name: str, former: Action) -> None:
        """`former` may have something in force for this action. Twice is safe."""
        if not self.has(name, former):
            self._of[name].append(former)

    def remove(self, name: str, former: Action) -> None:
        """It has nothing any more, for sure."""
        if self.has(name, former):
            self._of[name].remove(former)

    def has(self, name: str, former: Action) -> bool:
        """Whether it was added, and not removed since."""
        return former in self._of.get(name, ())

    def revert(self, name: str, effects: Sequence[Effect], results: list[Result]) -> list[Result]:
        """Ends `effects` there too; `results` are those of what carries the action out now, to which problems are
        added.
        """
        for former in self._of.get(name, ()):
            stays = _ended_by(former, effects)
            results = [replace(each, problem=each.problem or stays.get(each.key, "")) for each in results]
        return results


def _ended_by(former: Action, effects: Sequence[Effect]) -> dict[str, str]:
    """By key why it is still in force there. Of one that can't tell, as its program is gone, nothing is known."""
    failed = {each.key: each.problem for each in former.revert(effects) if each.problem}
    try:
        found = former.inspect() if failed else {}
    except ActionError:
        return {}
    return {key: f"{former.backend}, which was used before: {why}" for key, why in failed.items() if key in found}
