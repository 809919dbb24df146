"""What else is in an `ossec.conf`: sections of Wazuh's that Thwart skips, and what does the same here, if anything."""

from collections.abc import Iterable
from pathlib import Path

from msgspec import Struct

from manager.xml import Element

_INSTEAD = {
    "auth": "agents are enrolled at the broker, by its logins",
    "client": "an agent's manager is the broker that its own settings name",
    "cluster": "one manager to a broker",
    "email_alerts": "`thwart events` gives answers and ends to whatever sends mail",
    "integration": "`thwart events` gives answers and ends to other programs",
    "localfile": "agents follow what `[agent] logs` names in agent.toml",
    "logging": "`[log]` in manager.toml",
    "remote": "agents and manager meet at the broker",
    "rule_test": "`thwart explain` and `thwart rules test`",
    "ruleset": "name your rule files and decoders in `[manager] rules` of manager.toml; lists are not read",
    "syslog_output": "`thwart events` gives answers and ends to other programs",
}


class Skipped(Struct, frozen=True, kw_only=True):
    """A kind of section that isn't ours, and each line where one begins."""

    path: Path
    name: str
    lines: tuple[int, ...]
    instead: str  # what does the same in Thwart; empty: nothing does


def skipped(sections: Iterable[Element]) -> tuple[Skipped, ...]:
    """One for each kind, in the order in which the file has them first."""
    by_name: dict[str, list[Element]] = {}
    for section in sections:
        by_name.setdefault(section.name, []).append(section)
    return tuple(
        Skipped(
            path=some[0].path,
            name=name,
            lines=tuple(each.line for each in some),
            instead=_INSTEAD.get(name, ""),
        )
        for name, some in by_name.items()
    )
