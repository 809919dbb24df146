"""Networks that can share a set which refuses overlaps."""

from collections.abc import Iterable

from shared.targets import Network, overlap, parse_network, text_of


def apart(keys: Iterable[str], fed: Iterable[str]) -> set[str]:
    """Those of `keys` that may be put to `fed`, whose networks don't overlap: neither do they all then. Of two that do
    the wider one is taken.
    """
    there = set(map(parse_network, fed))
    kept: list[Network] = []
    for each in sorted({*map(parse_network, keys), *there}, key=_by_begin):
        if kept and overlap(kept[-1], each):
            if each not in there:
                continue
            kept.pop()  # what is there already doesn't overlap: this one isn't
        kept.append(each)
    return {text_of(each) for each in kept if each not in there}


def _by_begin(network: Network) -> tuple[int, int]:
    """The wider one first: whatever overlaps one comes right behind it, or behind others in it."""
    return int(network.network_address), network.prefixlen
