"""What firewalld is to have before it blocks anything: a zone of our own that drops, fed by sets.

The rule it keeps: nobody's firewall is changed by the set-up. firewalld takes zones and sets from its permanent
configuration alone, so they are put there, empty, and one reload brings them into force: with the first block in a
host's life. A reload also forgets whatever is in the runtime configuration only, a port opened a moment ago; so if
there is any such thing, a person decides.

Why a zone of our own and not `drop`: what is in that may be the administrator's, and nobody could tell it from ours.
Its name begins with a digit because firewalld looks through zones with sources in the order of their names, and an
address that is in an earlier one never comes to ours.
"""

from collections.abc import Iterator
from typing import Any

from agent.actions.firewalld_drop.firewalld_bus import (
    CONFIG,
    CONFIG_DIRECT,
    CONFIG_IPSET,
    CONFIG_PATH,
    CONFIG_POLICY,
    CONFIG_ZONE,
    DIRECT,
    IPSET,
    MAIN,
    POLICY,
    PROPERTIES,
    RUNTIME_PATH,
    ZONE,
    Bus,
)
from shared.errors import ActionError

NAME = "0-thwart"
HOSTS, NETWORKS = {4: "thwart4", 6: "thwart6"}, {4: "thwart4-nets", 6: "thwart6-nets"}
SETS = {  # by name: family and type
    **{name: (f"inet{'6' if version == 6 else ''}", "hash:ip") for version, name in HOSTS.items()},
    **{name: (f"inet{'6' if version == 6 else ''}", "hash:net") for version, name in NETWORKS.items()},
}
MOST = 131_072  # members of a set
SOURCES = {f"ipset:{name}" for name in SETS}
ABOUT = "Whom Thwart blocks. What is in here comes and goes; it is no place for anything else."
# Of a zone: interfaces are put back by a reload. firewalld's own names for what a zone has.
NOT_LOST = {"interfaces", "version", "short", "description"}


def check(bus: Bus) -> None:
    """Changes nothing. Raises ActionError with what stands in the way of `make`."""
    bus.ask(MAIN, "authorizeAll")  # with polkit anybody may look
    state = _text(bus.ask(PROPERTIES, "Get", "ss", MAIN, "state", path=RUNTIME_PATH))
    if state != "RUNNING":
        raise ActionError(f"firewalld: its state is {state}; `firewall-cmd --check-config` says why")
    if _is_known(bus):
        _check_target(bus)
    else:
        _check_runtime(bus)


def make(bus: Bus) -> None:
    """Brings zone and sets into force, unless they are. Raises ActionError as `check`."""
    if not _is_known(bus):
        _define(bus)
        _check_runtime(bus)
        bus.ask(MAIN, "reload")
    _check_target(bus)
    for missing in SOURCES - set(bus.ask(ZONE, "getSources", "s", NAME)):
        bus.ask(ZONE, "addSource", "ss", NAME, missing)


def uses_nftables(bus: Bus) -> bool:
    """Whether its rules and sets are in nftables, where they can be looked at; else in iptables and ipset."""
    return _text(bus.ask(PROPERTIES, "Get", "ss", CONFIG, "FirewallBackend", path=CONFIG_PATH)) == "nftables"


def _is_known(bus: Bus) -> bool:
    return NAME in bus.ask(ZONE, "getZones") and set(SETS) <= set(bus.ask(IPSET, "getIPSets"))


def _define(bus: Bus) -> None:
    """In the permanent configuration, as far as it isn't there."""
    there = bus.ask(CONFIG, "getIPSetNames")
    for name, (family, kind) in SETS.items():
        if name not in there:
            options = {"family": family, "maxelem": str(MOST)}
            bus.ask(CONFIG, "addIPSet", "s(ssssa{ss}as)", name, ("", "Thwart", ABOUT, kind, options, []))
    if NAME not in bus.ask(CONFIG, "getZoneNames"):
        about = {"short": ("s", "Thwart"), "description": ("s", ABOUT)}
        settings = {**about, "target": ("s", "DROP"), "forward": ("b", False), "sources": ("as", sorted(SOURCES))}
        bus.ask(CONFIG, "addZone2", "sa{sv}", NAME, settings)


def _check_runtime(bus: Bus) -> None:
    lost = sorted(_only_in_runtime(bus))
    if lost:
        raise ActionError(
            f"firewalld: zone {NAME} needs a reload, which would undo what is only in the runtime configuration "
            f"({', '.join(lost)}); make that permanent with `firewall-cmd --runtime-to-permanent`, or let it go with "
            "`firewall-cmd --reload`"
        )


def _check_target(bus: Bus) -> None:
    target = _text(bus.ask(ZONE, "getZoneSettings2", "s", NAME).get("target", ("s", "default")))
    if target != "DROP":
        raise ActionError(
            f"firewalld: its zone {NAME} has the target {target}, so nothing would be dropped; "
            f"`firewall-cmd --permanent --zone={NAME} --set-target=DROP`, then `firewall-cmd --reload`"
        )


def _only_in_runtime(bus: Bus) -> Iterator[str]:
    """What differs between the configuration in force and the permanent one, in the user's words."""
    for zone in bus.ask(ZONE, "getZones"):
        if _settings(bus.ask(ZONE, "getZoneSettings2", "s", zone)) != _permanent(
            bus, "Zone", zone, CONFIG_ZONE, "getSettings2"
        ):
            yield f"zone {zone}"
    for policy in bus.ask(POLICY, "getPolicies"):
        if _settings(bus.ask(POLICY, "getPolicySettings", "s", policy)) != _permanent(
            bus, "Policy", policy, CONFIG_POLICY, "getSettings"
        ):
            yield f"policy {policy}"
    for name in bus.ask(IPSET, "getIPSets"):
        if _members(bus.ask(IPSET, "getIPSetSettings", "s", name)) != _permanent(
            bus, "IPSet", name, CONFIG_IPSET, "getSettings"
        ):
            yield f"ipset {name}"
    in_force = tuple(bus.ask(DIRECT, method) for method in ("getAllChains", "getAllRules", "getAllPassthroughs"))
    if in_force != tuple(bus.ask(CONFIG_DIRECT, "getSettings")):
        yield "direct rules"


def _permanent(bus: Bus, kind: str, name: str, interface: str, method: str) -> object:
    """The same of the permanent configuration; None where it has nothing of that name."""
    if name not in bus.ask(CONFIG, f"get{kind}Names"):
        return None
    settings = bus.ask(interface, method, path=bus.ask(CONFIG, f"get{kind}ByName", "s", name))
    return _members(settings) if kind == "IPSet" else _settings(settings)


def _settings(told: dict[str, tuple[str, Any]]) -> dict[str, object]:
    """What a reload could undo of a zone or policy; the order of most things makes no difference."""
    return {
        key: sorted(value) if isinstance(value, list) else value
        for key, (_, value) in told.items()
        if key not in NOT_LOST and value not in ([], False, "")
    }


def _members(told: tuple[Any, ...]) -> object:
    """Type, options and entries of a set."""
    *_, kind, options, entries = told
    return kind, options, sorted(entries)


def _text(variant: tuple[str, Any]) -> str:
    return str(variant[1])
