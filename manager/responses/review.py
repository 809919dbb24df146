"""What the responses of a file come to with the rules that are loaded: those that can never fire, or not so far."""

from collections.abc import Iterator
from pathlib import Path

from manager.correlation.ruleset import Ruleset
from manager.responses.configuration import Configuration, Remark
from manager.responses.response import Response


def review(configuration: Configuration, ruleset: Ruleset) -> tuple[Remark, ...]:
    """Warnings about responses whose selectors don't fit the rules, in the file's order."""
    groups = {group for rule in ruleset.rules.values() for group in rule.groups}
    found = []
    for response in configuration.responses:
        messages = [*_about_rules(response, ruleset), *_about_groups(response, groups)]
        path, _, line = response.where.rpartition(":")
        found += [Remark(path=Path(path), line=int(line), message=message) for message in messages]
    return tuple(found)


def _about_rules(response: Response, ruleset: Ruleset) -> Iterator[str]:
    for rule_id in response.rules:
        rule = ruleset.rules.get(rule_id)
        if rule is None:
            yield f"rule {rule_id} is in none of the rule files; name your rule files, or correct <rules_id>"
        elif not rule.responds:
            why = "it has level 0" if rule.level == 0 else "it has the option no_ar"
            yield f"rule {rule_id} fires no response: {why} ({rule.element.where()})"
        elif rule.noalert:
            yield f"rule {rule_id} fires no response: it has `noalert` ({rule.element.where()})"


def _about_groups(response: Response, known: set[str]) -> Iterator[str]:
    unknown = [group for group in response.groups if group not in known]
    if unknown:
        yield f"no rule has the group {', '.join(unknown)}; groups are compared whole"
