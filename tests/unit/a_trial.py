"""What a host of the unit tests tries actions out with, wired as the daemon wires it."""

from collections.abc import Sequence
from pathlib import Path

from agent.actions.action import Action, SlowAction
from agent.actions.catalogue import Candidate
from agent.actions.choice import Actions
from agent.actions.scripts.scripts import Scripts
from agent.actions.slow_actions import SlowActions
from agent.admission import Admission
from agent.trials import Trials
from shared.settings import ActionsSettings, HostSettings
from shared.targets import Allowlist
from tests.unit.a_host import AGENT, AHost

ALIAS = "block"
PROTECTED, ALLOWED = "198.51.100.7", "198.51.100.8"


def trials(host: AHost, folder: Path, *others: Action, built_in: Sequence[SlowAction] = ()) -> Trials:
    """Of the host's own action, also under another name, `others`, and the scripts in a folder of that name."""
    one = Candidate(lambda _: host.action)
    catalogue = {each.name: (Candidate(lambda _, each=each: each),) for each in others}
    actions = Actions(ActionsSettings(), {host.action.name: (one,), ALIAS: (one,), **catalogue})
    actions.choose()
    scripts = Scripts(HostSettings(scripts=str(folder / "scripts"), state_dir=str(folder)), AGENT)
    slow = SlowActions(built_in, scripts)
    admission = Admission(
        AGENT,
        (),
        actions.by_name,
        allow=Allowlist.of([ALLOWED], "agent.allow"),
        automatic=lambda: Allowlist.of([PROTECTED], "the broker"),
        slow=slow,
    )
    return Trials(host.executor, host.journal, actions, slow, admission)
