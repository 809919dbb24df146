"""What may carry each action out, on whatever system: the list that `agent/actions/choice.py` tries.

The rule it keeps: an action's order is from the best to what will do, and nothing here looks at this host.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from importlib.metadata import EntryPoint
from pathlib import Path

import structlog
from msgspec import Struct

from agent.actions import custom, slow_actions
from agent.actions.action import Action
from agent.actions.disable_account.accounts import Accounts
from agent.actions.disable_account.directory import Directory
from agent.actions.disable_account.disable_account import DisableAccount
from agent.actions.disable_account.local_users import LocalUsers
from agent.actions.disable_account.shadow import Shadow
from agent.actions.firewall_drop.ipfw import Ipfw
from agent.actions.firewall_drop.ipset import Ipset
from agent.actions.firewall_drop.iptables import Iptables
from agent.actions.firewall_drop.netsh import Netsh
from agent.actions.firewall_drop.nftables import Nftables
from agent.actions.firewall_drop.npf import Npf
from agent.actions.firewall_drop.pf import Pf
from agent.actions.firewalld_drop.firewalld import Firewalld
from agent.actions.host_deny.host_deny import ALLOW, DENY, HostDeny
from agent.actions.route_null import bsd_routes
from agent.actions.route_null.bsd_routes import BsdRoutes
from agent.actions.route_null.linux_routes import LinuxRoutes
from agent.actions.route_null.route_null import RouteNull
from agent.actions.route_null.windows_routes import WindowsRoutes
from shared.errors import ActionError
from shared.settings import ActionsSettings

FIREWALL = "firewall-drop"

log = structlog.get_logger()


class Candidate(Struct, frozen=True):
    """What may carry an action out. `make` does nothing to the host: that `Action.prepare` does."""

    make: Callable[[ActionsSettings], Action]
    systems: tuple[str, ...] = ()  # that have it, as platform.system() says; none: any may
    former: bool = False  # never chosen: an earlier run may have used it, by other settings


Catalogue = Mapping[str, Sequence[Candidate]]


def _host_deny(settings: ActionsSettings) -> HostDeny:
    return HostDeny() if settings.host_deny_file == "auto" else HostDeny(file=settings.host_deny_file)


def _other_host_deny(settings: ActionsSettings) -> HostDeny:
    return HostDeny(file=ALLOW if _host_deny(settings).backend == DENY else DENY)


def _disable_account(accounts: Callable[[], Accounts], settings: ActionsSettings) -> DisableAccount:
    return DisableAccount(
        accounts(),
        kept=Path(settings.records, "accounts.json"),
        never=settings.never_disable,
        ends_sessions=settings.end_sessions,
    )


_PF = Candidate(lambda settings: Pf(settings.pf_anchor), ("FreeBSD", "OpenBSD", "Darwin"))
_IPFW = Candidate(lambda _: Ipfw(), ("FreeBSD",))
_NPF = Candidate(lambda _: Npf(), ("NetBSD",))
_NETSH = Candidate(lambda _: Netsh(), ("Windows",))
_WINDOWS_ROUTES = Candidate(lambda _: RouteNull(WindowsRoutes()), ("Windows",))

# By name, in the order in which they are tried. What goes by two names is one candidate, the same object, under both.
BUILT_IN: Catalogue = {
    FIREWALL: (
        Candidate(lambda _: Nftables(), ("Linux",)),
        Candidate(lambda _: Ipset(), ("Linux",)),
        Candidate(lambda _: Iptables(), ("Linux",)),
        _PF,
        _IPFW,
        _NPF,
        _NETSH,
    ),
    "pf": (_PF,),
    "ipfw": (_IPFW,),
    "npf": (_NPF,),
    "netsh.exe": (_NETSH,),
    "host-deny": (
        Candidate(_host_deny, ("Linux", "FreeBSD")),
        Candidate(_other_host_deny, ("Linux", "FreeBSD"), former=True),
    ),
    "disable-account": (
        Candidate(partial(_disable_account, Shadow), ("Linux",)),
        Candidate(partial(_disable_account, Directory), ("Darwin",)),
        Candidate(partial(_disable_account, LocalUsers), ("Windows",)),
    ),
    "firewalld-drop": (Candidate(lambda _: Firewalld(), ("Linux",)),),
    "route-null": (
        Candidate(lambda _: RouteNull(LinuxRoutes()), ("Linux",)),
        Candidate(lambda _: RouteNull(BsdRoutes()), bsd_routes.SYSTEMS),
        _WINDOWS_ROUTES,
    ),
    "route-null.exe": (_WINDOWS_ROUTES,),
}


def everything(named: Collection[str] = ()) -> Catalogue:
    """What is built in, and under other names what installed packages bring. Who has settings for more, `named` so, is
    told that it isn't there.
    """
    brought: Catalogue = {each.name: (Candidate(partial(_brought, each)),) for each in custom.found() if _is_new(each)}
    absent: Catalogue = {each: (Candidate(partial(_absent, each)),) for each in named}
    return {**absent, **BUILT_IN, **brought}


def _is_new(entry: EntryPoint) -> bool:
    if entry.name not in (*BUILT_IN, *slow_actions.BUILT_IN):
        return True
    log.warning("a package's action isn't used: one of that name is built in", what=entry.name, package=entry.value)
    return False


def _absent(name: str, settings: ActionsSettings) -> Action:
    raise ActionError(custom.NOBODYS.format(name))


def _brought(entry: EntryPoint, settings: ActionsSettings) -> Action:
    return custom.made(entry, settings.own.get(entry.name, {}))
