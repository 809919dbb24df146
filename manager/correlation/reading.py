"""From elements to patterns and numbers; what isn't understood is a RuleFileError with file and line, never skipped."""

from collections.abc import Collection, Mapping, Sequence
from difflib import get_close_matches
from typing import NoReturn

import msgspec

from manager.correlation.dialects import DIALECTS, Dialect, Pattern
from manager.xml import Element
from shared.errors import InvalidPattern, RuleFileError


def fail(element: Element, message: str) -> NoReturn:
    """Raise the RuleFileError that names the element's file and line."""
    raise RuleFileError(message, path=element.path, line=element.line)


def expand(element: Element, variables: Mapping[str, str]) -> Element:
    """The element with each `$NAME` of a `<var>` replaced, in it and below; `$(field)` is left for descriptions."""
    if not variables:
        return element
    text = element.text
    for name in sorted(variables, key=len, reverse=True):
        text = text.replace(f"${name}", variables[name])
    children = tuple(expand(child, variables) for child in element.children)
    return msgspec.structs.replace(element, text=text, children=children)


def check_attributes(element: Element, known: Collection[str]) -> None:
    """Raise for an attribute that isn't known."""
    if unknown := sorted(set(element.attributes) - set(known)):
        hint = meant(unknown[0], known)
        fail(element, f"attribute `{unknown[0]}` of <{element.name}> isn't supported{hint}")


def meant(word: str, known: Collection[str]) -> str:
    """How an error goes on when one of `known` is spelt almost like `word`; else nothing."""
    return "".join(f"; was `{each}` meant?" for each in get_close_matches(word, known, n=1, cutoff=0.75))


def one(elements: Sequence[Element], name: str) -> Element | None:
    """The single element of that name, or None. Raises when there are several."""
    found = [each for each in elements if each.name == name]
    if len(found) > 1:
        fail(found[1], f"a second <{name}>; the first is in line {found[0].line}")
    return found[0] if found else None


def value(elements: Sequence[Element], name: str, default: str = "") -> str:
    """The trimmed text of the single element of that name."""
    found = one(elements, name)
    return found.value if found else default


def pattern(elements: Sequence[Element], default: Dialect, known: Collection[str] = ()) -> Pattern | None:
    """One pattern from elements of one name, whose texts are joined as they stand; None without any."""
    if not elements:
        return None
    first = elements[0]
    for each in elements:
        check_attributes(each, ("type", "negate", *known))
    dialect = first.attributes.get("type", default).lower()
    if dialect not in DIALECTS:
        fail(first, f"type `{dialect}` isn't known; use osmatch, osregex or pcre2")
    source = "".join(each.text for each in elements)
    if not source:
        fail(first, f"<{first.name}> is empty and would match everything; remove it or fill it in")
    try:
        return Pattern(source, dialect, negated=yes(first, "negate"))
    except InvalidPattern as wrong:
        fail(first, f"<{first.name}> `{source}`: {wrong}")


def yes(element: Element, attribute: str) -> bool:
    """Whether a yes/no attribute is yes; absent is no."""
    given = element.attributes.get(attribute, "no").strip().lower()
    if given not in ("yes", "no", "1", "0"):
        fail(element, f"`{attribute}` is yes or no, not `{given}`")
    return given in ("yes", "1")


def whole(element: Element, attribute: str, *, low: int, high: int, default: int | None = None) -> int:
    """A whole number from an attribute, within `low` and `high`. Without a default it has to be there."""
    given = element.attributes.get(attribute)
    if given is None:
        if default is None:
            fail(element, f"<{element.name}> has no `{attribute}`")
        return default
    if not given.strip().isascii() or not given.strip().isdigit() or not low <= int(given) <= high:
        fail(element, f"`{attribute}` is a whole number from {low} to {high}, not `{given}`")
    return int(given)


def words(text: str) -> tuple[str, ...]:
    """A list whose items are parted by commas or white space."""
    return tuple(text.replace(",", " ").split())
