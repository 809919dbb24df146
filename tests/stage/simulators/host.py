"""The host that simulated tools pretend to run on: what its kernel keeps is in one file, which outlives each of them.

It imports next to nothing, because a contract suite starts tools thousands of times: with `typing` each takes twice as
long.
"""

import marshal
import os
import sys
from _socket import AF_INET, AF_INET6, inet_ntop, inet_pton

KEPT_IN = "SIMULATED_HOST"  # the environment variable with the file's name


State = dict[str, object]


class Network:
    """An address, or what begins with it."""

    def __init__(self, family: int, address: bytes, length: int) -> None:
        self.family, self.address, self.length = family, address, length

    @property
    def of_host(self) -> bool:
        """True for a single address."""
        return self.length == len(self.address) * 8

    def of_length(self, length: int) -> "Network":
        """The network of that length which it lies in, by its first address."""
        behind = len(self.address) * 8 - length
        first = int.from_bytes(self.address, "big") >> behind << behind
        return Network(self.family, first.to_bytes(len(self.address), "big"), length)

    def holds(self, other: "Network") -> bool:
        """Whether all of `other` is in it."""
        behind = len(self.address) * 8 - self.length
        ours, theirs = (int.from_bytes(each.address, "big") >> behind for each in (self, other))
        return self.family == other.family and self.length <= other.length and ours == theirs

    def __str__(self) -> str:
        text = inet_ntop(self.family, self.address)
        return text if self.of_host else f"{text}/{self.length}"


def network(text: str) -> Network | None:
    """What `text` says in full: no names, no short forms."""
    address, slash, length = text.partition("/")
    for family, most in ((AF_INET, 32), (AF_INET6, 128)):
        try:
            packed = inet_pton(family, address)
        except (OSError, ValueError):
            continue
        if not slash:
            return Network(family, packed, most)
        return Network(family, packed, int(length)) if length.isdecimal() and int(length) <= most else None
    return None


def load(file: str = "") -> State:
    """What the host has by now; nothing at first."""
    try:
        with open(file or os.environ[KEPT_IN], "rb") as kept:
            return marshal.load(kept)
    except FileNotFoundError:
        return {}


def save(state: State, file: str = "") -> None:
    """Whole or not at all."""
    name = file or os.environ[KEPT_IN]
    with open(f"{name}.new", "wb") as kept:
        marshal.dump(state, kept)
    os.replace(f"{name}.new", name)


def fail(words: str, code: int) -> None:
    """Ends the program as err(3) does. Never returns."""
    sys.stderr.write(f"{words}\n")
    sys.exit(code)


def options(arguments: list[str], known: str) -> tuple[list[tuple[str, str]], list[str]]:
    """Letters with their values, and the rest, as getopt(3) reads them: up to the first word that is no option.

    `known` as there. Raises ValueError.
    """
    found: list[tuple[str, str]] = []
    rest = list(arguments)
    while rest and rest[0].startswith("-") and rest[0] != "-":
        letters = rest.pop(0)[1:]
        if letters == "-":
            break
        while letters:
            letter, letters = letters[0], letters[1:]
            place = known.find(letter)
            if place < 0 or letter == ":":
                raise ValueError(f"illegal option -- {letter}")
            value = ""
            if known[place + 1 : place + 2] == ":":
                if not letters and not rest:
                    raise ValueError(f"option requires an argument -- {letter}")
                value, letters = letters or rest.pop(0), ""
            found.append((letter, value))
    return found, rest
