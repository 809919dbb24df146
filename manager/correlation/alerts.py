"""A firing as the alert that goes out: Wazuh's JSON shape, and an id that the same lines always give."""

import re
from datetime import UTC, datetime
from functools import lru_cache

from manager.correlation.correlator import Firing
from shared.ids import Digest
from shared.messages import Alert, AlertAgent, AlertRule
from shared.names import agent_id_of_host

_REMEMBERED = 4096  # instants, files: lines that stand together share them

_PLACEHOLDER = re.compile(r"\$\(([\w.]+)\)")


def agent_of(firing: Firing) -> str:
    """The agent that collected the line or, for a log read offline, the host that it names, spelt as an agent id."""
    return firing.line.agent_id or agent_id_of_host(firing.event.host or "unknown")


def alert_id(firing: Firing) -> str:
    """Deterministic: the agent, the file, where in it the last line begins, and the rule."""
    line = firing.line
    return _of_file(agent_of(firing), line.source, line.file).of(line.offset, firing.rule.id)


@lru_cache(_REMEMBERED)
def _of_file(agent: str, source: str, file: str) -> Digest:
    return Digest(agent, source, file)


@lru_cache(_REMEMBERED)
def _timestamp(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")


def alert(firing: Firing) -> Alert:
    """The alert in full."""
    event, line, rule, agent = firing.event, firing.line, firing.rule, agent_of(firing)
    decoder = event.decoder
    return Alert(
        id=alert_id(firing),
        timestamp=_timestamp(line.at),
        rule=AlertRule(id=rule.id, level=rule.level, description=described(firing), groups=rule.groups),
        agent=AlertAgent(id=agent, name=agent),
        full_log=line.text,
        previous_output="\n".join([previous.text for previous in firing.previous]) if firing.previous else "",
        location=line.source,
        data=dict(event.fields),
        decoder={"name": event.label, "parent": decoder.name} if decoder else {},
        predecoder=_predecoder(firing),
    )


def described(firing: Firing) -> str:
    """The rule's description with each `$(field)` filled in; a field that the line lacks is left empty."""
    description = firing.rule.description
    if "$(" not in description:
        return description
    return _PLACEHOLDER.sub(lambda found: firing.fields.get(_field(found.group(1)), ""), description)


def _field(name: str) -> str:
    return "dstuser" if name == "user" else name


def _predecoder(firing: Firing) -> dict[str, str]:
    event = firing.event
    parts = {"program_name": event.program, "timestamp": event.stamp, "hostname": event.host}
    return {name: text for name, text in parts.items() if text}
