"""A simulated route(8) of FreeBSD 14, OpenBSD 7 and NetBSD 10, as far as it adds and deletes.

From the manual pages: keywords; that IPv6 addresses want `-inet6`, and networks of theirs `-prefixlen`; that
`destination/bits` is a network; FreeBSD's second path to a destination that has one. From the sources (route.c): the
words of errors, partly on standard output; exit code 64 for a keyword that FreeBSD doesn't know, 1 else; that a prefix
is 64 bits long when nothing says otherwise.
"""

import sys

from tests.stage.simulators import routes
from tests.stage.simulators.host import State, fail, load, options, save

FLAGS = {"blackhole": "B", "reject": "R", "proto1": "1", "proto2": "2", "static": "S"}
KINDS = ("host", "net")
FAMILIES = {"inet": (32, "."), "inet6": (128, ":")}
ORDER = "UGHRBS12"


def main(arguments: list[str]) -> None:
    """Does what they say to the host, and exits."""
    state = load()
    call = _Call(routes.of(state), arguments)
    code = call.carry_out()
    save(state)
    sys.exit(code)


class _Call:
    def __init__(self, kept: State, arguments: list[str]) -> None:
        self._kept = kept
        try:
            _, words = options(arguments, "dnqtv")
        except ValueError:
            self._usage("")
        self._command, *self._rest = words or [""]
        if self._command not in ("add", "delete"):
            self._usage(self._command)
        self._family, self._kind, self._flags, self._prefix = "inet", "", "S", ""
        self._read()

    def carry_out(self) -> int:
        """The exit code."""
        if not self._gateway and self._command == "add":
            return self._failed("Invalid argument")
        change = self._add if self._command == "add" else self._delete
        problem = "Cannot allocate memory" if self._destination in self._kept["spoilt"] else change()
        if problem:
            return self._failed(problem)
        print(f"{self._command} {self._kind} {self._said}: gateway {self._gateway}")
        return 0

    def _read(self) -> None:
        addresses, rest = [], list(self._rest)
        while rest:
            word = rest.pop(0)
            if not word.startswith("-"):
                addresses.append(word)
            elif word[1:] in FAMILIES:
                self._family = word[1:]
            elif word[1:] in KINDS:
                self._kind = word[1:]
            elif word[1:] in FLAGS:
                self._flags += FLAGS[word[1:]]
            elif word == "-prefixlen" and rest:
                self._prefix = rest.pop(0)
            else:
                self._usage(word[1:])
        if not addresses or len(addresses) > 2:
            fail("route: a netmask as an address isn't simulated", 99)
        self._said, self._gateway = [*addresses, ""][:2]
        self._destination = self._read_destination()
        if self._gateway:
            self._address(self._gateway)

    def _read_destination(self) -> str:
        most, _ = FAMILIES[self._family]
        text, _, bits = self._said.partition("/")
        found = self._address(text)
        bits = bits or self._prefix
        if bits and not (bits.isdecimal() and int(bits) <= most):
            fail(f"route: {bits}: bad value", 1)
        if self._kind == "host" and bits:
            fail("route: a host with a prefix isn't simulated", 99)
        if not bits and self._kind == "net":
            bits = "64" if self._family == "inet6" else fail("route: the class of a network isn't simulated", 99)
        self._kind = self._kind or ("net" if bits else "host")
        return routes.masked(found, int(bits or most))

    def _address(self, text: str):
        _, mark = FAMILIES[self._family]
        found = routes.parsed(text)
        if found is None or mark not in text:
            if self._kept["system"] == "FreeBSD":
                fail(f"route: bad address: {text}", 68)
            fail(f"route: {text}: bad value", 1)
        return found

    def _add(self) -> str:
        flags = f"UG{'H' if self._kind == 'host' else ''}{self._flags}"
        same = [each for each in self._kept["table"] if each[0] == self._destination]
        multipath = self._kept["system"] == "FreeBSD"
        if any(not multipath or gateway == self._gateway for _, gateway, _ in same):
            return "File exists"
        ordered = "".join(letter for letter in ORDER if letter in flags)
        self._kept["table"].append([self._destination, self._gateway, ordered])
        return ""

    def _delete(self) -> str:
        for each in self._kept["table"]:
            if each[0] == self._destination and self._gateway in ("", each[1]):
                self._kept["table"].remove(each)
                return ""
        return "not in table"

    def _failed(self, problem: str) -> int:
        """OpenBSD says what the error is, the others what it means."""
        freebsd, told = self._kept["system"] == "FreeBSD", problem
        errno = {"not in table": "No such process"}.get(problem, problem)
        if self._kept["system"] != "OpenBSD" and problem == "File exists":
            told = "route already in table"
        how = "message indicates error" if freebsd else "writing to routing socket"
        sys.stderr.write(f"route: {how}: {errno}\n")
        print(f"{self._command} {self._kind} {self._said}: gateway {self._gateway}{' fib 0' * freebsd}: {told}")
        return 1

    def _usage(self, word: str) -> None:
        said = f"route: bad keyword: {word}\n" if word else ""
        fail(f"{said}usage: route [-dnqtv] command [[modifiers] args]", 64 if self._kept["system"] == "FreeBSD" else 1)
