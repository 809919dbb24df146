"""What the responses of a file come to with the rules that are loaded: what can never fire, and what would surprise."""

from collections.abc import Iterator
from pathlib import Path

from manager.correlation.rules import Rule
from manager.correlation.ruleset import Ruleset
from manager.responses.commands import Command
from manager.responses.configuration import Configuration, Remark
from manager.responses.response import Response
from manager.responses.selection import OWN_DECODERS, OWN_PROGRAMS

# Wazuh's own rules about what its active responses log, and about its manager and agents starting: facts of its ruleset
_OF_RESPONSES = frozenset(map(str, (*range(600, 608), *range(650, 658))))
_OF_STARTS = frozenset(map(str, (*range(501, 507), 590, 591)))
_GROUP = "active_response"
_LOGINS = "authentication_success"
_MANAGERS = (
    "<location> {} means the managers' hosts too: the agents with the role `server`; `thwart agents` shows who has it"
)


def review(configuration: Configuration, ruleset: Ruleset) -> tuple[Remark, ...]:
    """Warnings about responses whose selectors don't fit the rules, in the file's order."""
    groups = {group for rule in ruleset.rules.values() for group in rule.groups}
    found = []
    for response in configuration.responses:
        messages = [
            *_about_rules(response, ruleset),
            *_about_groups(response, groups),
            *_about_own_events(response, ruleset),
            *_about_logins(response, ruleset),
        ]
        found += [_remark(response.where, message) for message in messages]
    return tuple(found)


def notes(configuration: Configuration) -> tuple[Remark, ...]:
    """What is well to know and no reason to change anything, in the file's order."""
    found = []
    used = {each.command.name for each in (*configuration.responses, *configuration.disabled)}
    if unused := [each for each in configuration.commands if each.name not in used]:
        found.append(_remark(unused[0].where, f"no response uses the command {_listed(unused)}"))
    reaching = {each.spelt_location: each for each in reversed(configuration.responses)}
    wide = [word for word in ("all", "server") if word in reaching]
    found += [_remark(reaching[word].where, _MANAGERS.format(word)) for word in wide]
    return tuple(sorted(found, key=lambda remark: remark.line))


def _listed(commands: list[Command]) -> str:
    return ", ".join(f"{each.name} (line {each.where.rpartition(':')[2]})" for each in commands)


def _remark(where: str, message: str) -> Remark:
    path, _, line = where.rpartition(":")
    return Remark(path=Path(path), line=int(line), message=message)


def _about_rules(response: Response, ruleset: Ruleset) -> Iterator[str]:
    for rule_id in response.rules:
        rule = ruleset.rules.get(rule_id)
        if rule is None and rule_id not in _OF_RESPONSES:  # of those more is said
            yield f"rule {rule_id} is in none of the rule files; name your rule files, or correct <rules_id>"
        elif rule is not None and not rule.responds:
            why = "it has level 0" if rule.level == 0 else "it has the option no_ar"
            yield f"rule {rule_id} fires no response: {why} ({rule.element.where()})"
        elif rule is not None and rule.noalert:
            yield f"rule {rule_id} fires no response: it has `noalert` ({rule.element.where()})"


def _about_groups(response: Response, known: set[str]) -> Iterator[str]:
    unknown = [group for group in response.groups if group not in known and group != _GROUP]
    if unknown:
        yield f"no rule has the group {', '.join(unknown)}; groups are compared whole"


def _about_own_events(response: Response, ruleset: Ruleset) -> Iterator[str]:
    """A response that answers to what responses do would answer itself for ever; what a restart logs does."""
    named = [rule_id for rule_id in response.rules if rule_id in _OF_RESPONSES or _is_own(ruleset.rules.get(rule_id))]
    if named:
        yield f"rule {', '.join(named)} is about what responses themselves do; it is never responded to"
    if _GROUP in response.groups:
        yield f"the group {_GROUP} is about what responses themselves do; it is never responded to"
    starts = [rule_id for rule_id in response.rules if rule_id in _OF_STARTS]
    if starts and response.command.action.startswith("restart-wazuh"):
        yield f"rule {', '.join(starts)} tells of a restart: this one answers itself, until the breaker trips"


def _is_own(rule: Rule | None) -> bool:
    """Whether it stands for lines that Thwart, or a script of a response, has logged."""
    return rule is not None and (rule.decoded_as in OWN_DECODERS | OWN_PROGRAMS or _GROUP in rule.groups)


def _about_logins(response: Response, ruleset: Ruleset) -> Iterator[str]:
    """By its level or group: who names such a rule means it."""
    if response.command.kind not in ("address", "account"):
        return
    logins = [rule for rule in ruleset.rules.values() if _LOGINS in rule.groups and rule.id not in response.rules]
    some = [rule.id for rule in logins if response.fires_on(rule)]
    if some:
        yield f"it fires on successful logins too (rule {', '.join(some[:5])}); raise <level>, or name rules"
