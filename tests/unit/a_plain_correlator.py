"""Correlation in the plainest way: every rule is tried with its expression alone, every window is a list searched anew.

It knows what the shipped rules use, and expects lines in the order of their time.
"""

import re

from manager.correlation import LogLine, Rule, Ruleset
from manager.correlation.dialects import Pattern

_HEADER = re.compile(r"(?:[A-Z]\S+ +\S+ \S+|\d{4}-\S+) (\S+) ([^\s\[:]+)(?:\[\d+\])?: (.*)", re.DOTALL)


class PlainCorrelator:
    """`feed` says which rule fired, or None."""

    def __init__(self, ruleset: Ruleset) -> None:
        self._rules, self._children = ruleset.rules, ruleset.children
        self._decoders = ruleset.decoders
        self._seen: list[dict] = []
        self._fired: dict[tuple[str, str], float] = {}

    def feed(self, line: LogLine) -> str | None:
        """The id of the rule that fires."""
        header = _HEADER.fullmatch(line.text)
        program, message = (header[2], header[3]) if header else ("", line.text)
        event = {"at": line.at, "program": program, "message": message, "final": "", "used": -1, "fields": {}}
        event["decoder"], event["fields"] = self._decoded(event)
        path = self._descend(event, "")
        if not path:
            return None
        rule = self._rules[path[-1]]
        if rule.ignore and self._silent(rule, event):
            rule = self._rules[path[-2]]
        event["final"] = rule.id
        self._seen.append(event)
        return rule.id if rule.level and not rule.noalert else None

    def _decoded(self, event: dict) -> tuple[str, dict]:
        message = event["message"]
        for decoder in self._decoders:
            claimed = _from(decoder.prematch, message, 0)
            if claimed is None or (decoder.program and not decoder.program.plainly(event["program"])):
                continue
            for chain in decoder._chains:
                behind = _from(chain.prematch, message, claimed if chain.prematch_offset else 0)
                if behind is not None:
                    return decoder.name, chain.take(message, claimed, behind if chain.prematch else claimed)
            return decoder.name, {}
        return "", {}

    def _descend(self, event: dict, parent: str) -> list[str]:
        for rule_id in self._children.get(parent, ()):
            rule = self._rules[rule_id]
            if self._matches(rule, event):
                return [rule_id, *self._descend(event, rule_id)]
        return []

    def _matches(self, rule: Rule, event: dict) -> bool:
        if rule.decoded_as and rule.decoded_as != event["decoder"]:
            return False
        patterns = [each for each in (rule.match, rule.regex) if each]
        if not all(each.plainly(event["message"]) for each in patterns):
            return False
        if not all(each.pattern.plainly(event["fields"].get(each.field, "\0")) for each in rule.fields):
            return False
        return not rule.frequency or self._counted(rule, event)

    def _counted(self, rule: Rule, event: dict) -> bool:
        counted = [
            each
            for each in self._seen
            if self._counts(rule, each["final"])
            and each["used"] < rule.level
            and _key(rule, each) == _key(rule, event) is not None
            and event["at"] - each["at"] <= rule.timeframe
        ]
        if len(counted) < rule.frequency - 1:
            return False
        for each in counted[1 - rule.frequency :]:
            each["used"] = rule.level
        return True

    def _counts(self, rule: Rule, other: str) -> bool:
        return other in rule.counts_rules or rule.counts_group in self._rules[other].groups

    def _silent(self, rule: Rule, event: dict) -> bool:
        key = (rule.id, _key(rule, event) or "")
        if key in self._fired and event["at"] - self._fired[key] < rule.ignore:
            return True
        self._fired[key] = event["at"]
        return False


def _from(pattern: Pattern | None, message: str, start: int) -> int | None:
    """Where the pattern ends behind `start`, which is the end of none; None when it isn't there."""
    if pattern is None:
        return start
    found = pattern.regex.search(message[start:])
    return start + found.end() if found else None


def _key(rule: Rule, event: dict) -> str | None:
    values = [event["fields"].get(field, "") for field in rule.same]
    return "|".join(values) if all(values) else None
