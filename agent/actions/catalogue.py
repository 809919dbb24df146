"""What carries each action out, and which of it this host has: chosen by trying, at the start, not at the first attack.

The rule it keeps: what is announced was prepared, and what was chosen stays so for as long as the agent runs, because
two firewalls would know nothing of each other's blocks. What is missing may be installed meanwhile: it is tried again.
"""

import platform
from collections.abc import Callable, Collection, Mapping, Sequence

import structlog
from msgspec import Struct

from agent.actions.action import Action
from agent.actions.nftables import Nftables
from shared.errors import ActionError
from shared.settings import ActionsSettings

FIREWALL = "firewall-drop"

log = structlog.get_logger()


class Candidate(Struct, frozen=True):
    """What may carry an action out. `make` does nothing to the host: that `Action.prepare` does."""

    make: Callable[[ActionsSettings], Action]
    systems: tuple[str, ...] = ()  # that have it, as platform.system() says; none: any may


Catalogue = Mapping[str, Sequence[Candidate]]

# What has two names is one candidate under both.
BUILT_IN: Catalogue = {  # by name, in the order in which they are tried
    FIREWALL: (Candidate(lambda _: Nftables(), ("Linux",)),),
}


class Actions:
    """What this host carries out. `by_name` is by the names that orders use; `own` has each action once, under the
    name that the journal keeps: of an action with two names the one that comes first in the catalogue, so that both
    hold one effect.
    """

    def __init__(
        self, settings: ActionsSettings, catalogue: Catalogue = BUILT_IN, system: str = platform.system()
    ) -> None:
        self.by_name: dict[str, Action] = {}
        self.own: dict[str, Action] = {}
        self.unsupported: dict[str, str] = {}  # name -> why nothing here carries it out
        self.passed_over: dict[str, str] = {}  # name -> why it isn't carried out by something better
        self._settings, self._catalogue, self._system = settings, catalogue, system
        self._made: dict[Candidate, Action] = {}

    def choose(self) -> Collection[str]:
        """Looks for a backend for whatever has none. What can be carried out from now on, by the journal's names.

        To be called from the thread that makes all calls of actions.
        """
        before = set(self.own)
        for name, candidates in self._catalogue.items():
            if name not in self.by_name:
                self._choose(name, [each for each in candidates if not each.systems or self._system in each.systems])
        return self.own.keys() - before

    def name_of(self, name: str) -> str:
        """The journal's name of an action that is carried out here."""
        return next(own for own, action in self.own.items() if action is self.by_name[name])

    def backends(self) -> dict[str, str]:
        """What carries each out."""
        return {name: action.backend for name, action in self.by_name.items()}

    def _choose(self, name: str, candidates: Sequence[Candidate]) -> None:
        why_not: list[str] = []
        for each in candidates:
            problem, action = self._tried(name, each)
            if action is not None:
                self._take(name, action, why_not)
                return
            why_not.append(problem)
        self.unsupported[name] = "; ".join(why_not) or f"only on {_listed(self._catalogue[name])}"

    def _take(self, name: str, action: Action, why_not: Sequence[str]) -> None:
        if not any(action is each for each in self.own.values()):
            self.own[name] = action
        self.by_name[name] = action
        self.unsupported.pop(name, None)
        if why_not:
            self.passed_over[name] = "; ".join(why_not)
        log.info("an action can be carried out", action="chosen", what=name, backend=action.backend, not_by=why_not)

    def _tried(self, name: str, candidate: Candidate) -> tuple[str, Action | None]:
        """The action if this host has what it takes, else why it hasn't."""
        try:
            action = self._made.get(candidate) or candidate.make(self._settings)
        except Exception as error:  # somebody's own class may raise anything, and keeps no agent from starting
            return f"{name}: {type(error).__name__}: {error}", None
        self._made[candidate] = action
        if any(action is each for each in self.own.values()):
            return "", action
        problem = self._unwanted(name, action) or _problem(action)
        return problem, None if problem else action

    def _unwanted(self, name: str, action: Action) -> str:
        wanted = self._settings.firewall
        if name != FIREWALL or wanted in ("auto", action.backend):
            return ""
        return f"{action.backend}: the setting actions.firewall is {wanted}"


def _problem(action: Action) -> str:
    """What is missing on this host."""
    try:
        action.prepare()
    except ActionError as error:
        said = str(error)
    except Exception as error:  # as above
        said = f"{type(error).__name__}: {error}"
    else:
        return ""
    return said if said.startswith(f"{action.backend}: ") else f"{action.backend}: {said}"


def _listed(candidates: Sequence[Candidate]) -> str:
    systems = list(dict.fromkeys(system for each in candidates for system in each.systems))
    names = ["macOS" if each == "Darwin" else each for each in systems]
    return " and ".join(part for part in (", ".join(names[:-1]), names[-1]) if part)
