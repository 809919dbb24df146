"""The language of /etc/hosts.deny and /etc/hosts.allow: lines of ours in it, and what a host's own lines let in.

The rule it keeps: only whole lines that we would write ourselves are ours. What is said about the language is from
hosts_access(5) and hosts_options(5). A line is marked as ours by a further name among its programs: a comment can only
be a whole line, and what follows a `#` elsewhere would be taken for hosts' names.
"""

import fnmatch
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from ipaddress import ip_network

from msgspec import Struct

from shared.targets import Network, is_host, parse_network, text_of

MARK = "thwart"
SSHD = "sshd"  # of all that look at these files the one whose logins are guessed
_OURS = re.compile(rf"{MARK} ALL: (?P<pattern>[^ ]+?)(?P<deny>: deny)?")
_FIELD = re.compile(r"(?:\\.|\[[^]]*\]|[^:\\[]|[\\[])*")  # colons in brackets, and behind a backslash, part nothing
_LINE = re.compile(
    r"(?:[^\n]*\\\n)*[^\n]*\n|(?:[^\n]*\\\n)*[^\n]+|(?:[^\n]*\\\n)+"
)  # a backslash at its end: it goes on
_NOT = "EXCEPT"
KNOWN = 65_536  # lines, which are the same before and after each change: of 10,000 one more takes 20 ms, and not 800


class Rule(Struct, frozen=True, kw_only=True):
    """A line of somebody else's."""

    number: int
    text: str
    programs: tuple[str, ...]
    clients: tuple[str, ...]
    lets_in: bool

    def concerns(self, network: Network) -> bool:
        """Whether sshd's clients, or everybody's, are judged by it when they are in `network`."""
        return _listed(self.programs, _is_sshd) and _listed(self.clients, lambda token: _covers(token, network))


class Line(Struct, frozen=True, kw_only=True):
    """One line, with those that it goes on in; `key` when it is ours."""

    text: str
    number: int
    key: str = ""

    @property
    def is_whole(self) -> bool:
        """Whether every libwrap reads it: without a newline some take it for one that is too long."""
        return self.text.endswith("\n")


@lru_cache(KNOWN)
def line_for(key: str, *, deny: bool) -> str:
    """What turns `key` away from every program. `deny` says so in words, as it must be in hosts.allow."""
    return f"{MARK} ALL: {_pattern(key)}{': deny' if deny else ''}"


def lines(text: str) -> Iterator[Line]:
    """All of a file's."""
    number = 1
    for found in _LINE.finditer(text):
        whole = found[0]
        yield Line(text=whole, number=number, key=_key_of(whole.removesuffix("\n")))
        number += whole.count("\n")


def rule_in(line: Line, *, lets_in: bool) -> Rule | None:
    """What a line says; None for one that says nothing. `lets_in`: what this file's lines do unless they say other."""
    text = line.text.replace("\\\n", "").strip()
    fields = [] if text.startswith("#") else [each.strip() for each in _fields(text)]
    if len(fields) < 2:
        return None
    said = [option.lower() for option in fields[2:]]
    return Rule(
        number=line.number,
        text=text[:80],
        programs=_tokens(fields[0]),
        clients=_tokens(fields[1]),
        lets_in="allow" in said or (lets_in and not any(each.startswith(("deny", "twist")) for each in said)),
    )


def who_lets_in(key: str, rules: Iterable[Rule]) -> Rule | None:
    """The rule by which clients in `key` are let in to sshd, or to everything; the first that concerns them counts."""
    network = parse_network(key)
    first = next((rule for rule in rules if rule.concerns(network)), None)
    return first if first is not None and first.lets_in else None


def _pattern(key: str) -> str:
    network = parse_network(key)
    if network.version == 4:  # FreeBSD's knows no length behind an IPv4 network
        return key if is_host(network) else f"{network.network_address}/{network.netmask}"
    return f"[{network.network_address}]" + ("" if is_host(network) else f"/{network.prefixlen}")


@lru_cache(KNOWN)
def _key_of(text: str) -> str:
    found = _OURS.fullmatch(text)
    network = _network(found["pattern"]) if found else None
    if found is None or network is None:
        return ""
    key = text_of(network)
    return key if line_for(key, deny=bool(found["deny"])) == text else ""


def _fields(text: str) -> list[str]:
    found: list[str] = []
    place = 0
    while place <= len(text):
        end = _FIELD.match(text, place)
        found.append(end[0] if end else "")
        place = (end.end() if end else place) + 1
    return found


def _tokens(field: str) -> tuple[str, ...]:
    return tuple(re.split(r"[\s,]+", field.strip(" \t,")))


def _listed(tokens: Sequence[str], matches: Callable[[str], bool]) -> bool:
    """Whether one of them matches, and none behind `EXCEPT` does, whose list may have an `EXCEPT` of its own."""
    upper = [token.upper() for token in tokens]
    some, others = (tokens[: upper.index(_NOT)], tokens[upper.index(_NOT) + 1 :]) if _NOT in upper else (tokens, ())
    return any(map(matches, some)) and not (bool(others) and _listed(others, matches))


def _is_sshd(token: str) -> bool:
    return token.upper() == "ALL" or token == SSHD


def _covers(token: str, network: Network) -> bool:
    """Whether a client's pattern is for all of `network`. A host's name isn't looked up: that may take its time."""
    if token.upper() == "ALL":
        return True
    if token.endswith("."):
        return all(str(each).startswith(token) for each in (network.network_address, network.broadcast_address))
    if "*" in token or "?" in token:
        return is_host(network) and fnmatch.fnmatchcase(str(network.network_address), token)
    known = _network(token)
    return known is not None and known.version == network.version and bool(_inside(network, known))


def _inside(network: Network, other: Network) -> bool:
    first, last = network.network_address, network.broadcast_address
    return int(other.network_address) <= int(first) and int(last) <= int(other.broadcast_address)


def _network(pattern: str) -> Network | None:
    """`1.2.3.4`, `1.2.3.0/255.255.255.0`, `1.2.3.0/24`, `[v6]` and `[v6]/64`."""
    try:
        return ip_network(pattern.replace("[", "").replace("]", ""), strict=False)
    except ValueError:
        return None
