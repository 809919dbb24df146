"""The packet filter of a simulated BSD or macOS: its rules, anchors, tables and states, and what it does to a packet.

Of pf.conf(5) it has what tests need: tables, anchors and block and pass rules between addresses and tables. Whatever
else stands in a rule is a syntax error.
"""

from tests.stage.simulators.host import Network, State, network

ANY = "any"
LONGEST_NAME = 31  # PF_TABLE_NAME_SIZE is 32
LIMIT = 200_000  # `set limit table-entries`, as it is by default

Rule = State


class BadRuleError(Exception):
    """A syntax error, in that line."""


def of(state: State) -> State:
    """What the host's kernel keeps for pf, which is enabled and lets everything pass at first."""
    fresh = {"loaded": True, "enabled": True, "anchors": {"": []}, "tables": {}, "states": [], "spoilt": []}
    return state.setdefault("pf", fresh)


def read(text: str) -> tuple[list[Rule], dict[str, list[str] | None]]:
    """Rules and tables of a file. A table without a list of addresses keeps what it has; with one it gets that list."""
    rules: list[Rule] = []
    tables: dict[str, list[str] | None] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        words = line.partition("#")[0].replace("{", " { ").replace("}", " } ").split()
        try:
            if words[:1] == ["table"]:
                name, addresses = _table(words[1:])
                tables[name] = addresses
            elif words:
                rules.append(_rule(words))
        except (IndexError, ValueError) as error:
            raise BadRuleError(str(number)) from error
    return rules, tables


def _table(words: list[str]) -> tuple[str, list[str] | None]:
    name, rest = _name(words[0]), words[1:]
    while rest and rest[0] in ("persist", "counters"):
        rest.pop(0)
    if not rest:
        return name, None
    if rest[0] != "{" or rest[-1] != "}":
        raise ValueError(rest)
    addresses = [network(each.strip(",")) for each in rest[1:-1]]
    if None in addresses:
        raise ValueError(rest)
    return name, [str(each) for each in addresses]


def _name(word: str) -> str:
    if not (word.startswith("<") and word.endswith(">") and 0 < len(word) - 2 <= LONGEST_NAME):
        raise ValueError(word)
    return word[1:-1]


def _rule(words: list[str]) -> Rule:
    words = list(words)
    verb = words.pop(0)
    if verb == "anchor":
        name = words.pop(0)
        if words or len(name) < 3 or name[0] != '"' or name[-1] != '"':
            raise ValueError(name)
        return {"anchor": name[1:-1]}
    if verb not in ("block", "pass"):
        raise ValueError(verb)
    if verb == "block" and words[:1] == ["drop"]:
        words.pop(0)
    way = words.pop(0) if words[:1] in (["in"], ["out"]) else ""
    quick = words[:1] == ["quick"] and bool(words.pop(0))
    if words == ["all"]:
        words = []
    ends = {"from": ANY, "to": ANY}
    for end in ends:
        if words[:1] == [end]:
            ends[end] = _end(words[1])
            words = words[2:]
    if words:
        raise ValueError(words)
    return {"verb": verb, "way": way, "quick": quick, **ends}


def _end(word: str) -> str:
    if word == ANY or word.startswith("<"):
        return word if word == ANY else f"<{_name(word)}>"
    found = network(word)
    if found is None:
        raise ValueError(word)
    return str(found)


def told(rule: Rule) -> str:
    """As `pfctl -s rules` prints it."""
    if "anchor" in rule:
        return f'anchor "{rule["anchor"]}" all'
    words = ["block drop" if rule["verb"] == "block" else "pass", rule["way"], "quick" if rule["quick"] else ""]
    open_to_all = rule["from"] == rule["to"] == ANY
    words.append("all" if open_to_all else f"from {rule['from']} to {rule['to']}")
    words.append("flags S/SA keep state" if rule["verb"] == "pass" else "")
    return " ".join(filter(None, words))


def listed(kept: State, anchor: str, depth: int | None) -> str:
    """The rules of an anchor, with a `depth` those of the anchors that it calls, too, each where it is called."""
    lines = []
    for rule in kept["anchors"].get(anchor, []):
        if "anchor" not in rule or depth is None:
            lines.append(f"{'  ' * (depth or 0)}{told(rule)}\n")
        elif rule["anchor"].endswith("*"):
            below = "".join(_opened(kept, name, depth + 1) for name in _called(kept, rule["anchor"]))
            lines.append(f"{'  ' * depth}{told(rule)} {{\n{below}{'  ' * depth}}}\n")
        else:
            lines.append(_opened(kept, rule["anchor"], depth))
    return "".join(lines)


def _opened(kept: State, anchor: str, depth: int) -> str:
    name = anchor.rpartition("/")[2] if depth else anchor
    rules = listed(kept, anchor, depth + 1)
    return f"{'  ' * depth}{told({'anchor': name})} {{\n{rules}{'  ' * depth}}}\n"


def blocked(kept: State) -> set[str]:
    """Which members of tables neither get a packet in nor are sent one."""
    members = {each for some in kept["tables"].values() for each in some}
    return {each for each in members if _is_out(kept, each)}


def _is_out(kept: State, text: str) -> bool:
    one = network(text)
    assert one is not None
    us = network("192.0.2.1" if ":" not in text else "2001:db8:ffff::1")
    assert us is not None
    return not (_passes(kept, "in", one, us) or _passes(kept, "out", us, one))


def _passes(kept: State, way: str, source: Network, target: Network) -> bool:
    """What belongs to a connection that has a state isn't held against the rules any more."""
    if not kept["enabled"]:
        return True
    ends = {str(source), str(target)}
    if any({began, to} & ends - {"192.0.2.1", "2001:db8:ffff::1"} for _, began, to in kept["states"]):
        return True
    verdict, _ = _judged(kept, "", (way, source, target))
    return verdict != "block"


def _judged(kept: State, anchor: str, packet: tuple[str, Network, Network]) -> tuple[str, bool]:
    """The last rule that matches has its way, or the first that is quick; and whether that was one."""
    verdict = ""
    for rule in kept["anchors"].get(anchor, []):
        if "anchor" in rule:
            for name in _called(kept, rule["anchor"]):
                found, quick = _judged(kept, name, packet)
                verdict = found or verdict
                if quick:
                    return verdict, True
        elif _matches(kept, anchor, rule, packet):
            verdict = rule["verb"]
            if rule["quick"]:
                return verdict, True
    return verdict, False


def _called(kept: State, name: str) -> list[str]:
    """`anchor "x/*"` calls all that are right below x, in the order of the alphabet."""
    if not name.endswith("*"):
        return [name]
    above = name[:-1]
    return sorted(each for each in kept["anchors"] if each and each.startswith(above) and "/" not in each[len(above) :])


def _matches(kept: State, anchor: str, rule: Rule, packet: tuple[str, Network, Network]) -> bool:
    way, source, target = packet
    ends = ((rule["from"], source), (rule["to"], target))
    return rule["way"] in ("", way) and all(_is_in(kept, anchor, end, address) for end, address in ends)


def _is_in(kept: State, anchor: str, end: str, address: Network) -> bool:
    if end == ANY:
        return True
    texts = [end]
    if end.startswith("<"):  # a table of the anchor's own comes before one of the main ruleset
        texts = kept["tables"].get(f"{anchor} {end[1:-1]}", kept["tables"].get(f" {end[1:-1]}", []))
    if str(address) in texts:  # the longest match, and quickly
        return True
    return any(found.holds(address) for found in map(network, texts) if found is not None)
