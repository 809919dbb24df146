"""Decoders in the plainest way, from their definitions: which one takes a line, which child, and which fields by what.

It takes no shortcut and knows none of the correlator's: each expression is tried on its own, in the files' order.
"""

from collections.abc import Sequence

from msgspec import Struct, structs

from manager.correlation.decoders import Definition
from manager.correlation.dialects import Pattern
from manager.explaining.explanation import Decoding, Field


class Root(Struct, frozen=True, kw_only=True):
    """A root decoder. Each chain is a child and what continues it."""

    definition: Definition
    chains: tuple[tuple[Definition, ...], ...]


class Found(Struct, frozen=True, kw_only=True):
    """A root by its place among the roots, and what it makes of the line."""

    place: int
    decoding: Decoding


def roots(definitions: Sequence[Definition]) -> tuple[Root, ...]:
    """The roots in file order. A child of a name that several roots have is everybody's."""
    return tuple(
        Root(definition=each, chains=_chains([child for child in definitions if child.parent == each.name]))
        for each in definitions
        if not each.parent
    )


def _chains(children: Sequence[Definition]) -> tuple[tuple[Definition, ...], ...]:
    chains: list[list[Definition]] = []
    for child in children:
        if chains and chains[-1][0].name == child.name and child.prematch is None and child.regex:
            chains[-1].append(child)
        else:
            chains.append([child])
    return tuple(map(tuple, chains))


def decoded(known: Sequence[Root], program: str, message: str) -> Found | None:
    """What the first root that fits makes of a message; None without one."""
    for place, root in enumerate(known):
        because = _fits(root.definition, program, message)
        if because:
            return Found(place=place, decoding=_taken(root, because, message))
    return None


def _fits(definition: Definition, program: str, message: str) -> str:
    """Why the root takes the line; empty when it doesn't."""
    reasons = []
    if definition.program:
        if not definition.program.plainly(program):
            return ""
        reasons.append(f"program_name {definition.program.source}")
    if definition.prematch:
        if not definition.prematch.plainly(message):
            return ""
        reasons.append(f"prematch {definition.prematch.source}")
    return " and ".join(reasons)


def _taken(root: Root, because: str, message: str) -> Decoding:
    definition = root.definition
    whole = Decoding(name=definition.name, where=definition.element.where(), because=because, label=definition.name)
    after_parent = (_end(definition.prematch, message, 0) or 0) if definition.prematch else 0
    if not root.chains:
        return _filled(whole, (definition,), message, after_parent, after_parent)
    for chain in root.chains:
        first = chain[0]
        after = after_parent
        if first.prematch:
            found = _end(first.prematch, message, after_parent if first.prematch_offset else 0)
            if found is None:
                continue
            after = found
        reason = f"prematch {first.prematch.source}" if first.prematch else "it has no prematch"
        child = _with(whole, first, reason)
        return _filled(child, chain, message, after_parent, after)
    return whole


def _with(whole: Decoding, child: Definition, because: str) -> Decoding:
    return structs.replace(
        whole,
        child=child.name,
        child_where=child.element.where(),
        child_because=because,
        label=child.name if child.own_name else whole.name,
    )


def _filled(
    whole: Decoding, chain: Sequence[Definition], message: str, after_parent: int, after_prematch: int
) -> Decoding:
    """With what the regexes of a chain take out; each `after_regex` goes on behind the one before."""
    fields: dict[str, Field] = {}
    unmatched = []
    starts = {"": 0, "after_parent": after_parent, "after_prematch": after_prematch, "after_regex": after_prematch}
    for link in chain:
        if link.regex is None:
            continue
        start = starts[link.regex_offset]
        found = link.regex.captures(message[start:])
        if found is None:
            unmatched.append(link.regex.source)
            continue
        starts["after_regex"] = start + found[1]
        for name, text in zip(link.order, found[0], strict=False):
            if text is not None:
                fields[name] = _field(name, text, link, link.regex)
    return structs.replace(whole, fields=tuple(fields.values()), unmatched=tuple(unmatched))


def _field(name: str, text: str, link: Definition, regex: Pattern) -> Field:
    return Field(name=name, value=text, expression=regex.source, dialect=regex.dialect, where=link.element.where())


def _end(pattern: Pattern, message: str, start: int) -> int | None:
    end = pattern.end(message[start:])
    return None if end is None else start + end
