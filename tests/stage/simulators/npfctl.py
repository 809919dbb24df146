"""A simulated npfctl(8) of NetBSD 10: tables, dynamic rulesets, and a configuration that it is given as a file.

From the manual page, npf.conf(5) and the source (npf_cmd.c, npf_show.c, npf_tableset.c): what is printed, the words of
errors on standard error with exit code 1, and what npf does that one might not think of: a table of type `lpm` refuses
what another of its members holds, and removes whichever member holds an address, by the longest match. One of type
`ipset` takes no masks at all, not even a host's. Rules may be there twice.
"""

import sys

from tests.stage.simulators.host import Network, State, fail, load, network, save

TABLE_COMMANDS = ("add", "rem", "del", "test", "list", "flush", "replace")
RULE_COMMANDS = ("add", "rem", "del", "rem-id", "list", "flush")
US = {4: "192.0.2.1", 16: "2001:db8:ffff::1"}


def of(state: State) -> State:
    """What the host's kernel keeps for npf, which is active and has nothing to go by at first."""
    fresh = {"active": True, "loaded": False, "tables": {}, "groups": [], "rulesets": {}, "spoilt": [], "number": 0}
    return state.setdefault("npf", fresh)


def main(arguments: list[str]) -> None:
    """Does what they say to the host, and exits."""
    if not arguments:
        _usage()
    state = load()
    kept = of(state)
    known = {
        "start": _start,
        "stop": _stop,
        "reload": _reload,
        "show": _show,
        "flush": _flush,
        "table": _on_table,
        "rule": _on_rules,
    }
    meant = next((each for each in known if arguments[0].startswith(each)), "")
    if not meant:
        _usage()
    known[meant](kept, arguments[1:])
    save(state)


def _start(kept: State, words: list[str]) -> None:
    kept["active"] = True


def _stop(kept: State, words: list[str]) -> None:
    kept["active"] = False


def _flush(kept: State, words: list[str]) -> None:
    kept.update(loaded=False, tables={}, groups=[], rulesets={})


def _show(kept: State, words: list[str]) -> None:
    active, loaded = "active" if kept["active"] else "inactive", "loaded" if kept["loaded"] else "empty"
    print(f"# filtering:\t{active}\n# config:\t{loaded}\n")
    for name, table in kept["tables"].items():
        print(f"table <{name}> type {table['type']}")
    for number, (name, rules) in enumerate(kept["groups"]):
        print(f'\ngroup {name}{{ # id="{number + 1:x}" ')
        for rule in rules:
            print(f'\t{_told(rule)}# id="{number + 1:x}" ')
        print("}")
    print()


def _reload(kept: State, words: list[str]) -> None:
    """A table that is in the file without content keeps what it has, and a dynamic ruleset its rules."""
    try:
        with open(words[0] if words else "/etc/npf.conf") as file:
            lines = [line.partition("#")[0].split() for line in file]
    except OSError as error:
        fail(f"npfctl: open '{words[0]}': {error.strerror}", 1)
    tables, groups, rulesets = {}, [], {}
    for number, line in enumerate(lines, start=1):
        if line[:1] == ["table"] and len(line) == 4 and line[2] == "type" and line[3] in ("ipset", "lpm"):
            name = line[1].strip("<>")
            before = kept["tables"].get(name, {})
            keeps = before.get("type") == line[3]
            tables[name] = {"type": line[3], "members": before["members"] if keeps else []}
        elif line[:1] == ["group"] and line[-1] == "{":
            groups.append(["".join(f"{word} " for word in line[1:-1]), []])
        elif line[:1] == ["ruleset"] and len(line) == 2 and groups:
            name = line[1].strip('"')
            rulesets[name] = kept["rulesets"].get(name, [])
            groups[-1][1].append({"ruleset": name})
        elif line and line != ["}"]:
            rule = _rule(line)
            if rule is None or not groups:
                fail(f"npfctl: {words[0]}:{number}:1: syntax error near '{line[0]}'", 1)
            groups[-1][1].append(rule)
    kept.update(loaded=True, tables=tables, groups=groups, rulesets=rulesets)


def _rule(words: list[str]) -> State | None:
    """`block in final from <t>`, `pass stateful out final all`, … None: not to be understood."""
    left = list(words)
    verb = left.pop(0) if left else ""
    stateful = left[:1] == ["stateful"] and bool(left.pop(0))
    way = left.pop(0) if left[:1] in (["in"], ["out"]) else ""
    final = left[:1] == ["final"] and bool(left.pop(0))
    ends = {"from": "", "to": ""}
    if left == ["all"]:
        left = []
    for end in ends:
        if left[:1] == [end] and len(left) > 1:
            ends[end], left = left[1], left[2:]
    if left or verb not in ("block", "pass") or any(each and not _is_end(each) for each in ends.values()):
        return None
    return {"verb": verb, "stateful": stateful, "way": way, "final": final, **ends}


def _is_end(word: str) -> bool:
    return (word.startswith("<") and word.endswith(">")) or network(word) is not None


def _told(rule: State) -> str:
    """As `npfctl show` prints it; a blank at its end."""
    if "ruleset" in rule:
        return f'ruleset "{rule["ruleset"]}" all '
    words = [rule["verb"], "stateful" if rule["stateful"] else "", rule["way"], "final" if rule["final"] else ""]
    addresses = [rule[end] for end in ("from", "to") if rule[end] and not rule[end].startswith("<")]
    words += [f"family inet{'6' if ':' in addresses[0] else '4'}"] if addresses else []
    words += [f"{end} {rule[end]}" for end in ("from", "to") if rule[end]] or ["all"]
    return " ".join(filter(None, words)) + " "


def _on_rules(kept: State, words: list[str]) -> None:
    if len(words) < 2 or words[1] not in RULE_COMMANDS or (words[1] not in ("list", "flush") and len(words) < 3):
        _usage()
    name, command, rest = words[0], words[1], words[2:]
    rule = _rule(rest) if command in ("add", "rem", "del") else None
    if command in ("add", "rem", "del") and rule is None:
        fail("npfctl: could not parse the rule", 1)
    rules = kept["rulesets"].get(name)
    if rules is None:
        fail(f'npfctl: ruleset "{name}" not found', 1)
    if command == "add":
        if rule["from"] in kept["spoilt"] or rule["to"] in kept["spoilt"]:
            fail("npfctl: rule operation: Cannot allocate memory", 1)
        kept["number"] += 1
        rules.append([f"{kept['number']:x}", rule])
        print(f"OK {kept['number']:x}")
    elif command == "list":
        for number, each in rules:
            print(f'{_told(each)}# id="{number}" ')
    elif command == "flush":
        rules.clear()
    else:
        wanted = [rest[0], None] if rule is None else [None, rule]
        place = next((at for at, each in enumerate(rules) if wanted[0] == each[0] or wanted[1] == each[1]), None)
        if place is None:
            fail("npfctl: rule was not found", 1)
        del rules[place]


def _on_table(kept: State, words: list[str]) -> None:
    if len(words) < 2:
        _usage()
    name, command = words[0], words[1]
    if command not in TABLE_COMMANDS:
        fail(f"npfctl: invalid command '{command}'", 1)
    table = kept["tables"].get(name)
    if command == "replace":
        _replace(kept, name, words[2:])
        return
    if command not in ("list", "flush") and len(words) < 3:
        _usage()
    one = None if command in ("list", "flush") else _cidr(words[2])
    if table is None:
        fail("npfctl: invalid address, mask or table ID", 1)
    if command == "list":
        sys.stdout.write("".join(f"{each}\n" for each in table["members"]))
    elif command == "flush":
        table["members"] = []
        print("npfctl: success")
    elif command == "test":
        if not any(each.holds(one) for each in map(network, table["members"])):
            fail("npfctl: not found", 1)
        print("npfctl: match")
    else:
        (_insert if command == "add" else _remove)(kept, table, words[2], one)
        print("npfctl: success")


def _insert(kept: State, table: State, word: str, one: Network) -> None:
    if f"{one}" in kept["spoilt"]:
        fail("npfctl: ioctl(IOC_NPF_TABLE): Cannot allocate memory", 1)
    if table["type"] == "ipset" and "/" in word:
        fail("npfctl: invalid address, mask or table ID", 1)
    first = _first(one) if table["type"] == "lpm" else one
    if any(each.holds(first) for each in map(network, table["members"])):
        fail("npfctl: entry already exists or is conflicting", 1)
    table["members"].append(f"{one}")


def _remove(kept: State, table: State, word: str, one: Network) -> None:
    """By the address alone, whatever the mask."""
    first = _first(one) if table["type"] == "lpm" else one
    holding = [each for each in map(network, table["members"]) if each.holds(first)]
    if not holding:
        fail("npfctl: not found", 1)
    table["members"].remove(f"{max(holding, key=lambda each: each.length)}")


def _first(one: Network) -> Network:
    return Network(one.family, one.address, len(one.address) * 8)


def _replace(kept: State, name: str, words: list[str]) -> None:
    if len(words) != 1 or words[0].startswith("-t"):
        _usage()
    if words[0] == "-":
        text = sys.stdin.read()
    else:
        try:
            with open(words[0]) as file:
                text = file.read()
        except OSError as error:
            fail(f"npfctl: open '{words[0]}': {error.strerror}", 1)
    table = kept["tables"].get(name)
    if table is None:
        fail(f"npfctl: table '{name}' not found in the active configuration", 1)
    members = []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line or line.startswith("#"):
            continue
        one = network(line)
        if one is None:
            fail(f"npfctl: stdin:{number}: invalid table entry", 1)
        if table["type"] == "ipset" and "/" in line:
            fail(f'npfctl: stdin:{number}: mask used with the table type other than "lpm"', 1)
        members.append(f"{one}")
    if len(set(members)) < len(members):
        fail(f"npfctl: npf_table_replace(<{name}>): File exists", 1)
    if set(members) & set(kept["spoilt"]):
        fail(f"npfctl: npf_table_replace(<{name}>): Cannot allocate memory", 1)
    table["members"] = members


def _cidr(word: str) -> Network:
    found = network(word)
    if found is None:
        fail(f"npfctl: invalid CIDR '{word}'", 1)
    return found


def blocked(kept: State) -> set[str]:
    """Which members of tables, and networks of dynamic rulesets, neither get a packet in nor are sent one."""
    names = {each for table in kept["tables"].values() for each in table["members"]}
    rules = [rule for some in kept["rulesets"].values() for _, rule in some]
    names |= {rule["from"] for rule in rules if rule["from"]} & {rule["to"] for rule in rules if rule["to"]}
    return {each for each in names if _is_out(kept, each)}


def _is_out(kept: State, text: str) -> bool:
    one = network(text)
    us = network(US[len(one.address)])
    return kept["active"] and not (_passes(kept, "in", one, us) or _passes(kept, "out", us, one))


def _passes(kept: State, way: str, source: Network, target: Network) -> bool:
    """The last rule that matches has its way, or the first that is final; without one, npf lets it pass."""
    verdict = "pass"
    for _, rules in kept["groups"]:
        for rule in rules:
            for each in [one for _, one in kept["rulesets"][rule["ruleset"]]] if "ruleset" in rule else [rule]:
                if each["way"] in ("", way) and _is_in(kept, each["from"], source) and _is_in(kept, each["to"], target):
                    verdict = each["verb"]
                    if each["final"]:
                        return verdict == "pass"
    return verdict == "pass"


def _is_in(kept: State, end: str, one: Network) -> bool:
    if not end:
        return True
    members = kept["tables"].get(end[1:-1], {}).get("members", []) if end.startswith("<") else [end]
    return f"{one}" in members or any(each.holds(one) for each in map(network, members))


def _usage() -> None:
    fail("Usage:\tnpfctl start | stop | flush | show | stats", 1)
