"""What `thwart-agent support` takes of an agent: its settings, its journal in figures, how it is, its recent log."""

from pathlib import Path

import msgspec

from agent.checkup import looked_at
from agent.folder import JOURNAL
from shared import support
from shared.settings import AgentSettings, load
from shared.support import Bundle

UNIT = "thwart-agent.service"
_GROUPS = {
    "orders_by_status": "SELECT COALESCE(status, 'taken'), count(*) FROM orders GROUP BY status",
    "effects_by_action": "SELECT action, count(*) FROM effects GROUP BY action",
    "holders_by_action": "SELECT action, count(*) FROM holders GROUP BY action",
}


def gather(bundle: Bundle, config: Path | None) -> None:
    """Puts everything in. Settings that can't be read leave out only what goes by them."""
    support.settings(bundle, config)
    support.host(bundle)
    bundle.take("effective-settings.json", lambda: _effective(bundle, config))
    try:
        settings = load(AgentSettings, config)
    except Exception:  # said with the effective settings
        settings = AgentSettings()
    state = Path(settings.agent.state_dir)
    support.database(bundle, state / JOURNAL, _GROUPS)
    bundle.take("health.json", lambda: support.as_json(msgspec.to_builtins(looked_at(state))))
    bundle.take("scripts.txt", lambda: _scripts(Path(settings.agent.scripts)))
    support.journal(bundle, UNIT)


def _effective(bundle: Bundle, config: Path | None) -> str:
    return support.as_json(bundle.redactor.document(msgspec.to_builtins(load(AgentSettings, config))))


def _scripts(folder: Path) -> str:
    """Names, owners and modes; what is in them may be secret."""
    return "".join(_script(each) for each in sorted(folder.iterdir()))


def _script(path: Path) -> str:
    stat = path.stat()
    return f"{path.name} uid {stat.st_uid} mode {stat.st_mode & 0o7777:o} {stat.st_size} bytes\n"
