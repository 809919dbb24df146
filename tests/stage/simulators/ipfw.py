"""A simulated ipfw(8) of FreeBSD 14: tables of addresses, and rules between them.

From the manual page and the source (main.c, tables.c): words may be abbreviated; `table add` takes addresses and values
by turns; what is there already, or isn't, is an error but with -q; one that fails doesn't take back the others of the
command; errors are on standard error with exit codes of sysexits(3); the last word is a file when it begins with /.
"""

import sys

from tests.stage.simulators.host import Network, State, fail, load, network, options, save

SWITCHES = ("net.inet.ip.fw.enable", "net.inet6.ip6.fw.enable")
USAGE, DATA, NO_HOST, UNAVAILABLE, SYSTEM = 64, 65, 68, 69, 71
ON_TABLES = ("add", "delete", "create", "destroy", "flush", "modify", "swap", "info", "detail", "list", "lookup")
LAST = "65535 deny ip from any to any"
LONGEST_NAME = 63


def of(state: State) -> State:
    """What the host's kernel keeps for ipfw, which is loaded and enabled, as `firewall_type="open"` sets it up."""
    fresh = {
        "loaded": True,
        "enabled": dict.fromkeys(SWITCHES, 1),
        "rules": [[65000, "allow ip from any to any"]],
        "tables": {},
        "spoilt": [],
    }
    return state.setdefault("ipfw", fresh)


def main(arguments: list[str]) -> None:
    """Does what they say to the host, and exits."""
    if arguments and arguments[-1].startswith("/"):
        fail("ipfw: a file of commands isn't simulated", 99)
    try:
        found, words = options(arguments, "abcdDefhinNp:qs:STtv")
    except ValueError as error:
        fail(f"ipfw: {error}", USAGE)
    if not words:
        fail("ipfw: bad arguments, for usage summary ``ipfw''", USAGE)
    state = load()
    call = _Call(of(state), quiet=("q", "") in found)
    code = call.carry_out(words)
    save(state)
    sys.exit(code)


class _Call:
    def __init__(self, kept: State, *, quiet: bool) -> None:
        self._kept, self._quiet = kept, quiet

    def carry_out(self, words: list[str]) -> int:
        """The exit code."""
        command, rest = words[0], words[1:]
        known = {
            "add": self._add_rule,
            "table": self._on_table,
            "delete": self._delete_rules,
            "flush": self._flush,
            "list": self._list,
            "print": self._list,
        }
        meant = next((each for each in known if each.startswith(command)), "")
        if not meant:
            fail(f"ipfw: bad command `{command}'", USAGE)
        return known[meant](rest)

    def _flush(self, words: list[str]) -> int:
        self._kernel("setsockopt(IP_FW_XDEL)")["rules"] = []
        return 0

    def _kernel(self, asked: str) -> State:
        if not self._kept["loaded"]:
            fail(f"ipfw: {asked}: Protocol not available", SYSTEM)
        return self._kept

    def _list(self, numbers: list[str]) -> int:
        rules = [*self._kernel("retrieving config failed")["rules"], [65535, LAST.partition(" ")[2]]]
        for wanted in numbers:
            if not any(number == int(wanted) for number, _ in rules):
                fail(f"ipfw: rule {wanted} does not exist", UNAVAILABLE)
        for number, rule in rules:
            if not numbers or f"{number}" in numbers:
                print(f"{number:05} {rule}")
        return 0

    def _add_rule(self, words: list[str]) -> int:
        kept = self._kernel("getsockopt(IP_FW_XADD)")
        number = int(words.pop(0)) if words and words[0].isdecimal() else 0
        if not number:
            number = min(65534, max((each for each, _ in kept["rules"]), default=0) + 100)
        rule = _rule(words)
        for name in _tables_of(rule):
            kept["tables"].setdefault(name, {})  # the kernel makes what a rule speaks of
        place = next((at for at, (other, _) in enumerate(kept["rules"]) if other > number), len(kept["rules"]))
        kept["rules"].insert(place, [number, rule])
        if not self._quiet:
            print(f"{number:05} {rule}")
        return 0

    def _delete_rules(self, numbers: list[str]) -> int:
        kept, code = self._kernel("setsockopt(IP_FW_XDEL)"), 0
        for each in numbers:
            left = [rule for rule in kept["rules"] if rule[0] != int(each)]
            if len(left) == len(kept["rules"]) and not self._quiet:
                sys.stderr.write(f"ipfw: no rules rules in {each} set\n")
                code = UNAVAILABLE
            kept["rules"] = left
        return code

    def _on_table(self, words: list[str]) -> int:
        if not words:
            fail("ipfw: table needs name", USAGE)
        name, rest = words[0], words[1:]
        if len(name) > LONGEST_NAME or not name.replace("-", "").replace("_", "").replace(".", "").isalnum():
            fail(f"ipfw: table name {name} is invalid", USAGE)
        if not rest:
            fail("ipfw: table needs command", USAGE)
        command = next((each for each in ON_TABLES if each.startswith(rest[0])), "")
        if not command:
            fail(f"ipfw: invalid table command {rest[0]}", USAGE)
        if name == "all":
            fail("ipfw: table name required", USAGE)
        tables = self._kernel("failed to request table info")["tables"]
        done = getattr(self, f"_table_{command}", None)
        if done is None:
            fail(f"ipfw: table {command} isn't simulated", 99)
        return done(tables, name, rest[1:])

    def _table_create(self, tables: State, name: str, words: list[str]) -> int:
        kinds = {"type": ("addr", "iface", "number", "flow", "mac"), "valtype": ("legacy", "skipto"), "limit": ()}
        left, missing = list(words), False
        while left:
            word = left.pop(0)
            if word == "missing":
                missing = True
            elif word not in kinds or not left or (kinds[word] and left.pop(0) not in kinds[word]):
                fail(f"ipfw: invalid option {word}", USAGE)
        if name in tables and not missing:
            fail("ipfw: Table creation failed: File exists", SYSTEM)
        tables.setdefault(name, {})
        return 0

    def _table_destroy(self, tables: State, name: str, words: list[str]) -> int:
        if any(name in _tables_of(rule) for _, rule in self._kept["rules"]):
            fail(f"ipfw: failed to destroy table {name}: Device busy", SYSTEM)
        if tables.pop(name, None) is None and not self._quiet:
            sys.stderr.write(f"ipfw: failed to destroy table {name}: No such process\n")
        return 0

    def _table_flush(self, tables: State, name: str, words: list[str]) -> int:
        if name in tables:
            tables[name] = {}
        elif not self._quiet:
            sys.stderr.write(f"ipfw: failed to flush table {name} info: No such process\n")
        return 0

    def _table_info(self, tables: State, name: str, words: list[str]) -> int:
        self._there(tables, name)
        print(f"--- table({name}), set(0) ---\n kindex: 1, type: addr\n items: {len(tables[name])}, size: 296")
        return 0

    def _table_list(self, tables: State, name: str, words: list[str]) -> int:
        self._there(tables, name)
        sys.stdout.write("".join(f"{key} {value}\n" for key, value in tables[name].items()))
        return 0

    def _there(self, tables: State, name: str) -> None:
        if name not in tables:
            fail("ipfw: failed to request table info: No such process", SYSTEM)

    def _table_add(self, tables: State, name: str, words: list[str]) -> int:
        """Address and value by turns; the last may lack its value."""
        if not words:
            fail("ipfw: address required", USAGE)
        pairs = [
            (_key(words[at]), _value(words[at + 1]) if at + 1 < len(words) else 0) for at in range(0, len(words), 2)
        ]
        if name not in tables and not self._quiet:
            sys.stderr.write(f"ipfw: DEPRECATED: inserting data into non-existent table {name}. (auto-created)\n")
        table, problem = tables.setdefault(name, {}), ""
        for key, value in pairs:
            if _plain(key) in self._kept["spoilt"]:
                problem = problem or "Cannot allocate memory"
            elif key in table and not self._quiet:
                problem = problem or "record already exists"
            else:
                table[key] = value
        return self._judged("Adding", problem)

    def _table_delete(self, tables: State, name: str, words: list[str]) -> int:
        if not words:
            fail("ipfw: address required", USAGE)
        if name not in tables:
            fail(f"ipfw: Table {name} does not exist", DATA)
        absent = [key for key in map(_key, words) if tables[name].pop(key, None) is None]
        return self._judged("Deleting", "record not found" if absent and not self._quiet else "")

    def _judged(self, what: str, problem: str) -> int:
        if problem:
            sys.stderr.write(f"ipfw: {what} record failed: {problem}\n")
        return SYSTEM if problem else 0


def blocked(kept: State) -> set[str]:
    """Which members of tables neither get a packet in nor are sent one."""
    keys = {_plain(key) for table in kept["tables"].values() for key in table}
    return {key for key in keys if _is_out(kept, key)}


def _is_out(kept: State, text: str) -> bool:
    one = network(text)
    switch = SWITCHES[":" in text]
    return bool(kept["loaded"] and kept["enabled"][switch]) and not any(_passes(kept, one, way) for way in (2, 4))


def _passes(kept: State, one: Network, way: int) -> bool:
    """The first rule that matches has its way. `way`: which word of a rule names the other end."""
    for _, rule in kept["rules"]:
        words = rule.split()
        theirs, ours = words[1 + way], words[7 - way]
        if ours == "any" and (theirs == "any" or _is_in(kept, theirs, one)):
            return words[0] == "allow"
    return False


def _is_in(kept: State, table: str, one: Network) -> bool:
    members = kept["tables"].get(table[len("table(") : -1], {})
    return _full(one) in members or any(found.holds(one) for found in map(network, members) if found is not None)


def _rule(words: list[str]) -> str:
    """One that says what to do with everything between two ends, each `any`, `me`, or a table."""
    if words[:1] and words[0] in ("deny", "drop"):
        words = ["deny", *words[1:]]
    elif words[:1] and words[0] in ("allow", "accept", "pass", "permit"):
        words = ["allow", *words[1:]]
    else:
        fail(f"ipfw: invalid action {' '.join(words[:1])}", USAGE)
    if len(words) != 6 or words[1] not in ("ip", "all") or words[2] != "from" or words[4] != "to":
        fail(f"ipfw: bad arguments, for usage summary ``ipfw'': {' '.join(words)}", USAGE)
    for end in (words[3], words[5]):
        if end not in ("any", "me") and not (end.startswith("table(") and end.endswith(")")):
            fail(f"ipfw: hostname ``{end}'' unknown", NO_HOST)
    return " ".join(["ip" if each == "all" else each for each in words])


def _tables_of(rule: str) -> list[str]:
    return [word[len("table(") : -1] for word in rule.split() if word.startswith("table(")]


def _key(word: str) -> str:
    """As the table has it, with its length."""
    address, slash, length = word.partition("/")
    found = network(address)
    if found is None:
        fail(f"ipfw: hostname ``{address}'' unknown", NO_HOST)
    if found.address[:12] == bytes(12) and int.from_bytes(found.address, "big") > 1 and len(found.address) == 16:
        fail("ipfw: Use IPv4 instead of v4-compatible", DATA)
    if slash:
        if not length.isdecimal() or int(length) > found.length:
            fail(f"ipfw: bad IPv{'46'[':' in address]} mask width: {length}", DATA)
        found = found.of_length(int(length))
    return _full(found)


def _value(word: str) -> int:
    """A number, or an address that is taken for one: whoever forgets the values blocks every second one."""
    if word.isdecimal():
        return int(word)
    found = network(word)
    if found is None or len(found.address) != 4 or not found.of_host:
        fail(f"ipfw: Unable to parse value {word}", SYSTEM)
    return int.from_bytes(found.address, "big")


def _full(found: Network) -> str:
    return f"{found}/{found.length}" if found.of_host else f"{found}"


def _plain(key: str) -> str:
    return f"{network(key)}"
