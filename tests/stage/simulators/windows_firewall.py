"""The firewall of a simulated Windows: its rules, and what it does to a packet. One that blocks goes before the others.

Rules of `netsh advfirewall firewall` have name, dir, action, enable and remoteip, and go for any profile and program.
"""

from tests.stage.simulators.host import Network, State, network
from tests.stage.simulators.windows import RefusedError, parameters, words

ANY = "any"
KEYWORDS = (ANY, "localsubnet", "dns", "dhcp", "wins", "defaultgateway")
NO_RULE = "No rules match the specified criteria."
BAD_ADDRESS = "A specified IP address or address keyword is not valid."
BAD_VALUE = "A specified value is not valid."
LONGEST_LINE = 32_767  # characters
WIDTH = 38

Rule = State


def of(state: State) -> State:
    """What the host keeps for it; it is on, and has a rule of somebody else's."""
    other: Rule = {"name": "Remote Desktop", "dir": "in", "action": "allow", "enable": "yes", "remoteip": [ANY]}
    return state.setdefault("firewall", {"on": True, "rules": [other], "spoilt": []})


def add(_: str, given: list[str], state: State) -> str:
    made = parameters(given, ("name", "dir", "action", "enable", "remoteip"))
    if not made.get("name") or made["name"].lower() == "all" or made.get("dir", "").lower() not in ("in", "out"):
        raise RefusedError(BAD_VALUE)
    if made.get("action", "").lower() not in ("allow", "block", "bypass"):
        raise RefusedError(BAD_VALUE)
    rule: Rule = {"enable": "yes", **{name: value.lower() for name, value in made.items() if name != "name"}}
    of(state)["rules"].append({**rule, "name": made["name"], "remoteip": _addresses(made.get("remoteip", ANY), state)})
    return _ok(state)


def change(_: str, given: list[str], state: State) -> str:
    if "new" not in (each.lower() for each in given):
        raise RefusedError("A value must be specified for the `new` part.")
    at = [each.lower() for each in given].index("new")
    some = _found(given[:at], state)
    new = parameters(given[at + 1 :], ("enable", "action", "remoteip"))
    anew: Rule = {name: value.lower() for name, value in new.items()}
    if "remoteip" in new:
        anew["remoteip"] = _addresses(new["remoteip"], state)
    for rule in some:
        rule.update(anew)
    return f"\nUpdated {len(some)} rule(s).\n{_ok(state)}"


def delete(_: str, given: list[str], state: State) -> str:
    some = _found(given, state)
    kept = of(state)
    kept["rules"] = [rule for rule in kept["rules"] if rule not in some]
    return f"\nDeleted {len(some)} rule(s).\n{_ok(state)}"


def show(_: str, given: list[str], state: State) -> str:
    return "".join(_printed(rule, state) for rule in _found(given, state)) + _ok(state)


def show_state(_: str, given: list[str], state: State) -> str:
    if [each.lower() for each in given] != ["state"]:
        raise RefusedError(BAD_VALUE)
    head = words(state, "Public Profile Settings:")
    word = words(state, "ON" if of(state)["on"] else "OFF")
    return f"\n{head} \n{'-' * 70}\n{words(state, 'State'):<{WIDTH}}{word}\n{_ok(state)}"


def set_state(_: str, given: list[str], state: State) -> str:
    if [each.lower() for each in given] not in (["state", "on"], ["state", "off"]):
        raise RefusedError(BAD_VALUE)
    of(state)["on"] = given[1].lower() == "on"
    return _ok(state)


def drops(state: State, way: str, address: Network) -> bool:
    """Whether all that goes `way` (in or out) to or from `address` is dropped."""
    return any(_holds(each, address) for each in listed(state, way))


def listed(state: State, way: str) -> set[str]:
    """What rules that block `way` name, while the firewall is on."""
    kept = of(state)
    good = (way, "block", "yes")
    blocking = [rule for rule in kept["rules"] if (rule["dir"], rule["action"], rule["enable"]) == good]
    return {each for rule in blocking for each in rule["remoteip"]} if kept["on"] else set()


def _holds(text: str, address: Network) -> bool:
    one = network(text)
    return text == ANY or (one is not None and one.holds(address))


def _found(given: list[str], state: State) -> list[Rule]:
    wanted = parameters(given, ("name", "dir"))
    if "name" not in wanted:
        raise RefusedError("The name parameter is required.")
    if sum(map(len, given)) > LONGEST_LINE:
        raise RefusedError(BAD_VALUE)
    rules = [rule for rule in of(state)["rules"] if wanted["name"].lower() in ("all", rule["name"].lower())]
    rules = [rule for rule in rules if rule["dir"] == wanted.get("dir", rule["dir"]).lower()]
    if not rules:
        raise RefusedError(words(state, NO_RULE))
    return rules


def _addresses(text: str, state: State) -> list[str]:
    if len(text) > LONGEST_LINE:
        raise RefusedError("The filename or extension is too long.")
    found = []
    for each in text.lower().split(","):
        if each in KEYWORDS or not each:
            found.append(each or ANY)
            continue
        one = network(each)
        if one is None:
            raise RefusedError(BAD_ADDRESS)
        name = str(one.of_length(one.length))
        if name in of(state)["spoilt"]:
            raise RefusedError("The service has not enough memory for that.")
        found.append(name)
    return found


def _printed(rule: Rule, state: State) -> str:
    shown = {
        "Enabled": "Yes" if rule["enable"] == "yes" else "No",
        "Direction": rule["dir"].capitalize(),
        "Profiles": "Domain,Private,Public",
        "Grouping": "",
        "LocalIP": "Any",
        "RemoteIP": ",".join(map(_shown, rule["remoteip"])),
        "Protocol": "Any",
        "Edge traversal": "No",
        "Action": rule["action"].capitalize(),
    }
    lines = [f"{words(state, each) + ':':<{WIDTH}}{words(state, value)}\n" for each, value in shown.items()]
    return f"\n{words(state, 'Rule Name') + ':':<{WIDTH}}{rule['name']}\n{'-' * 70}\n{''.join(lines)}"


def _shown(address: str) -> str:
    if address in KEYWORDS:
        return "Any" if address == ANY else address
    return address if "/" in address else f"{address}/{128 if ':' in address else 32}"


def _ok(state: State) -> str:
    return words(state, "Ok.") + "\n"
