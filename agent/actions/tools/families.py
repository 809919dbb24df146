"""IPv4 and IPv6 apart, for firewalls whose tools have one program, one set or one chain for each of them."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from agent.actions.action import Effect, Result
from agent.actions.tools.places import LENGTHS, Place, place_of
from agent.actions.tools.problems import results, understood
from shared.errors import InvalidTarget

IPV6 = Path("/proc/thread-self/net/if_inet6")  # not there when the kernel was started without IPv6

Wanted = Mapping[str, float | None]  # seconds left, by address or network
CarryOut = Callable[[int, Wanted], Mapping[str, str]]  # one family's; what failed, with the tool's words


def families(ipv6: Path = IPV6) -> tuple[int, ...]:
    """Those that this host has. To one without IPv6 no packet comes by it, and its tools may not work at all."""
    return (4, 6) if ipv6.exists() else (4,)


def by_family(effects: Sequence[Effect], carry_out: CarryOut) -> list[Result]:
    """Calls `carry_out` once for each family; a result for each effect, in order. The later of two in one place counts,
    and what is no address is answered so.
    """
    places, problems = understood((effect.key for effect in effects), place_of)
    names = {key: _spelled(place) for key, place in places.items()}
    wanted: dict[int, dict[str, float | None]] = defaultdict(dict)
    for effect in effects:
        if effect.key in places:
            wanted[places[effect.key].set.version][names[effect.key]] = effect.left
    failed = {name: words for version, some in wanted.items() for name, words in carry_out(version, some).items()}
    problems |= {key: failed[name] for key, name in names.items() if name in failed}
    return results(effects, problems)


def key_of(version: int, listed: str) -> str:
    """The key of an address or network as tools list it: `203.0.113.9/32`, `2001:db8::/64`; empty for an IPv4 address
    in IPv6's spelling, which comes in no packet and so is nobody's block.

    Their IPv6 is that of inet_ntop(3), which differs from the key's spelling only where it ends like an IPv4 address.
    """
    if version == 6 and "." in listed:
        try:
            place = place_of(listed)
        except InvalidTarget:
            return ""
        return _spelled(place) if place.set.version == version else ""
    return listed.removesuffix(f"/{LENGTHS[version]}")


def _spelled(place: Place) -> str:
    return place.address if place.set.of_hosts else f"{place.address}/{place.set.length}"
