"""Which backend carries each action out on this host: chosen by trying, at the start and not at the first attack.

The rule it keeps: what is announced was prepared, and what was chosen stays so for as long as the agent runs, because
two firewalls would know nothing of each other's blocks. What is missing may be installed meanwhile: it is tried again.
"""

import platform
from collections.abc import Collection, Sequence

import structlog

from agent.actions.action import Action
from agent.actions.catalogue import FIREWALL, Candidate, Catalogue, everything
from shared.errors import ActionError
from shared.settings import ActionsSettings

log = structlog.get_logger()


class Actions:
    """What this host carries out. What is public here may grow while the agent runs, and nobody else writes into it."""

    def __init__(
        self, settings: ActionsSettings, catalogue: Catalogue | None = None, system: str = platform.system()
    ) -> None:
        """None: `everything`."""
        self.by_name: dict[str, Action] = {}  # by every name that an order may have for it
        # Once each, by the name that the journal has for it. Where one backend carries out two, as pf does
        # firewall-drop and pf, the later one is an alias, so that an address that is blocked by both is one effect.
        self.own: dict[str, Action] = {}
        self.aliases: dict[str, str] = {}
        self.unsupported: dict[str, str] = {}  # name -> why nothing here carries it out
        self.passed_over: dict[str, str] = {}  # name -> why it isn't carried out by something better
        self._settings, self._system = settings, system
        self._catalogue = everything(settings.own) if catalogue is None else catalogue
        self._made: dict[int, Action] = {}

    def choose(self, names: Collection[str] | None = None) -> None:
        """Looks for a backend for each of `names`; None: for whatever has none.

        To be called from the thread that makes all calls of actions.
        """
        for name in self._lacking() if names is None else names:
            self._choose(name)

    def look(self) -> list[str]:
        """For which names `choose` would find a backend now. It takes as long as the host's tools do, and may be called
        from any thread: it tries with actions that are used for nothing else.
        """
        return [name for name in self._lacking() if self._would_have(name)]

    def lack(self) -> str:
        """What is to be said aloud if this host can't block an address; empty when it can."""
        why_not = self.unsupported.get(FIREWALL)
        return f"{FIREWALL} can't be carried out on this host: {why_not}" if why_not else ""

    def backends(self) -> dict[str, str]:
        """What carries each out, by every name."""
        return {name: action.backend for name, action in self.by_name.copy().items()}  # which grows meanwhile

    def cutting(self) -> list[str]:
        """Those that may cut this host off from its broker, by the journal's names."""
        return [name for name, action in self.own.copy().items() if action.network]

    def others(self, name: str) -> list[Action]:
        """What could have carried out `name` on such a host and is used for nothing."""
        found = []
        for each in self._candidates(name, former=True):
            try:
                action = self._action(each)
            except ActionError:
                continue
            if self._own_name(action) is None:
                found.append(action)
        return found

    def _lacking(self) -> list[str]:
        return [name for name in self._catalogue if name not in self.by_name]

    def _candidates(self, name: str, *, former: bool = False) -> list[Candidate]:
        """Those that there may be on such a system; with `former` also those that are never chosen."""
        some = self._catalogue.get(name, ())
        known = [each for each in some if not each.systems or self._system in each.systems]
        return [each for each in known if former or not each.former]

    def _choose(self, name: str) -> None:
        why_not: list[str] = []
        for each in self._candidates(name):
            try:
                action = self._action(each)
                if self._own_name(action) is None:
                    self._try(name, action)
            except ActionError as error:
                why_not.append(str(error))
            else:
                self._take(name, action, why_not)
                return
        self._go_without(name, why_not)

    def _would_have(self, name: str) -> bool:
        why_not: list[str] = []
        for each in self._candidates(name):
            try:
                self._try(name, _made(each, self._settings))
            except ActionError as error:
                why_not.append(str(error))
            else:
                return True
        self._go_without(name, why_not)
        return False

    def _take(self, name: str, action: Action, why_not: Sequence[str]) -> None:
        own = self._own_name(action)
        if own is None:
            self.own[name] = action
        else:
            self.aliases[name] = own
        self.by_name[name] = action  # last: an order may come in between
        self.unsupported.pop(name, None)
        if why_not:
            self.passed_over[name] = "; ".join(why_not)
        log.info("can be carried out", action="chosen", what=name, backend=action.backend, not_by="; ".join(why_not))

    def _go_without(self, name: str, why_not: Sequence[str]) -> None:
        self.unsupported[name] = "; ".join(why_not) or f"only on {_listed(self._catalogue[name])}"

    def _try(self, name: str, action: Action) -> None:
        """Raises ActionError with what this host lacks."""
        wanted = self._settings.firewall
        if name == FIREWALL and wanted not in ("auto", action.backend):
            raise ActionError(f"{action.backend}: the setting actions.firewall is {wanted}")
        try:
            action.prepare()
        except Exception as error:  # somebody's own class may raise anything, and must keep no agent from starting
            said, who = _words(error), f"{action.backend}: "
            raise ActionError(said if said.startswith(who) else who + said) from error

    def _action(self, candidate: Candidate) -> Action:
        """The one of this candidate that is used, if any is. Raises ActionError."""
        if id(candidate) not in self._made:
            self._made[id(candidate)] = _made(candidate, self._settings)
        return self._made[id(candidate)]

    def _own_name(self, action: Action) -> str | None:
        return next((name for name, each in self.own.items() if each is action), None)


def _made(candidate: Candidate, settings: ActionsSettings) -> Action:
    try:
        return candidate.make(settings)
    except Exception as error:  # as above
        raise ActionError(_words(error)) from error


def _words(error: Exception) -> str:
    return str(error) if isinstance(error, ActionError) else f"{type(error).__name__}: {error}"


def _listed(candidates: Sequence[Candidate]) -> str:
    systems = dict.fromkeys(system for each in candidates for system in each.systems)
    names = ["macOS" if each == "Darwin" else each for each in systems]
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))
