"""Rule and decoder files, read and linked into one ruleset. The only module here that touches files."""

import importlib.resources
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import msgspec
from msgspec import Struct

from manager.correlation import decoders, rules
from manager.correlation.decoders import Decoder, Definition
from manager.correlation.dialects import Pattern
from manager.correlation.reading import check_attributes, expand, fail
from manager.correlation.rules import Rule
from manager.xml import Element, read_elements
from shared.errors import RuleFileError


class Ruleset(Struct, frozen=True, kw_only=True):
    """Everything that correlation goes by. `rules` are in file order, by id, overrides in their original's place."""

    rules: dict[str, Rule]
    children: dict[
        str, tuple[str, ...]
    ]  # ids by the parent's id, "" for the roots; in the order in which they are tried
    decoders: tuple[Decoder, ...]
    definitions: tuple[Definition, ...] = ()  # what the decoders were linked from, in file order


def shipped() -> Path:
    """The folder of the rules and decoders that come with Thwart."""
    return Path(str(importlib.resources.files("manager").joinpath("ruleset")))


def load(paths: Sequence[Path]) -> Ruleset:
    """The ruleset in these files and folders (their `*.xml`, by path), read in the order given.

    A file that is named twice, or is in a folder as well, is read once, where it comes first. A rule that is there
    already is replaced with `overwrite="yes"` only. Raises RuleFileError with file and line.
    """
    known: dict[str, Rule] = {}
    definitions = []
    for path in _files(paths):
        for element in _expanded(path):
            if element.name == "decoder":
                definitions.append(decoders.define(element))
            else:
                for rule in _rules_in(element):
                    known[rule.id] = _replacing(known.get(rule.id), rule)
    return Ruleset(
        rules=known, children=_linked(known), decoders=decoders.link(definitions), definitions=tuple(definitions)
    )


class Place(Struct, frozen=True, kw_only=True):
    """The rule or decoder that a pattern belongs to."""

    what: str
    element: Element

    def __str__(self) -> str:
        return f"{self.what} ({self.element.where()})"


def patterns(ruleset: Ruleset) -> Iterator[tuple[Place, Pattern]]:
    """Every pattern, with what it belongs to."""
    for rule in ruleset.rules.values():
        fields = (each.pattern for each in rule.fields)
        for pattern in (rule.match, rule.regex, rule.program, rule.host, *fields):
            if pattern:
                yield Place(what=f"rule {rule.id}", element=rule.element), pattern
    for each in ruleset.definitions:
        for pattern in (each.program, each.prematch, each.regex):
            if pattern:
                yield Place(what=f"decoder {each.name}", element=each.element), pattern


def _files(paths: Iterable[Path]) -> list[Path]:
    found = []
    for path in paths:
        if path.is_dir():
            inside = sorted(path.rglob("*.xml"))
            if not inside:
                raise RuleFileError("the folder holds no *.xml file", path=path)
            found.extend(inside)
        else:
            found.append(path)
    first: dict[str, Path] = {}
    for path in found:
        first.setdefault(os.path.realpath(path), path)
    return list(first.values())


def _expanded(path: Path) -> list[Element]:
    variables: dict[str, str] = {}
    elements = []
    for element in read_elements(path, RuleFileError):
        if element.name == "var":
            check_attributes(element, ("name",))
            if not element.attributes.get("name"):
                fail(element, "<var> has no `name`")
            variables[element.attributes["name"]] = element.text
        elif element.name in ("group", "rule", "decoder"):
            elements.append(expand(element, variables))
        else:
            fail(element, f"<{element.name}> isn't supported here; expected <group>, <rule>, <decoder> or <var>")
    return elements


def _rules_in(element: Element) -> list[Rule]:
    if element.name == "rule":
        return [rules.define(element, ())]
    check_attributes(element, ("name",))
    groups = tuple(name.strip() for name in element.attributes.get("name", "").split(",") if name.strip())
    for child in element.children:
        if child.name != "rule":
            fail(child, f"<{child.name}> in a group isn't supported; expected <rule>")
    return [rules.define(child, groups) for child in element.children]


def _replacing(earlier: Rule | None, rule: Rule) -> Rule:
    """The rule to keep under its id. A replacement that names no place keeps that of the rule it replaces."""
    if earlier is None:
        if rule.frequency and not rule.counts_rules and not rule.counts_group:
            fail(rule.element, f"rule {rule.id} overwrites nothing and names nothing to count (<if_matched_sid>)")
        return rule
    if not rule.overwrite:
        fail(
            rule.element, f'rule {rule.id} is already in {earlier.element.where()}; write overwrite="yes" to replace it'
        )
    if rule.placed:
        return rule
    counts = bool(rule.frequency)
    return msgspec.structs.replace(
        rule,
        if_sid=earlier.if_sid or (() if counts else earlier.counts_rules),
        if_group=earlier.if_group or (() if counts or not earlier.counts_group else (earlier.counts_group,)),
        if_level=earlier.if_level,
        decoded_as=earlier.decoded_as,
        counts_rules=earlier.counts_rules if counts else (),
        counts_group=earlier.counts_group if counts else "",
    )


def _linked(known: dict[str, Rule]) -> dict[str, tuple[str, ...]]:
    """The ids of each rule's children, under "" the roots, in the order in which they are tried."""
    children: dict[str, list[Rule]] = {"": []}
    earlier: list[Rule] = []
    for rule in known.values():
        for parent in _parents(rule, known, earlier):
            children.setdefault(parent, []).append(rule)
        earlier.append(rule)
    _check_loops(known, children)
    return {parent: tuple(rule.id for rule in sorted(rules, key=_turn)) for parent, rules in children.items()}


def _turn(rule: Rule) -> tuple[bool, int]:
    """Level 0 before all, then the highest level first; equals in file order."""
    return rule.level != 0, -rule.level


def _parents(rule: Rule, known: dict[str, Rule], earlier: list[Rule]) -> list[str]:
    """A rule that counts others stands under what it counts, unless it names another place.

    `if_group` and `if_level` reach only rules that come earlier in the files, as in Wazuh.
    """
    by_id = rule.if_sid or (() if rule.if_group or rule.if_level else rule.counts_rules)
    by_group = rule.if_group or ((rule.counts_group,) if rule.counts_group and not rule.if_sid else ())
    parents = []
    for parent in by_id:
        if parent not in known:
            fail(rule.element, f"rule {rule.id} refers to rule {parent}, which doesn't exist")
        parents.append(parent)
    for other in earlier:
        by_level = rule.if_level is not None and other.level >= rule.if_level
        if by_level or not set(by_group).isdisjoint(other.groups):
            parents.append(other.id)
    for counted in rule.counts_rules:
        if counted not in known:
            fail(rule.element, f"rule {rule.id} counts rule {counted}, which doesn't exist")
    if not by_id and not by_group and rule.if_level is None:
        return [""]
    return list(dict.fromkeys(parents))


def _check_loops(known: dict[str, Rule], children: dict[str, list[Rule]]) -> None:
    """Raise for a rule that stands under itself: it would never be tried, or for ever."""
    parents = dict.fromkeys(known, 0)
    for rule in (rule for below in children.values() for rule in below):
        parents[rule.id] += 1
    ready = [rule_id for rule_id, count in parents.items() if count == 0] + [""]
    while ready:
        for child in children.get(ready.pop(), ()):
            parents[child.id] -= 1
            if parents[child.id] == 0:
                ready.append(child.id)
    for rule_id, count in parents.items():
        if count:
            fail(known[rule_id].element, f"rule {rule_id} is placed under itself by <if_sid> or what it counts")
