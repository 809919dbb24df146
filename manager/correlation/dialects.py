"""The three pattern dialects of rule files, each compiled to one plain expression and to shortcuts that agree with it.

* OS_Match: case-insensitive substrings; `|` between alternatives, `^` and `$` at an alternative's ends, a leading `!`
  negates the whole. A backslash is a backslash.
* OS_Regex: case-insensitive; `\\w` (letters, digits, `-`, `@`, `_`), `\\d`, `\\s` (the space), `\\t`, `\\p`
  (punctuation), `\\W`, `\\D`, `\\S`, `\\P`, `\\.` (any character); `+` and `*` only after one of those, literal
  elsewhere; one level of parentheses, which capture; `|` between whole alternatives.
* PCRE2: case-sensitive. Python's `re` runs it: no C library to install, no slower on short lines, and it refuses by
  name almost everything of PCRE2 that it lacks; the one construct that it would silently misread (POSIX classes) is
  refused here.

An expression that could take long is searched within bounds: see `bounded`.
"""

import re
from collections.abc import Callable
from typing import Literal

from manager.correlation.bounded import Bounded
from shared.errors import InvalidPattern

Dialect = Literal["osmatch", "osregex", "pcre2"]
DIALECTS: tuple[Dialect, ...] = ("osmatch", "osregex", "pcre2")

Test = Callable[[str, str], bool]

_FLAGS = re.IGNORECASE | re.ASCII | re.DOTALL
_UPPER_TO_LOWER = {upper: upper + 32 for upper in range(ord("A"), ord("Z") + 1)}
_PUNCTUATION = re.escape("()*+,-.:;<=>?[]!\"'#$%&|{}")
_CLASSES = {
    "w": "[A-Za-z0-9@_-]",
    "W": "[^A-Za-z0-9@_-]",
    "d": "[0-9]",
    "D": "[^0-9]",
    "s": "[ ]",
    "S": "[^ ]",
    "t": r"\t",
    "p": f"[{_PUNCTUATION}]",
    "P": f"[^{_PUNCTUATION}]",
    ".": ".",
}
_ESCAPABLE = frozenset("\\()|$^<>*+!&-[]{}?\"'/:;,=#%@~`")
_POSIX_CLASS = re.compile(r"\[\[?:\^?[a-z]+:\]")
_ENDS_WITH_ANCHOR = re.compile(r"(?<!\\)(?:\\\\)*\$\Z")
_NAMED_GROUP = re.compile(r"\(\?<(?=[A-Za-z_])")


def lower(text: str) -> str:
    """`text` with ASCII letters in lower case and everything else as it was, so that offsets stay."""
    return text.lower() if text.isascii() else text.translate(_UPPER_TO_LOWER)


class Alternative:
    """One alternative of an OS_Match or OS_Regex pattern: its regular expression and what literals it needs.

    `folded` is the expression for text in lower case, case-sensitive; OS_Match is compared without one.
    """

    __slots__ = ("at_end", "at_start", "expression", "folded", "groups", "literal", "runs")

    def __init__(
        self,
        *,
        expression: str,
        folded: str = "",
        groups: int = 0,
        runs: tuple[str, ...],
        literal: bool,
        at_start: bool,
        at_end: bool,
    ) -> None:
        self.expression, self.folded, self.groups = expression, folded, groups
        self.runs, self.literal = runs, literal
        self.at_start, self.at_end = at_start, at_end

    @property
    def lead(self) -> str:
        """The lower-case literal that a matching text begins with; empty when there is none to go by."""
        return self.runs[0] if self.at_start else ""


class Pattern:
    """A compiled pattern. `matches` is quick, `plainly` is what it must agree with; both honour the negation."""

    __slots__ = (
        "_find",
        "_longest",
        "_taken_by",
        "bounded",
        "dialect",
        "leads",
        "matches",
        "negated",
        "regex",
        "source",
    )

    def __init__(self, source: str, dialect: Dialect, *, negated: bool = False) -> None:
        self.source, self.dialect = source, dialect
        if dialect == "osmatch" and source.startswith("!"):
            source, negated = source[1:], not negated
        self.negated = negated
        alternatives = _ALTERNATIVES[dialect](source)
        self.regex = _compile(source, alternatives)
        self.bounded = Bounded(self.regex)
        self._longest = self.bounded.longest
        # where all alternatives are anchored, a search would look at every place in a text that doesn't match
        anchored = bool(alternatives) and all(each.at_start for each in alternatives)
        self._find = self.regex.match if anchored else self.regex.search
        self._taken_by = _groups(alternatives) if dialect == "osregex" and len(alternatives) > 1 else ()
        leads = tuple(each.lead for each in alternatives)
        self.leads: tuple[str, ...] | None = leads if leads and all(leads) and not negated else None
        test = _quick(alternatives, self.bounded)
        self.matches: Test = _negation(test) if negated else test

    def plainly(self, text: str) -> bool:
        """The same answer by the regular expression alone."""
        found = self._find(text) if len(text) <= self._longest else self.bounded.timed(text)
        return (found is None) is self.negated

    def end(self, text: str) -> int | None:
        """Where the match ends, 0 for a negated pattern that isn't there; None when it doesn't match."""
        found = self._find(text) if len(text) <= self._longest else self.bounded.timed(text)
        if self.negated:
            return 0 if found is None else None
        return None if found is None else found.end()

    def captures(self, text: str) -> tuple[tuple[str | None, ...], int] | None:
        """What the parentheses took and where the match ends; OS_Regex counts within the alternative that matched."""
        found = self._find(text) if len(text) <= self._longest else self.bounded.timed(text)
        if found is None:
            return None
        groups = found.groups()
        if self._taken_by:
            groups = groups[self._taken_by[found.lastindex or 0]]
        return groups, found.end()


def _compile(source: str, alternatives: list[Alternative]) -> re.Pattern[str]:
    if alternatives:
        return re.compile("|".join(f"(?:{each.expression})" for each in alternatives), _FLAGS)
    if _POSIX_CLASS.search(source):
        raise InvalidPattern("a POSIX class like `[:alpha:]` isn't supported; write the range")
    try:
        return re.compile(_NAMED_GROUP.sub("(?P<", source), re.ASCII)
    except (re.error, OverflowError, RecursionError) as wrong:
        raise InvalidPattern(f"isn't supported as PCRE2: {wrong}") from wrong


def _split_match(source: str) -> list[Alternative]:
    return [_match_alternative(part) for part in source.split("|")]


def _match_alternative(part: str) -> Alternative:
    at_start, at_end = part.startswith("^"), part.endswith("$")
    literal = part[at_start : len(part) - at_end]
    return Alternative(
        expression=(r"\A" if at_start else "") + re.escape(literal) + (r"\Z" if at_end else ""),
        runs=(lower(literal),),
        literal=True,
        at_start=at_start,
        at_end=at_end,
    )


def _split_regex(source: str) -> list[Alternative]:
    parts, depth, start, position = [], 0, 0, 0
    while position < len(source):
        character = source[position]
        if character == "\\":
            position += 1
        elif character in "()":
            depth += 1 if character == "(" else -1
            if depth not in (0, 1):
                raise InvalidPattern('parentheses must be balanced and not nested in OS_Regex; use type="pcre2"')
        elif character == "|":
            if depth:
                raise InvalidPattern('`|` can\'t stand inside parentheses in OS_Regex; use type="pcre2"')
            parts.append(source[start:position])
            start = position + 1
        position += 1
    if depth:
        raise InvalidPattern("a parenthesis is never closed")
    return [_regex_alternative(part) for part in (*parts, source[start:])]


def _regex_alternative(part: str) -> Alternative:
    at_start = part.startswith("^")
    at_end = _ENDS_WITH_ANCHOR.search(part) is not None
    body = part[at_start : len(part) - at_end]
    expression, folded, runs, position = [], [], [""], 0
    while position < len(body):
        piece, literal, position = _token(body, position)
        expression.append(piece)
        folded.append(re.escape(lower(literal)) if literal else piece)
        if literal:
            runs[-1] += lower(literal)
        elif piece not in "()":
            runs.append("")
    begin, end = r"\A" if at_start else "", r"\Z" if at_end else ""
    return Alternative(
        expression=begin + "".join(expression) + end,
        folded=begin + "".join(folded) + end,
        groups=expression.count("("),
        runs=tuple(runs),
        literal=len(runs) == 1 and "(" not in expression,
        at_start=at_start,
        at_end=at_end,
    )


def _token(body: str, position: int) -> tuple[str, str, int]:
    """The regular expression for what stands at `position`, its literal if it is one, and where the next begins."""
    character = body[position]
    if character in "()":
        return character, "", position + 1
    if character != "\\":
        return re.escape(character), character, position + 1
    escaped = body[position + 1 : position + 2]
    if escaped in _CLASSES:
        repeat = body[position + 2 : position + 3]
        if repeat and repeat in "+*":
            return _CLASSES[escaped] + repeat, "", position + 3
        return _CLASSES[escaped], "", position + 2
    if escaped and escaped in _ESCAPABLE:
        return re.escape(escaped), escaped, position + 2
    raise InvalidPattern(f'`\\{escaped}` isn\'t part of OS_Regex; use type="pcre2"')


def _groups(alternatives: list[Alternative]) -> tuple[slice, ...]:
    """By the last group that took anything: which groups are those of the alternative that matched."""
    found, first = [slice(0, 0)], 0
    for each in alternatives:
        after = first + each.groups
        found += [slice(first, after)] * each.groups
        first = after
    return tuple(found)


_ALTERNATIVES: dict[Dialect, Callable[[str], list[Alternative]]] = {
    "osmatch": _split_match,
    "osregex": _split_regex,
    "pcre2": lambda source: [],
}


def _quick(alternatives: list[Alternative], bounded: Bounded) -> Test:
    """A test that asks for literals in the lower-case text first, and for the expression only when it must."""
    if alternatives and all(each.literal for each in alternatives):
        return _literal_test(alternatives)
    timed, longest = bounded.timed, bounded.longest
    if not alternatives:
        search = bounded.regex.search
        return lambda text, lowered: (search(text) if len(text) <= longest else timed(text)) is not None
    folded = re.compile(
        "|".join(f"(?:{each.folded or each.expression})" for each in alternatives), re.ASCII | re.DOTALL
    )
    search = folded.match if all(each.at_start for each in alternatives) else folded.search
    needed = tuple(max(each.runs, key=len) for each in alternatives)
    leads = tuple(each.lead for each in alternatives)
    # the search is written out four times, because a call more costs as much as most searches
    if all(leads):
        return lambda text, lowered: (
            lowered.startswith(leads) and (search(lowered) if len(text) <= longest else timed(text)) is not None
        )
    if not all(needed):
        return lambda text, lowered: (search(lowered) if len(text) <= longest else timed(text)) is not None
    holds = _any_of(needed)
    return lambda text, lowered: (
        holds(text, lowered) and (search(lowered) if len(text) <= longest else timed(text)) is not None
    )


def _literal_test(alternatives: list[Alternative]) -> Test:
    whole = frozenset(each.runs[0] for each in alternatives if each.at_start and each.at_end)
    first = tuple(each.runs[0] for each in alternatives if each.at_start and not each.at_end)
    last = tuple(each.runs[0] for each in alternatives if each.at_end and not each.at_start)
    inside = tuple(each.runs[0] for each in alternatives if not each.at_start and not each.at_end)
    if not whole and not last:
        if not first:
            return _any_of(inside)
        if not inside:
            return lambda text, lowered: lowered.startswith(first)
    holds = _any_of(inside)
    return lambda text, lowered: (
        lowered.startswith(first) or lowered in whole or lowered.endswith(last) or holds(text, lowered)
    )


def _any_of(literals: tuple[str, ...]) -> Test:
    if len(literals) == 1:
        only = literals[0]
        return lambda text, lowered: only in lowered

    def any_inside(text: str, lowered: str) -> bool:
        for literal in literals:  # noqa: SIM110 (a generator costs four times as much here, once a line and rule)
            if literal in lowered:
                return True
        return False

    return any_inside


def _negation(test: Test) -> Test:
    return lambda text, lowered: not test(text, lowered)
