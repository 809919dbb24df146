"""A simulated pfctl(8), as of FreeBSD 14; OpenBSD's and macOS' don't differ in what is here.

From the manual page: options, that they may be abbreviated, that `-T add` makes a table, what is printed. From its
source (pfctl.c, pfctl_table.c): the words of errors, on standard error; 255 as exit code of a table command that
failed, 2 of a test without a match; exit code 0 for rules of an anchor that isn't there; that all addresses of a
command are added or none; that it opens /dev/pf before anything else.
"""

import sys
from binascii import crc32

from tests.stage.simulators import pf
from tests.stage.simulators.host import Network, State, fail, load, network, options, save

OPTIONS = "a:AdD:eqf:F:ghi:k:K:mMnNOo:Pp:rRs:St:T:vx:z"
SHOWN = ("nat", "queue", "rules", "Anchors", "Sources", "states", "info", "labels", "timeouts", "memory", "Tables")
FLUSHED = ("nat", "queue", "rules", "Sources", "states", "info", "Tables", "osfp", "all")
COMMANDS = ("kill", "flush", "add", "delete", "load", "replace", "show", "test", "zero", "expire", "reset")
FAILED = 255  # a table command gives -1
NAMELESS = "pfctl: getaddrinfo: Name does not resolve"


def main(arguments: list[str]) -> None:
    """Does what they say to the host, and exits."""
    state = load()
    call = _Call(pf.of(state), arguments)
    if not pf.of(state)["loaded"]:
        fail("pfctl: /dev/pf: No such file or directory", 1)
    code = call.carry_out()
    save(state)
    sys.exit(code)


class _Call:
    def __init__(self, kept: State, arguments: list[str]) -> None:
        self._kept = kept
        if not arguments:
            _usage()
        try:
            found, self._rest = options(arguments, OPTIONS)
            self._options = found
        except ValueError as error:
            _usage(str(error))
        self._said = dict(found)
        self._kills = [value for letter, value in found if letter == "k"]
        if len(self._kills) > 2:
            _usage("can only specify -k twice")
        self._show = _full(self._said.get("s"), SHOWN, "Unknown show modifier")
        self._flush = _full(self._said.get("F"), FLUSHED, "Unknown flush modifier")
        self._command = _full(self._said.get("T"), COMMANDS, "Unknown table command")
        self._anchor = self._checked_anchor()
        if (self._command is None) != ("t" not in self._said):
            _usage()
        if self._command is None and self._rest:
            _usage(f"unknown command line argument: {self._rest[0]} ...")

    def carry_out(self) -> int:
        """In pfctl's own order; the exit code."""
        if "d" in self._said:
            self._switch(False)
        if self._show:
            self._tell()
        if self._flush:
            self._clear()
        if self._kills:
            self._kill()
        code = self._on_table() if self._command else 0
        if "f" in self._said and not self._command:
            self._load()
        if "e" in self._said:
            self._switch(True)
        return code

    def _checked_anchor(self) -> str:
        name, self._recursive = self._said.get("a"), False
        if name is None:
            return ""
        if not name:
            fail("pfctl: anchor name must not be empty", 1)
        if not {"f", "F", "s", "T"} & self._said.keys():
            _usage("anchors apply to -f, -F, -s, and -T only")
        self._recursive = name.endswith("*")
        if self._recursive:
            name = name[:-1].removesuffix("/")
        if {"f", "F"} & self._said.keys() and "T" not in self._said and (name.startswith("_") or "/_" in name):
            fail("pfctl: anchor names beginning with '_' cannot be modified from the command line", 1)
        return name

    def _switch(self, on: bool) -> None:
        if self._kept["enabled"] == on:
            fail("pfctl: pf already enabled" if on else "pfctl: pf not enabled", 1)
        self._kept["enabled"] = on
        self._say("pf enabled" if on else "pf disabled")

    def _tell(self) -> None:
        if self._show == "info":
            word = "Enabled" if self._kept["enabled"] else "Disabled"
            print(f"Status: {word} for 0 days 00:01:02           Debug: Urgent\n")
        elif self._show == "rules" and self._anchor not in self._kept["anchors"]:
            sys.stderr.write("pfctl: Anchor does not exist\n")
        elif self._show == "rules":
            sys.stdout.write(pf.listed(self._kept, self._anchor, 0 if self._recursive else None))
        elif self._show == "Tables":
            for name in self._kept["tables"]:
                if name.partition(" ")[0] == self._anchor:
                    print(name.partition(" ")[2])
        elif self._show == "states":
            for each in self._kept["states"]:
                print(_told(*each))
                if ("v", "") in self._options:
                    print("   age 00:00:01, expires in 23:59:59, 5:5 pkts, 300:300 bytes")
                if self._options.count(("v", "")) > 1:
                    print(f"   id: {_number(each)} creatorid: 0000002a")
        else:
            fail(f"pfctl: -s {self._show} isn't simulated", 99)

    def _clear(self) -> None:
        """Only of this anchor, not of those below it."""
        if self._recursive:
            fail("pfctl: -F of an anchor and all below it isn't simulated", 99)
        if self._flush in ("rules", "all"):
            self._kept["anchors"][self._anchor] = []
            self._say("rules cleared")
        if self._flush in ("Tables", "all"):
            tables = self._kept["tables"]
            gone = [name for name in tables if name.partition(" ")[0] == self._anchor]
            for name in gone:
                del tables[name]
            self._say(f"{len(gone)} tables deleted.")
        if self._flush == "states" or (self._flush == "all" and not self._anchor):
            self._kept["states"] = []

    def _kill(self) -> None:
        """Of one: all that it began. Of two: all that the first began with the second, or the one of this number."""
        if self._kills[0] == "id" and len(self._kills) == 2:
            number = self._kills[1].partition("/")[0]
            self._kept["states"] = [each for each in self._kept["states"] if _number(each) != number]
            return
        source, target = _prefix(self._kills[0]), _prefix(self._kills[-1])
        before = self._kept["states"]
        self._kept["states"] = [
            each
            for each in before
            if not (source.holds(_network(each[1])) and (len(self._kills) == 1 or target.holds(_network(each[2]))))
        ]
        killed = len(before) - len(self._kept["states"])
        self._say(f"killed {killed} states from 1 sources and {len(self._kills) - 1} destinations")

    def _load(self) -> None:
        name = "stdin" if self._said["f"] == "-" else self._said["f"]
        try:
            rules, tables = pf.read(_text(self._said["f"]))
        except pf.BadRuleError as error:
            fail(f"{name}:{error}: syntax error\npfctl: Syntax error in config file: pf rules not loaded", 1)
        self._kept["anchors"][self._anchor] = rules
        for table, addresses in tables.items():
            place = f"{self._anchor} {table}"
            self._kept["tables"][place] = self._kept["tables"].get(place, []) if addresses is None else addresses

    def _on_table(self) -> int:
        name, tables = self._said["t"], self._kept["tables"]
        if len(name) > pf.LONGEST_NAME:
            _usage()
        place = f"{self._anchor} {name}"
        given = [] if self._command in ("kill", "flush", "show") else self._addresses()
        if self._command in ("kill", "flush", "show") and (self._rest or "f" in self._said):
            _usage()
        if self._command in ("add", "replace"):
            if place not in tables:
                self._say("1 table created.")
        elif place not in tables:
            fail("pfctl: Table does not exist.", FAILED)
        return self._done_to(place, given)

    def _done_to(self, place: str, given: list[str]) -> int:
        tables = self._kept["tables"]
        has = tables.setdefault(place, [])
        if self._command in ("add", "replace"):
            if set(given) & set(self._kept["spoilt"]) or len({*has, *given}) > pf.LIMIT:
                fail("pfctl: Cannot allocate memory.", FAILED)
            tables[place] = [*dict.fromkeys([*(has if self._command == "add" else []), *given])]
            self._say(f"{len(tables[place]) - len(has)}/{len(given)} addresses added.")
        elif self._command == "delete":
            gone = set(given)
            tables[place] = [each for each in has if each not in gone]
            self._say(f"{len(has) - len(tables[place])}/{len(given)} addresses deleted.")
        elif self._command == "show":
            sys.stdout.write("".join(f"   {each}\n" for each in has))
        elif self._command == "test":
            found = [any(_network(each).holds(_network(one)) for each in has) for one in given]
            self._say(f"{sum(found)}/{len(given)} addresses match.")
            return 0 if all(found) else 2
        elif self._command == "flush":
            tables[place] = []
            self._say(f"{len(has)} addresses deleted.")
        elif self._command == "kill":
            del tables[place]
            self._say("1 table deleted.")
        else:
            fail(f"pfctl: -T {self._command} isn't simulated", 99)
        return 0

    def _addresses(self) -> list[str]:
        """Of the command line, and of the file: parted by any blanks, comments begin with # or ;."""
        words = list(self._rest)
        if "f" in self._said:
            for line in _text(self._said["f"]).splitlines():
                words += line.partition("#")[0].partition(";")[0].split()
        return [str(self._address(each)) for each in words]

    def _address(self, word: str) -> Network:
        found = network(word)  # a name would be looked up; here nobody has one
        if found is None:
            fail(f"pfctl: no IP address found for {word}", FAILED)
        if self._command == "test" and not found.of_host:
            fail("pfctl: illegal test address", FAILED)
        return found.of_length(found.length)

    def _say(self, words: str) -> None:
        if "q" not in self._said:
            sys.stderr.write(f"{words}\n")


def _full(said: str | None, known: tuple[str, ...], unknown: str) -> str | None:
    """The first that begins so."""
    meant = next((each for each in known if said and each.startswith(said)), None)
    if said is not None and meant is None:
        _usage(f"{unknown} '{said}'")
    return meant


def _usage(words: str = "") -> None:
    sys.stderr.write(f"pfctl: {words}\n" if words else "")
    fail("usage: pfctl [-AdeghMmNnOPqRSrvz] [-a anchor] [-D macro=value] [-F modifier]", 1)


def _prefix(text: str) -> Network:
    address, slash, length = text.partition("/")
    found = network(address)
    if found is None:
        fail(NAMELESS, 1)
    if not slash:
        return found
    if not length.isdecimal() or int(length) > found.length:
        fail(f"pfctl: prefix is invalid: {length}", 1)
    return found.of_length(int(length))


def _network(text: str) -> Network:
    found = network(text)
    assert found is not None
    return found


def _text(path: str) -> str:
    if path == "-":
        return sys.stdin.read()
    try:
        with open(path) as file:
            return file.read()
    except OSError as error:
        fail(f"pfctl: {path}: {error.strerror}", 1)


def _number(state: list[str]) -> str:
    return f"{crc32(' '.join(state).encode()):016x}"


def _told(way: str, source: str, target: str) -> str:
    """As print_state does: the host on the left is ours."""
    shape = "{}[{}]" if ":" in source else "{}:{}"
    if way == "in":
        ends = f"{shape.format(target, 22)} <- {shape.format(source, 51234)}"
    else:
        ends = f"{shape.format(source, 40000)} -> {shape.format(target, 443)}"
    return f"all tcp {ends}       ESTABLISHED:ESTABLISHED"
