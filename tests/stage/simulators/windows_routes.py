"""The routes of a simulated Windows, from `netsh interface ipv4 add route`: the longest prefix wins, then the metric.

What is sent over the loopback interface to an address that isn't this host's goes nowhere. `store` is persistent unless
it is said to be active; a persistent route is there again after a reboot.
"""

from tests.stage.simulators.host import Network, State, network
from tests.stage.simulators.windows import RefusedError, parameters, words

LOOPBACK, ETHERNET = 1, 12
OF_SYSTEM = (
    ("0.0.0.0/0", ETHERNET, "192.168.1.1", 0),
    ("127.0.0.0/8", LOOPBACK, "Loopback Pseudo-Interface 1", 256),
    ("127.0.0.1/32", LOOPBACK, "Loopback Pseudo-Interface 1", 256),
    ("192.168.1.0/24", ETHERNET, "Ethernet", 256),
    ("224.0.0.0/4", LOOPBACK, "Loopback Pseudo-Interface 1", 256),
    ("::/0", ETHERNET, "fe80::1", 256),
    ("::1/128", LOOPBACK, "Loopback Pseudo-Interface 1", 256),
    ("ff00::/8", LOOPBACK, "Loopback Pseudo-Interface 1", 256),
)
HEAD = """
Publish  Type      Met  Prefix                    Idx  Gateway/Interface Name
-------  --------  ---  ------------------------  ---  ------------------------
"""


def of(state: State) -> State:
    """What the host keeps for it."""
    system = [_route(*each) for each in OF_SYSTEM]
    return state.setdefault("routes", {"table": system, "persistent": [], "spoilt": []})


def _route(prefix: str, interface: int, hop: str, metric: int) -> State:
    return {"prefix": prefix, "interface": interface, "hop": hop, "metric": metric}


def add(family: str, given: list[str], state: State) -> str:
    made = parameters(given, ("prefix", "interface", "nexthop", "metric", "store"))
    prefix, interface = _where(made, family)
    if made.get("metric", "0").isdecimal() is False:
        raise RefusedError("The parameter is incorrect.")
    kept = of(state)
    if prefix in map(_long, kept["spoilt"]):
        raise RefusedError("Not enough memory resources are available to process this command.")
    hop = made.get("nexthop", "Loopback Pseudo-Interface 1" if interface == LOOPBACK else "Ethernet")
    if any((each["prefix"], each["interface"], each["hop"]) == (prefix, interface, hop) for each in kept["table"]):
        raise RefusedError("The object already exists.")
    route = _route(prefix, interface, hop, int(made.get("metric", "0")))
    kept["table"].append(route)
    if made.get("store", "persistent").lower() == "persistent":
        kept["persistent"].append(route)
    return "Ok.\n"


def delete(family: str, given: list[str], state: State) -> str:
    made = parameters(given, ("prefix", "interface", "nexthop", "store"))
    prefix, interface = _where(made, family)
    kept = of(state)
    hop = made.get("nexthop")
    some = [each for each in kept["table"] if (each["prefix"], each["interface"]) == (prefix, interface)]
    some = [each for each in some if hop in (None, each["hop"])]
    if not some:
        raise RefusedError("Element not found.")
    kept["table"] = [each for each in kept["table"] if each not in some]
    if made.get("store", "persistent").lower() == "persistent":
        kept["persistent"] = [each for each in kept["persistent"] if each not in some]
    return "Ok.\n"


def show(family: str, given: list[str], state: State) -> str:
    parameters(given, ("store", "level"))
    some = [each for each in of(state)["table"] if (":" in each["prefix"]) == (family == "ipv6")]
    return HEAD + "".join(
        f"{words(state, 'No'):<7}  {words(state, 'Manual'):<8}  {each['metric']:<3}  {_long(each['prefix']):<24}  "
        f"{each['interface']:>3}  {each['hop']}\n"
        for each in some
    )


def sent_to(state: State, address: Network) -> int:
    """The interface by which `address` is reached."""
    held = []
    for each in of(state)["table"]:
        prefix = network(each["prefix"])
        if prefix is not None and prefix.holds(address):
            held.append((-prefix.length, each["metric"], each["interface"]))
    return min(held)[2]


def nowhere(state: State) -> set[str]:
    """Addresses and networks of which all that is sent there goes nowhere; the host's own aside."""
    table = of(state)["table"]
    own = {prefix for prefix, *_ in OF_SYSTEM}
    over = [each for each in table if each["interface"] == LOOPBACK and each["prefix"] not in own]
    found = [network(each["prefix"]) for each in over]
    return {str(each) for each in found if each is not None and sent_to(state, each) == LOOPBACK}


def flush(state: State) -> None:
    """Somebody deletes all routes that aren't Windows' own."""
    of(state)["table"] = [_route(*each) for each in OF_SYSTEM]


def without_ipv6(state: State) -> None:
    """It is switched off."""
    of(state)["table"] = [each for each in of(state)["table"] if ":" not in each["prefix"]]


def _where(made: dict[str, str], family: str) -> tuple[str, int]:
    prefix = network(made.get("prefix", ""))
    if prefix is None or "/" not in made["prefix"] or (":" in made["prefix"]) != (family == "ipv6"):
        raise RefusedError("The parameter is incorrect.")
    if str(prefix.of_length(prefix.length)) != str(prefix):
        raise RefusedError("The parameter is incorrect.")
    if made.get("interface") not in (str(LOOPBACK), str(ETHERNET)):
        raise RefusedError("The filename, directory name, or volume label syntax is incorrect.")
    return _long(str(prefix)), int(made["interface"])


def _long(prefix: str) -> str:
    return prefix if "/" in prefix else f"{prefix}/{128 if ':' in prefix else 32}"
