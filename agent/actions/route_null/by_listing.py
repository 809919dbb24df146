"""Routes brought about by what a system lists before and after, where its tools' own word isn't enough."""

from collections.abc import Callable, Collection, Sequence

from agent.actions.tools.problems import Problems

Change = Callable[[int, Sequence[str]], Problems]  # of one family's routes, which differ; what failed


class ByListing:
    """For one system. What was to be done is what differs, and done is what is seen."""

    def __init__(self, backend: str, listed: Callable[[int], Collection[str]]) -> None:
        self._backend, self._listed = backend, listed

    def make(self, version: int, names: Sequence[str], change: Change, *, there: bool) -> Problems:
        """Makes each route be there, or not; what failed, with the tool's words. Raises ActionError."""
        before = self._listed(version)
        differing = [name for name in names if (name in before) != there]
        if not differing:
            return {}
        failed = change(version, differing)
        after = self._listed(version)
        words = f"{self._backend} said yes, but the route is {'not ' if there else 'still '}there"
        return {name: failed.get(name, words) for name in differing if (name in after) != there}
