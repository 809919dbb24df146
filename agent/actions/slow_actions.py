"""All slow actions of this host, by name: those that are built in, and the folder of scripts.

The rule it keeps: what is built in goes first, and a script stands in for one that this host can't carry out.
"""

from collections.abc import Iterator, Sequence
from typing import Protocol

from msgspec import Struct

from agent.actions.action import SlowAction
from agent.actions.restart_wazuh import restart
from agent.actions.restart_wazuh.restart import RestartWazuh
from agent.actions.scripts.scripts import Scripts
from agent.actions.wazuh_slack.wazuh_slack import WazuhSlack
from agent.actions.wazuh_slack.webhook import Webhook
from shared.errors import ActionError
from shared.settings import ActionsSettings

BUILT_IN = (WazuhSlack.name, *restart.NAMES)


def built_in(
    settings: ActionsSettings, webhook: Webhook, agent_id: str, *, daemon: bool = True
) -> "tuple[BuiltIn, ...]":
    """Those that come with the agent; each says itself whether this host can carry it out. `daemon`: this process is
    the one that a restart of the agent ends.
    """
    service = settings.restart_service
    restarts = (RestartWazuh(name=name, service=service, daemon=daemon) for name in restart.NAMES)
    return WazuhSlack(webhook, host=agent_id), *restarts


def webhook(settings: ActionsSettings) -> Webhook:
    """The channel's."""
    return Webhook(file=settings.webhook_file, ca_file=settings.webhook_ca_file, proxy=settings.webhook_proxy)


class BuiltIn(SlowAction, Protocol):
    """One that comes with the agent."""

    def stop(self) -> None:
        """Whoever waits for something in it gives up, if he can. Twice is safe."""


class Offer(Struct, frozen=True, kw_only=True):
    """A slow action that this host has. `why_not` is empty when it can carry it out."""

    name: str
    backend: str
    why_not: str


class SlowActions:
    """As it is just now: a file may be put there, or mended, while the agent runs."""

    def __init__(self, built_in: Sequence[BuiltIn], scripts: Scripts) -> None:
        self._built_in = {action.name: action for action in built_in}
        self._scripts = scripts

    def get(self, name: str) -> SlowAction | None:
        """The action of that name, whether it can be carried out or not."""
        built_in = self._built_in.get(name)
        if built_in is None or _why_not(built_in):
            return self._scripts.get(name) or built_in
        return built_in

    def at_once(self, name: str) -> int:
        """How many calls it is given at most."""
        action = self.get(name)
        return 1 if action is None else action.at_once

    def look(self) -> Iterator[Offer]:
        """All that there are."""
        scripts = {script.name: script for script in self._scripts.look()}
        for name in {**self._built_in, **scripts}:
            if action := self.get(name):
                yield Offer(name=name, backend=action.backend, why_not=_why_not(action))

    def kill_left_over(self) -> int:
        """What an agent that was killed had started: it must not be at work beside what is started now."""
        return self._scripts.kill_left_over()

    def stop(self) -> None:
        """Ends what is under way, and what comes later at once."""
        self._scripts.stop()
        for action in self._built_in.values():
            action.stop()


def _why_not(action: SlowAction) -> str:
    try:
        action.prepare(())
    except ActionError as error:
        return str(error)
    return ""
