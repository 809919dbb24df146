"""What orders act on has one spelling, what can't be meant is refused, and the allowlist holds in both directions."""

from contextlib import nullcontext
from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import InvalidTarget, ProtectedTarget
from shared.targets import (
    Allowlist,
    normalise_account,
    normalise_address,
    normalise_target,
    overlap,
    parse_network,
    text_of,
    zone_free,
)

ADDRESSES = st.ip_addresses()
NETWORKS = st.builds(
    lambda address, bits: ip_network((address, bits % (address.max_prefixlen + 1)), strict=False),
    st.ip_addresses(),
    st.integers(0, 128),
)


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("203.0.113.9", "203.0.113.9"),
        (" 203.0.113.9\n", "203.0.113.9"),
        ("203.0.113.9/32", "203.0.113.9"),
        ("203.0.113.9/24", "203.0.113.0/24"),
        ("10.0.0.0/8", "10.0.0.0/8"),
        ("2001:DB8:0:0:0:0:0:1", "2001:db8::1"),
        ("2001:db8::1/128", "2001:db8::1"),
        ("2001:db8::1/64", "2001:db8::/64"),
        ("::ffff:203.0.113.9", "203.0.113.9"),
        ("::FFFF:cb00:7109", "203.0.113.9"),
        ("::ffff:203.0.113.9/120", "203.0.113.0/24"),
        ("fe80::1", "fe80::1"),
        ("0.0.0.1", "0.0.0.1"),
        ("255.255.255.254", "255.255.255.254"),
    ],
)
def test_an_address_has_one_spelling(text: str, normal: str) -> None:
    """Hosts without a prefix length, networks without host bits, mapped IPv4 as IPv4, the shortest IPv6."""
    assert normalise_address(text) == normal
    assert normalise_address(normal) == normal


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("0.0.0.0/0", "everything"),
        ("::/0", "everything"),
        ("8.8.8.8/0", "everything"),
        ("::ffff:0:0/96", "everything"),
        ("127.0.0.1", "loopback"),
        ("127.9.9.9", "loopback"),
        ("127.0.0.0/8", "loopback"),
        ("::1", "loopback"),
        ("::ffff:127.0.0.1", "loopback"),
        ("0.0.0.0", "unspecified"),
        ("::", "unspecified"),
        ("224.0.0.1", "multicast"),
        ("239.255.255.250", "multicast"),
        ("ff02::1", "multicast"),
        ("255.255.255.255", "broadcast"),
    ],
)
def test_what_no_block_can_mean_is_refused_in_words(text: str, why: str) -> None:
    """Everything, loopback, multicast, the unspecified and the broadcast address are no targets."""
    with pytest.raises(InvalidTarget, match=why):
        normalise_address(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "web1",
        "example.org",
        "1",
        "3405803785",
        "0xcb007109",
        "203.0.113",
        "203.0.113.256",
        "203.0.113.09",
        "203.0.113.9/33",
        "203.0.113.9/-1",
        "203.0.113.9/255.255.255.0",
        "203.0.113.9/24/24",
        "203.0.113.9:22",
        "203.0.113.9,10.0.0.1",
        "203.0.113.9 10.0.0.1",
        "203.0.113.9\n10.0.0.1",
        "203.0.113.9;reboot",
        "2001:db8::1%eth0",
        "fe80::1%1",
        "[2001:db8::1]",
        "2001:db8::1::2",
        "2001:db8::/129",
        "٢٠٣.٠.١١٣.٩",
        "203.0.113.９",
        "203。0.113.9",
        "-1.2.3.4",
        "2" * 5_000,
    ],
)
def test_what_is_not_plainly_an_address_is_none(text: str) -> None:
    """Names, numbers, zones, masks, ports, lists and the digits of other scripts: on any doubt the answer is no."""
    with pytest.raises(InvalidTarget):
        normalise_address(text)


@pytest.mark.parametrize("text", ["." * 64_000 + "x", "." * 64_000, "2" * 256, ":" * 256])
def test_what_is_too_long_is_no_name_whatever_it_is_made_of(text: str) -> None:
    """Its length is looked at first: to find out what a long one was meant as could take seconds."""
    with pytest.raises(InvalidTarget, match="is no address, and no name: one line of at most 255 characters"):
        normalise_target(text)


@given(st.text() | st.from_regex(r"[0-9a-fA-F.:/%]{0,50}"))
def test_any_text_is_an_address_or_invalid(text: str) -> None:
    """Whatever text comes, the answer is the one spelling of an address, or InvalidTarget."""
    try:
        normal = normalise_address(text)
    except InvalidTarget:
        return
    assert normalise_address(normal) == normal
    ip_network(normal)


@given(ADDRESSES)
def test_every_spelling_of_an_address_comes_to_the_same(address) -> None:
    """Compressed, exploded, upper case or with its full prefix length."""
    try:
        normal = normalise_address(str(address))
    except InvalidTarget:
        return
    for text in (address.exploded, str(address).upper(), f"{address}/{address.max_prefixlen}"):
        assert normalise_address(text) == normal


@pytest.mark.parametrize(
    ("entry", "target", "protected"),
    [
        ("10.0.5.5", "10.0.5.5", True),
        ("10.0.5.5", "10.0.5.6", False),
        ("10.0.0.0/16", "10.0.5.5", True),
        ("10.0.5.5", "10.0.0.0/16", True),
        ("10.0.0.0/16", "10.0.0.0/8", True),
        ("10.0.0.0/16", "10.1.0.0/16", False),
        ("::ffff:10.0.5.5", "10.0.5.5", True),
        ("2001:db8::1", "2001:db8::/32", True),
        ("2001:db8::1", "10.0.5.5", False),
        ("0.0.0.0/0", "10.0.5.5", True),
        ("0.0.0.0/0", "2001:db8::1", False),
    ],
)
def test_a_target_is_protected_when_it_overlaps_an_entry_either_way(entry: str, target: str, protected: bool) -> None:
    """A network that holds somebody on the list is as protected as a host in a network on it."""
    allowlist = Allowlist.of([entry], "white_list")
    refused = pytest.raises(ProtectedTarget, match=r"is protected by .* \(white_list\)")
    with refused if protected else nullcontext():
        allowlist.check(target)


@given(NETWORKS, NETWORKS)
def test_protection_is_sharing_an_address(entry, target) -> None:
    """The list protects exactly what has an address in common with it; the order of the two doesn't matter."""
    one, other = parse_network(str(entry)), parse_network(str(target))
    shares = one.version == other.version and (
        one.network_address in other or other.network_address in one  # one of them lies in the other, or they are apart
    )
    for listed, asked in ((entry, target), (target, entry)):
        allowlist = Allowlist([(parse_network(str(listed)), "because")])
        try:
            allowlist.check(str(asked))
            protected = False
        except ProtectedTarget:
            protected = True
        assert protected == shares


CLOSE = st.builds(  # few addresses and many lengths, so that entries hold, share and touch each other
    lambda base, bits: parse_network(f"{base}/{bits}"),
    st.sampled_from(["10.0.0.0", "10.0.0.255", "10.0.1.0", "10.128.0.0", "0.0.0.0", "255.255.255.255"]),
    st.integers(0, 32),
) | st.builds(
    lambda base, bits: parse_network(f"{base}/{bits}"),
    st.sampled_from(
        ["2001:db8::", "2001:db8::ffff", "2001:db8:0:1::", "::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"]
    ),
    st.integers(0, 128),
)


@given(st.lists(st.tuples(CLOSE, st.text(max_size=3)), max_size=20), CLOSE)
def test_looking_an_entry_up_comes_to_the_same_as_going_through_all(entries, target) -> None:
    """Whatever the list: protected is what overlaps an entry, and the entry that is named is one of those."""
    allowlist, asked = Allowlist(entries), text_of(target)
    overlapping = [each for each in entries if overlap(each[0], target)]
    assert allowlist.overlapping(target) == overlapping
    assert allowlist.protects(asked) == bool(overlapping)
    refused = pytest.raises(ProtectedTarget) if overlapping else nullcontext()
    with refused as raised:
        allowlist.check(asked)
    if raised is not None:
        named = [f"{asked} is protected by {text_of(entry)} ({because})" for entry, because in overlapping]
        assert str(raised.value) in named


def test_what_is_no_address_is_not_protected_by_one() -> None:
    """An account or a script's own target has nothing to do with a list of networks."""
    assert not Allowlist.of(["0.0.0.0/0", "::/0"], "everything").protects("www-data")


def test_lists_add_up_and_each_entry_keeps_its_reason() -> None:
    """The answer names the entry that protects, and why it is on the list."""
    both = Allowlist.of(["10.0.0.1"], "gateway") | Allowlist.of(["192.0.2.0/24"], "agent.allow")
    assert len(both) == 2
    with pytest.raises(ProtectedTarget, match=r"192\.0\.2\.7 is protected by 192\.0\.2\.0/24 \(agent\.allow\)"):
        both.check("192.0.2.7")


@pytest.mark.parametrize("name", ["root", "www-data", "DOMAIN.user", "user@example.org", "svc$", "_apt", "a" * 255])
def test_account_names_that_systems_have_are_taken(name: str) -> None:
    """Users of Unix, Windows and directories."""
    assert normalise_account(f" {name} ") == name


@pytest.mark.parametrize(
    "name", ["", "-rf", "a b", "a:b", "a/b", "../x", "a\nb", "a\0", "ünser", "a" * 256, "$(id)", "a;b"]
)
def test_what_could_be_an_option_or_a_path_is_no_account(name: str) -> None:
    """Nothing that a program would take for an option, a field's end or a folder."""
    with pytest.raises(InvalidTarget):
        normalise_account(name)


@pytest.mark.parametrize("address", ["203.0.113.9", "203.0.113.0/24", "2001:db8::9"])
def test_an_address_is_no_account(address: str) -> None:
    """Who mixes actions up is told so, and not that such an account is missing."""
    with pytest.raises(InvalidTarget, match=f"{address} is an address, and no account's name"):
        normalise_account(address)


@given(ADDRESSES)
def test_zones_are_taken_off(address) -> None:
    """Interfaces and resolvers are named with zones that no packet carries."""
    plain = str(ip_address(str(address).split("%")[0]))
    assert zone_free(plain) == plain
    if address.version == 6:
        assert zone_free(f"{plain}%eth0") == plain
