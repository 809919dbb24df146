"""firewalld-drop by a real firewalld on a bus of its own, as the contract and what goes beyond it look at it."""

import json
from typing import Any

from agent.actions.action import Action, Effect
from agent.actions.firewalld_drop.firewalld import Firewalld
from agent.actions.firewalld_drop.firewalld_bus import FirewalldBus
from agent.actions.firewalld_drop.firewalld_zone import NAME
from agent.contract.addresses import hosts
from shared.errors import ActionError
from tests.contract.subject import EXAMPLES, There
from tests.stage import firewalld
from tests.stage.network import Host

SPOILT = "COMMAND_FAILED: out of order"


class Spoilt:
    """firewalld, made to refuse whatever has to do with some targets."""

    def __init__(self, bus: FirewalldBus) -> None:
        self._bus = bus
        self.targets: set[str] = set()
        self.asked = 0

    def ask(self, interface: str, method: str, signature: str = "", *values: object, **how: Any) -> Any:
        self.asked += 1
        if method in ("addEntry", "setEntries", "addSource"):
            what = values[-1]
            if self.targets.intersection(what if isinstance(what, list) else [what]):
                raise ActionError(SPOILT)
        return self._bus.ask(interface, method, signature, *values, **how)


class ByFirewalld:
    """The action on a host whose firewalld runs; what is in force is told by nft's listing of firewalld's table."""

    def __init__(self, host: Host, daemon: firewalld.Firewalld) -> None:
        self._host, self.daemon = host, daemon
        self.bus = Spoilt(daemon.asked())
        self._all: list[There] = []
        self.action: Action = self._made(Firewalld(lambda: self.bus))
        self.action.prepare()
        self.examples, self.many = EXAMPLES, hosts(600)

    def seen(self) -> set[str]:
        listed = json.loads(self._host.run("nft", "-j", "list", "table", "inet", "firewalld"))["nftables"]
        chain = [each["rule"] for each in listed if each.get("rule", {}).get("chain") == "filter_INPUT_ZONES"]
        dropped = [
            rule["expr"][0]["match"]["right"]
            for rule in chain
            if rule["expr"][-1].get("goto", {}).get("target") == f"filter_IN_{NAME}"
        ]
        sets = {f"@{each['set']['name']}": each["set"].get("elem", []) for each in listed if "set" in each}
        found = [each for one in dropped for each in (sets[one] if isinstance(one, str) else [one])]
        return {each if isinstance(each, str) else _network(each) for each in found}

    def flush(self) -> None:
        self.daemon.reload()

    def later(self) -> None:
        """The kernel tells at once."""

    def restarted(self) -> Action:
        return self._made(Firewalld(self.daemon.asked))

    def spoil(self, key: str) -> None:
        self.bus.targets.add(key)

    def close(self) -> None:
        """Leaves nothing in force."""
        self.bus.targets.clear()
        self.action.revert([effect(key) for key in self.action.inspect()])
        for each in self._all:
            each.close()

    def _made(self, action: Firewalld) -> There:
        self._all.append(There(self._host, lambda: action))
        return self._all[-1]


def _network(match: dict[str, Any]) -> str:
    return f"{match['prefix']['addr']}/{match['prefix']['len']}"


def effect(key: str) -> Effect:
    """Until it is reverted."""
    return Effect(key=key, target=key)
