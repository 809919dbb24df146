"""Actions by the names that people know, and what each acts on. It imports nothing heavy: a command line may ask."""

from typing import Literal

# what an action acts on: an address, an account, whatever the alert has for it (a script), or nothing
Kind = Literal["address", "account", "script", "nothing"]

KINDS: dict[str, Kind] = {
    "firewall-drop": "address",
    "firewalld-drop": "address",
    "host-deny": "address",
    "ip-customblock": "address",
    "ipfw": "address",
    "npf": "address",
    "pf": "address",
    "route-null": "address",
    "netsh.exe": "address",
    "route-null.exe": "address",
    "disable-account": "account",
    "restart-wazuh": "nothing",
    "restart-wazuh.exe": "nothing",
    "wazuh-slack": "nothing",
}
# Whose effect is held until an end, whatever an order's deadline is: what acts on nothing just happens, and of a script
# only the order tells.
LASTING = frozenset(name for name, kind in KINDS.items() if kind != "nothing")
TELLING = frozenset({"wazuh-slack"})  # changes nothing on a host: however many there are, no harm is done
SCRIPT = "script"  # the backend of what is in an agent's script folder; what a package brings has another


def kind_of(action: str) -> Kind:
    """What it acts on; what is not built in is a script."""
    return KINDS.get(action, "script")
