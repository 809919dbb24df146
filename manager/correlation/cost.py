"""What an expression can cost at most, by its syntax: `factor * n ** degree / degree!` steps for n characters.

It may overestimate and never the other way round: what it doesn't know counts as exploding. A repeat that can't give
back what it took, because what follows can't begin with it, is walked once; any other is tried at each of its lengths.
"""

import math
import re
from collections.abc import Sequence
from functools import reduce
from operator import or_
from re import _constants as names  # type: ignore[attr-defined]
from re import _parser as parser  # type: ignore[attr-defined]
from typing import Any

from msgspec import Struct

BUDGET = 10_000_000  # steps of Python's `re` that one search may take, at the worst about 100 ms
Token = tuple[Any, Any]
Members = int  # a set of characters: the bit of each one's code point

_FEW = 64  # lengths of a repeat up to which it is a factor and no degree
_OTHER = 128  # stands for every character beyond ASCII
_ALL: Members = (1 << _OTHER + 1) - 1
_EMPTY: Members = 0
_UPPER: Members = sum(1 << code for code in range(ord("A"), ord("Z") + 1))
_CASE = ord("a") - ord("A")  # bits between a letter's two

_REPEATS = (names.MAX_REPEAT, names.MIN_REPEAT, names.POSSESSIVE_REPEAT)
_SINGLE = (names.LITERAL, names.NOT_LITERAL, names.ANY, names.IN)
_CATEGORIES = {
    names.CATEGORY_DIGIT: r"\d",
    names.CATEGORY_NOT_DIGIT: r"\D",
    names.CATEGORY_SPACE: r"\s",
    names.CATEGORY_NOT_SPACE: r"\S",
    names.CATEGORY_WORD: r"\w",
    names.CATEGORY_NOT_WORD: r"\W",
}
_MEMBERS = {
    category: sum(1 << code for code in range(_OTHER + 1) if re.match(escape, chr(code), re.ASCII))
    for category, escape in _CATEGORIES.items()
}


class Cost(Struct, frozen=True, kw_only=True):
    """`degree` None: exponential, or not known to be less. `walks`: whether an attempt's length grows with the text."""

    factor: int = 1
    degree: int | None = 0
    walks: bool = False

    @property
    def longest(self) -> int | None:
        """The longest text that surely stays within BUDGET; None when every one does, being walked once."""
        if self.degree is None or self.factor > BUDGET:
            return 0
        if self.degree < 2:
            return None
        return int((BUDGET * math.factorial(self.degree) / self.factor) ** (1 / self.degree))

    @property
    def ambiguous(self) -> bool:
        """Whether there is more than one way to take the same text."""
        return self.degree != 0 or self.factor > 1

    def then(self, other: "Cost") -> "Cost":
        """One after the other: each way through the first meets each way through the second."""
        degree = None if self.degree is None or other.degree is None else self.degree + other.degree
        return Cost(factor=min(self.factor * other.factor, BUDGET + 1), degree=degree, walks=self.walks or other.walks)


_EACH = Cost(degree=1)
_EXPLODES = Cost(degree=None)


def cost(expression: str, flags: int) -> Cost:
    """Of searching for an expression that `re` compiles."""
    parsed = parser.parse(expression, flags)
    tokens = [*parsed]
    whole = _sequence(tokens, _EMPTY, bool(parsed.state.flags & re.IGNORECASE))  # a match's end is the search's
    if not _anchored(tokens):
        whole = whole.then(_EACH)  # from each place in the text
    return whole.then(_EACH) if whole.walks else whole


def _sequence(tokens: Sequence[Token], follow: Members, blind: bool) -> Cost:
    """Of tokens one after the other, behind which one of `follow` comes."""
    total = Cost()
    for token in reversed(tokens):
        total = _token(token, follow, blind).then(total)
        follow = _first(token, follow, blind)
    return total


def _token(token: Token, follow: Members, blind: bool) -> Cost:
    kind, value = token
    if kind in _REPEATS:
        return _repeat(kind, value, follow, blind)
    if kind is names.SUBPATTERN:
        return _EXPLODES if value[1] else _sequence([*value[3]], follow, blind)  # with flags of its own: rare
    if kind is names.ATOMIC_GROUP:
        return _sequence([*value], _ALL, blind)
    if kind is names.BRANCH:
        return _branch([[*each] for each in value[1]], follow, blind)
    if kind in (names.ASSERT, names.ASSERT_NOT):
        return _sequence([*value[1]], _ALL, blind)
    return Cost() if kind in _SINGLE or kind is names.AT else _EXPLODES


def _branch(ways: Sequence[Sequence[Token]], follow: Members, blind: bool) -> Cost:
    """Ways whose beginnings differ cost no more than the dearest of them: only one is gone."""
    costs = [_sequence(each, follow, blind) for each in ways]
    firsts = [_first_of(each, follow, blind) for each in ways]
    apart = sum(each.bit_count() for each in firsts) == _joined(firsts).bit_count()
    degrees = [each.degree for each in costs]
    return Cost(
        factor=max(each.factor for each in costs) if apart else sum(each.factor for each in costs),
        degree=None if None in degrees else max(degree for degree in degrees if degree is not None),
        walks=any(each.walks for each in costs),
    )


def _repeat(kind: Any, value: tuple[Any, Any, Any], follow: Members, blind: bool) -> Cost:
    low, high, body = value[0], value[1], [*value[2]]
    begin = _first_of(body, _EMPTY, blind)
    settled = kind is names.POSSESSIVE_REPEAT or not begin & follow
    inner = _sequence(body, begin | follow, blind)
    if high is not names.MAXREPEAT and high - low < _FEW:
        return _times(inner, high).then(Cost(factor=1 if settled else high - low + 1))
    again = _sequence(body, begin, blind)
    if again.ambiguous or value[2].getwidth()[0] == 0:
        return _EXPLODES  # several ways through what is repeated, each time again
    return Cost(degree=0 if settled and not inner.ambiguous else 1, walks=True)


def _times(inner: Cost, times: int) -> Cost:
    total = Cost(walks=inner.walks)
    if not inner.ambiguous:
        return total
    for _ in range(times):
        total = total.then(inner)
        if total.degree is None or total.factor > BUDGET:
            break
    return total


def _anchored(tokens: Sequence[Token]) -> bool:
    """Whether an attempt anywhere but at the text's beginning fails at once."""
    if not tokens:
        return False
    kind, value = tokens[0]
    if kind is names.AT:
        return value in (names.AT_BEGINNING, names.AT_BEGINNING_STRING)
    if kind is names.SUBPATTERN:
        return _anchored([*value[3]])
    return kind is names.BRANCH and all(_anchored([*each]) for each in value[1])


def _first_of(tokens: Sequence[Token], follow: Members, blind: bool) -> Members:
    """The characters that tokens can begin with, those of `follow` when they can be empty."""
    for token in reversed(tokens):
        follow = _first(token, follow, blind)
    return follow


def _first(token: Token, follow: Members, blind: bool) -> Members:
    kind, value = token
    if kind in _SINGLE:
        return _members(token, blind)
    if kind is names.AT:
        return _EMPTY if value is names.AT_END_STRING else follow
    if kind is names.SUBPATTERN:
        return _first_of([*value[3]], follow, blind)
    if kind is names.BRANCH:
        return _joined([_first_of([*each], follow, blind) for each in value[1]])
    if kind in _REPEATS:
        begin = _first_of([*value[2]], follow, blind)
        return begin if value[0] else begin | follow
    return follow if kind in (names.ASSERT, names.ASSERT_NOT) else _ALL


def _members(token: Token, blind: bool) -> Members:
    """The characters that a token of one character takes."""
    kind, value = token
    if kind is names.ANY:
        return _ALL
    if kind is names.LITERAL:
        return _folded(1 << min(value, _OTHER), blind)
    if kind is names.NOT_LITERAL:
        return _ALL if value >= _OTHER else _ALL & ~_folded(1 << value, blind)
    return _of_class(value, blind)


def _of_class(items: Sequence[Token], blind: bool) -> Members:
    found = _EMPTY
    negated = items[0][0] is names.NEGATE
    for kind, value in items[negated:]:
        if kind is names.LITERAL:
            found |= 1 << min(value, _OTHER)
        elif kind is names.RANGE:
            found |= (1 << min(value[1], _OTHER) + 1) - (1 << min(value[0], _OTHER))
        else:
            found |= _MEMBERS.get(value, _ALL)
    if negated:
        return _ALL & ~_folded(found, blind) | 1 << _OTHER
    return _folded(found, blind)


def _folded(found: Members, blind: bool) -> Members:
    return found | (found & _UPPER) << _CASE | found >> _CASE & _UPPER if blind else found


def _joined(some: Sequence[Members]) -> Members:
    return reduce(or_, some, _EMPTY)
