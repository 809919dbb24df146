"""What an agent of a test can carry out: these actions and nothing else, whatever its host has."""

from collections.abc import Callable

from agent.actions.action import Action
from agent.actions.catalogue import Candidate
from agent.actions.choice import Actions
from shared.settings import ActionsSettings


def only(*actions: Action) -> Callable[[ActionsSettings], Actions]:
    """For `app.Parts`."""
    catalogue = {action.name: (Candidate(lambda _, action=action: action),) for action in actions}
    return lambda settings: Actions(settings, catalogue)
