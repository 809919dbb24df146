"""One rule's tests on one line, each on its own: the first that fails, in words."""

from collections.abc import Callable, Iterable, Mapping
from ipaddress import ip_address
from typing import Literal

from msgspec import Struct

from manager.correlation.dialects import Pattern
from manager.correlation.rules import AddressTest, FieldTest, Rule

_SHOWN = 80  # characters of what a line holds


class Subject(Struct, frozen=True, kw_only=True):
    """What rules look at."""

    text: str
    message: str
    program: str
    host: str
    decoder: str
    fields: Mapping[str, str]


class Failure(Struct, frozen=True, kw_only=True):
    """The test that a line doesn't pass, and why."""

    test: str
    why: str


Check = Callable[[Rule, Subject], Failure | None]


def failure(rule: Rule, subject: Subject) -> Failure | None:
    """The first test that fails; None when all pass, but for counting."""
    for check in _CHECKS:
        found = check(rule, subject)
        if found:
            return found
    return None


def tests(rule: Rule) -> tuple[str, ...]:
    """The tests of a rule, as its file has them."""
    found = [f"decoded_as {rule.decoded_as}"] if rule.decoded_as else []
    found += [f"longer than {rule.maxsize} characters"] if rule.maxsize else []
    named = {"match": rule.match, "regex": rule.regex, "program_name": rule.program, "hostname": rule.host}
    found += [_said(name, pattern) for name, pattern in named.items() if pattern]
    found += [_said(each.field, each.pattern) for each in rule.fields]
    return (*found, *(_networks(each) for each in rule.addresses))


def _match(rule: Rule, subject: Subject) -> Failure | None:
    return _pattern("match", rule.match, subject.message, "the message")


def _decoded_as(rule: Rule, subject: Subject) -> Failure | None:
    if not rule.decoded_as or rule.decoded_as == subject.decoder:
        return None
    return Failure(test=f"decoded_as {rule.decoded_as}", why=f"the decoder is {subject.decoder or 'none'}")


def _maxsize(rule: Rule, subject: Subject) -> Failure | None:
    if not rule.maxsize or len(subject.text) > rule.maxsize:
        return None
    return Failure(
        test=f"maxsize {rule.maxsize}", why=f"the line has {len(subject.text)} characters, and only longer ones match"
    )


def _program(rule: Rule, subject: Subject) -> Failure | None:
    return _pattern("program_name", rule.program, subject.program, "the program's name", shown=True)


def _host(rule: Rule, subject: Subject) -> Failure | None:
    return _pattern("hostname", rule.host, subject.host, "the host's name", shown=True)


def _regex(rule: Rule, subject: Subject) -> Failure | None:
    return _pattern("regex", rule.regex, subject.message, "the message")


def _fields(rule: Rule, subject: Subject) -> Failure | None:
    return _first(_field(each, subject) for each in rule.fields)


def _addresses(rule: Rule, subject: Subject) -> Failure | None:
    return _first(_address(each, subject) for each in rule.addresses)


# the order in which the correlator asks; a rule without a `match` it asks for its `regex` first
_CHECKS: tuple[Check, ...] = (_match, _decoded_as, _maxsize, _program, _host, _regex, _fields, _addresses)


def _first(found: Iterable[Failure | None]) -> Failure | None:
    return next((each for each in found if each), None)


def _field(test: FieldTest, subject: Subject) -> Failure | None:
    """A field that the line doesn't have matches nothing, negated or not."""
    text = subject.fields.get(test.field)
    if text is None:
        return Failure(test=_said(test.field, test.pattern), why=f"the line has no {test.field}")
    return _pattern(test.field, test.pattern, text, test.field, shown=True)


def _address(test: AddressTest, subject: Subject) -> Failure | None:
    text = subject.fields.get(test.field, "")
    try:
        address = ip_address(text)
    except ValueError:
        what = f"{text[:_SHOWN]!r} is no address" if text else f"the line has no {test.field}"
        return Failure(test=_networks(test), why=what)
    inside = any(address in network for network in test.networks)
    if inside is not test.negated:
        return None
    return Failure(test=_networks(test), why=f"{text} is {'one of them' if inside else 'none of them'}")


def _networks(test: AddressTest) -> str:
    return f"{test.field} {'not ' if test.negated else ''}{', '.join(map(str, test.networks))}"


def _pattern(name: str, pattern: Pattern | None, text: str, what: str, *, shown: bool = False) -> Failure | None:
    if pattern is None or pattern.plainly(text):
        return None
    is_it = f"{what} is {text[:_SHOWN]!r}" if shown else ""
    return Failure(test=_said(name, pattern), why=is_it or _why(pattern, what))


def _said(name: str, pattern: Pattern) -> str:
    source = pattern.source.removeprefix("!") if pattern.dialect == "osmatch" else pattern.source
    return f"{name} {'not ' if pattern.negated else ''}{source}"


def _why(pattern: Pattern, what: str) -> str:
    if pattern.negated:
        return f"{what} has it, and must not"
    match _shape(pattern):
        case "beginning":
            return f"{what} doesn't begin with it"
        case "end":
            return f"{what} doesn't end with it"
        case "whole":
            return f"{what} isn't exactly that"
        case "choice":
            return f"{what} has none of these"
        case "inside":
            return f"{what} doesn't hold it"
    return f"{what} doesn't match it"


def _shape(pattern: Pattern) -> Literal["beginning", "end", "whole", "choice", "inside", "expression"]:
    if pattern.dialect == "pcre2" or (pattern.dialect == "osregex" and "\\" in pattern.source):
        return "expression"
    if "|" in pattern.source:
        return "choice"
    at_start, at_end = pattern.source.startswith("^"), pattern.source.endswith("$")
    if at_start and at_end:
        return "whole"
    return "beginning" if at_start else "end" if at_end else "inside"
