"""What `thwart support` takes of a manager: from its files, and through its API if it answers."""

from pathlib import Path

import msgspec

from manager.client import Client
from shared import support
from shared.checkup import PATIENCE
from shared.settings import ManagerSettings, load
from shared.support import Bundle

LEDGER = "ledger.db"  # in the state folder
UNIT = "thwart-manager.service"
_GROUPS = {
    "orders_by_phase": "SELECT phase, count(*) FROM orders GROUP BY phase",
    "orders_by_operation": "SELECT operation, count(*) FROM orders GROUP BY operation",
    "agents_orders_by_state": "SELECT state, count(*) FROM order_agents GROUP BY state",
    "history_by_word": "SELECT word, count(*) FROM history GROUP BY word",
    "dead_letters_by_reason": "SELECT reason, count(*) FROM dead_letters GROUP BY reason",
    "refusals_by_reason": "SELECT reason, count(*) FROM refusals GROUP BY reason",
}


def gather(bundle: Bundle, config: Path | None, api: str, token_file: Path) -> None:
    """Puts everything in. Settings that can't be read leave out only what goes by them."""
    support.settings(bundle, config)
    support.host(bundle)
    bundle.take("effective-settings.json", lambda: _effective(bundle, config))
    tokens(bundle, token_file)
    try:
        settings = load(ManagerSettings, config)
    except Exception:  # said with the effective settings
        settings = ManagerSettings()
    conf, state = Path(settings.manager.ossec_conf), Path(settings.manager.state_dir)
    if settings.api.token_file:
        tokens(bundle, Path(settings.api.token_file))
    bundle.take("ossec.conf", lambda: bundle.redactor.xml(conf.read_text(errors="backslashreplace")))
    support.database(bundle, state / LEDGER, _GROUPS)
    for path in ("/live", "/ready", "/v1/health", "/v1/agents", "/v1/responses", "/metrics"):
        bundle.take(f"api{path}.txt", lambda path=path: _asked(api, token_file, path))  # type: ignore[misc]
    support.journal(bundle, UNIT)


def tokens(bundle: Bundle, path: Path) -> None:
    """So that none is in the bundle, wherever it may have got to."""
    try:
        bundle.redactor.learn(line.split()[-1] for line in path.read_text().splitlines() if line.strip())
    except OSError:
        return  # who can't read it can't have it in what he gathers


def _effective(bundle: Bundle, config: Path | None) -> str:
    return support.as_json(bundle.redactor.document(msgspec.to_builtins(load(ManagerSettings, config))))


def _asked(api: str, token_file: Path, path: str) -> str:
    with Client(api, token_file, limit=PATIENCE) as client:
        return client.text(path)
