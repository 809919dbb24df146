"""Decoders: which program a line is of, and the fields that its message holds.

A root decoder claims a line by program name or `prematch`. Its children are tried in order; the first whose `prematch`
matches, or that has none, takes the fields out with its `regex`. Children of the same name that follow without a
`prematch` of their own continue it.
"""

from collections.abc import Sequence

from msgspec import Struct

from manager.correlation.dialects import Pattern
from manager.correlation.events import Event
from manager.correlation.lookup import Lookup
from manager.correlation.reading import check_attributes, fail, one, pattern, value, words
from manager.xml import Element

_OFFSETS = frozenset({"", "after_parent", "after_prematch", "after_regex"})
_SYNONYMS = {"user": "dstuser"}
_OPTIONS = frozenset({"parent", "program_name", "prematch", "regex", "order", "use_own_name"})


class Definition(Struct, frozen=True, kw_only=True):
    """One `<decoder>` as its file has it."""

    element: Element
    name: str
    parent: str = ""
    own_name: bool = False
    program: Pattern | None = None
    prematch: Pattern | None = None
    prematch_offset: str = ""
    regex: Pattern | None = None
    regex_offset: str = ""
    order: tuple[str, ...] = ()


def define(element: Element) -> Definition:
    """The definition in a `<decoder>` element. Raises RuleFileError for anything that isn't supported."""
    check_attributes(element, ("name",))
    name = element.attributes.get("name", "").strip()
    if not name:
        fail(element, "<decoder> has no `name`")
    for child in element.children:
        if child.name not in _OPTIONS:
            fail(child, f"<{child.name}> in a decoder isn't supported")
    definition = Definition(
        element=element,
        name=name,
        parent=value(element.children, "parent"),
        own_name=value(element.children, "use_own_name", "false").lower() in ("true", "yes"),
        program=pattern(element.named("program_name"), "osmatch"),
        prematch=pattern(element.named("prematch"), "osregex", ("offset",)),
        prematch_offset=_offset(element, "prematch"),
        regex=pattern(element.named("regex"), "osregex", ("offset",)),
        regex_offset=_offset(element, "regex"),
        order=tuple(_SYNONYMS.get(field, field) for field in words(value(element.children, "order"))),
    )
    _check(definition)
    return definition


def _offset(element: Element, name: str) -> str:
    found = element.named(name)
    offset = found[0].attributes.get("offset", "") if found else ""
    if offset not in _OFFSETS or (name == "prematch" and offset not in ("", "after_parent")):
        fail(found[0], f"offset `{offset}` of <{name}> isn't supported")
    return offset


def _check(definition: Definition) -> None:
    element, regex = definition.element, definition.regex
    if (regex is None) is not (not definition.order):
        fail(element, f"decoder `{definition.name}` needs both <regex> and <order>, or neither")
    if regex and regex.regex.groups == 0:
        fail(element, f"the <regex> of decoder `{definition.name}` has no parentheses to take <order> from")
    if definition.parent and definition.program:
        fail(one(element.children, "program_name") or element, "<program_name> belongs to the parent decoder")
    if not definition.parent and not definition.program and not definition.prematch:
        fail(element, f"decoder `{definition.name}` needs <parent>, <program_name> or <prematch>")


class Chain:
    """A child decoder with those that continue it."""

    __slots__ = ("_links", "name", "own_name", "prematch", "prematch_offset")

    def __init__(self, first: Definition) -> None:
        self.name, self.own_name = first.name, first.own_name
        self.prematch, self.prematch_offset = first.prematch, first.prematch_offset
        self._links: list[tuple[Pattern, str, tuple[str, ...]]] = []
        self.continue_with(first)

    def continue_with(self, definition: Definition) -> None:
        """Add a child of the same name without a `prematch`."""
        if definition.regex:
            self._links.append((definition.regex, definition.regex_offset, definition.order))

    @property
    def leads(self) -> tuple[str, ...] | None:
        """The beginnings that the whole message must have for this chain; None when any will do."""
        return self.prematch.leads if self.prematch and not self.prematch_offset else None

    def opens(self, event: Event, after_parent: int) -> int | None:
        """Where the prematch ends in the message; None when it doesn't match."""
        if self.prematch is None:
            return after_parent
        if self.prematch_offset:
            return _end(self.prematch, event, after_parent)
        return self.prematch.end(event.message)

    def take(self, message: str, after_parent: int, after_prematch: int) -> dict[str, str]:
        """What the regexes capture, link by link; each `after_regex` goes on behind the one before."""
        fields: dict[str, str] = {}
        after_regex = after_prematch
        for regex, offset, order in self._links:
            if offset == "after_prematch":  # nearly all
                start = after_prematch
            else:
                start = after_regex if offset == "after_regex" else after_parent if offset else 0
            found = regex.captures(message[start:] if start else message)
            if found is not None:
                groups, end = found
                after_regex = start + end
                fields.update(zip(order, groups) if None not in groups else _taken(order, groups))  # type: ignore[arg-type]  # noqa: B905
        return fields


def _taken(order: tuple[str, ...], groups: Sequence[str | None]) -> list[tuple[str, str]]:
    return [(name, text) for name, text in zip(order, groups, strict=False) if text is not None]


class Decoder:
    """A root decoder with its children."""

    __slots__ = ("_chains", "_lookup", "_own", "name", "prematch", "program")

    def __init__(self, root: Definition) -> None:
        self.name, self.program, self.prematch = root.name, root.program, root.prematch
        self._own = Chain(root)
        self._chains: list[Chain] = []
        self._lookup: Lookup[Chain] = Lookup(())

    def adopt(self, child: Definition) -> None:
        """Add a child, or what continues the one before."""
        last = self._chains[-1] if self._chains else None
        if last and last.name == child.name and child.prematch is None and child.regex:
            last.continue_with(child)
        else:
            self._chains.append(Chain(child))
        self._lookup = Lookup([(chain, chain.leads) for chain in self._chains])

    def extract(self, event: Event) -> tuple[dict[str, str], str]:
        """The fields that the children, or without children the decoder itself, take out of the message; the label."""
        chain, after_parent, after_prematch = self._chosen(event)
        if chain is None:
            return {}, self.name
        label = chain.name if chain.own_name else self.name
        return chain.take(event.message, after_parent, after_prematch), label

    def _chosen(self, event: Event) -> tuple[Chain | None, int, int]:
        after_parent = 0
        if self.prematch:
            after_parent = _end(self.prematch, event, 0) or 0
        if not self._chains:
            return self._own, after_parent, after_parent
        for chain in self._lookup.remembered.get(event.lead) or self._lookup.candidates(event.lead):
            after_prematch = chain.opens(event, after_parent)
            if after_prematch is not None:
                return chain, after_parent, after_prematch
        return None, after_parent, after_parent


def _end(pattern: Pattern, event: Event, start: int) -> int | None:
    """Where in the message `pattern` ends when looked for from `start`; None when it isn't there."""
    end = pattern.end(event.message[start:] if start else event.message)
    return None if end is None else start + end


def link(definitions: Sequence[Definition]) -> tuple[Decoder, ...]:
    """Root decoders in file order, each with its children. Raises RuleFileError for a parent that doesn't exist."""
    decoders: dict[str, list[Decoder]] = {}
    for definition in definitions:
        if not definition.parent:
            decoders.setdefault(definition.name, []).append(Decoder(definition))
    for definition in definitions:
        if definition.parent:
            if definition.parent not in decoders:
                fail(definition.element, f"parent decoder `{definition.parent}` doesn't exist, or has a parent itself")
            for parent in decoders[definition.parent]:
                parent.adopt(definition)
    roots = [definition.name for definition in definitions if not definition.parent]
    taken = {name: iter(each) for name, each in decoders.items()}
    return tuple(next(taken[name]) for name in roots)
