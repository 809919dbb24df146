"""What a simulated BSD kernel routes: its table, and what its tools call things.

A route is [destination, gateway, flags], the destination in full; the letters of flags are netstat(1)'s.
"""

from tests.stage.simulators.host import Network, State, network

HERE = [
    ["0.0.0.0/0", "192.0.2.1", "UGS"],
    ["127.0.0.0/8", "127.0.0.1", "UGRS"],
    ["127.0.0.1", "lo0", "UHS"],
    ["192.0.2.0/24", "link#1", "U"],
    ["::/0", "fe80::1%em0", "UGS"],
    ["::1", "lo0", "UHS"],
    ["2001:db8:1::/64", "link#1", "U"],
    ["2002::/24", "::1", "UGRS"],
]


def of(state: State) -> State:
    """What the host's kernel keeps. `system` is what platform.system(1) says of it."""
    return state.setdefault("routes", {"system": "FreeBSD", "table": [list(each) for each in HERE], "spoilt": []})


def dropped(kept: State) -> set[str]:
    """Where nothing gets to: a blackhole by the loopback interface, and no other path."""
    paths: dict[str, list[list[str]]] = {}
    for destination, gateway, flags in kept["table"]:
        paths.setdefault(destination, []).append([gateway, flags])
    return {
        destination
        for destination, some in paths.items()
        if all(gateway in ("127.0.0.1", "::1") and "B" in flags for gateway, flags in some)
    }


def masked(destination: Network, length: int) -> str:
    """The kernel keeps the first address of a network."""
    return str(destination.of_length(length))


def parsed(text: str) -> Network | None:
    """An address in full."""
    return None if "/" in text else network(text)
