"""The hosts of the backends' bench, and what each backend needs on its own: programs, a daemon, a folder."""

from collections.abc import Callable
from pathlib import Path

from agent.actions.action import Action
from agent.actions.firewall_drop.ipset import Ipset
from agent.actions.firewall_drop.iptables import Iptables
from agent.actions.firewall_drop.nftables import Nftables
from agent.actions.firewalld_drop.firewalld import Firewalld
from agent.actions.host_deny.host_deny import HostDeny
from agent.actions.route_null.linux_routes import LinuxRoutes
from agent.actions.route_null.route_null import RouteNull
from agent.actions.tools.tool import Tools
from tests.bench import one_fork
from tests.bench.one_fork import OneFork
from tests.contract.in_filter import programs_of
from tests.stage import firewalld
from tests.stage.guard import Guard
from tests.stage.network import Host, Network

Made = tuple[Callable[[], Action], OneFork]


class Stage:
    """What the backends' hosts are made of."""

    def __init__(self, guard: Guard, folder: Path) -> None:
        self._guard, self._folder, self._network, self._hosts = guard, folder, Network(guard), 0

    def host(self) -> Host:
        """One more."""
        self._hosts += 1
        return self._network.host(f"h{self._hosts}", self._hosts)

    def nftables(self, host: Host) -> Made:
        return Nftables, one_fork.nft()

    def ipset(self, variant: str) -> Callable[[Host], Made]:
        tools = self._programs(variant)
        return lambda host: (lambda: Ipset(tools=tools), one_fork.ipset(Path(tools.path)))

    def iptables(self, variant: str) -> Callable[[Host], Made]:
        tools = self._programs(variant)
        return lambda host: (lambda: Iptables(tools=tools), one_fork.iptables(Path(tools.path)))

    def firewalld(self, host: Host) -> Made:
        daemon = firewalld.Firewalld(self._guard, host, self._folder / f"firewalld-{host.name}")
        return lambda: Firewalld(daemon.asked), one_fork.firewall_cmd(daemon.bus.address)

    def routes(self, host: Host) -> Made:
        return lambda: RouteNull(LinuxRoutes()), one_fork.route()

    def hosts_deny(self, host: Host) -> Made:
        etc = self._folder / f"etc-{host.name}"
        etc.mkdir()
        return lambda: HostDeny(etc=etc), one_fork.hosts_deny(etc / "hosts.deny")

    def backends(self) -> dict[str, Callable[[Host], Made]]:
        """By name."""
        return {
            "nftables": self.nftables,
            **{f"ipset, -{each}": self.ipset(each) for each in ("nft", "legacy")},
            **{f"iptables, -{each}": self.iptables(each) for each in ("nft", "legacy")},
            "firewalld": self.firewalld,
            "ip route": self.routes,
            "hosts.deny": self.hosts_deny,
        }

    def _programs(self, variant: str) -> Tools:
        folder = self._folder / variant
        return Tools(path=str(folder if folder.exists() else programs_of(variant, folder)))
