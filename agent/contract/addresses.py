"""The contract of actions whose targets are addresses: `HostContract` for single ones, `NetworkContract` for all."""

from agent.contract.action import ActionContract, done, in_force, refuses, reverted
from agent.contract.subject import Subject

V4, V6 = "203.0.113.9", "2001:db8:bad::9"
NETWORKS = ("203.0.113.0/24", "2001:db8:bad::/64")
NESTED = (NETWORKS[0], "203.0.113.0/25", V4, "2001:db8:bad::/48", NETWORKS[1], V6)
LENGTHS = {"198.51.100.0": (1, 7, 8, 9, 15, 16, 23, 24, 25, 31, 32), "2001:db8::": (3, 32, 48, 63, 64, 65, 127, 128)}
HOSTILE = (
    "203.0.113.9; rm -rf /",
    "203.0.113.9 } ; flush ruleset",
    "203.0.113.9\nflush ruleset",
    "203.0.113.9\x00",
    "203.0.113.9 -j ACCEPT",
    "203.0.113.9,203.0.113.10",
    "!203.0.113.9",
    "2001:db8::" + "0" * 300,
    "[2001:db8::9]",
    "localhost",
    "ALL",
    "@hosts4",
    "203.0.113.1-203.0.113.9",
    "203.0.113.٩",  # a digit, but not one of ours
    "203.0.113。9",
    "２０３.0.113.9",
    "fe80::1%eth0",
    "2001:db8::1%; flush ruleset",
    "0.0.0.0",
    "0.0.0.0/0",
    "::",
    "::/0",
    "127.0.0.1",
    "127.1.2.3",
    "::1",
    "::ffff:127.0.0.1",
    "::ffff:0.0.0.0",
    "224.0.0.1",
    "ff02::1",
    "255.255.255.255",
    "203.0.113",
    "203.0.113.256",
    "203.0.113.9/33",
    "203.0.113.9/255.255.255.0",
    "0xcb007109",
    "3405803785",
)
HOST_KEYS = {
    "203.0.113.9/32": V4,
    " 203.0.113.9\n": V4,
    "::ffff:203.0.113.9": V4,
    "2001:DB8:0:0::1/128": "2001:db8::1",
}
NETWORK_KEYS = {
    "203.0.113.9/24": NETWORKS[0],
    "::ffff:203.0.113.0/120": NETWORKS[0],
    "2001:DB8:0:0::1/64": "2001:db8::/64",
}


class AddressContract(ActionContract):
    """What both have."""

    def test_both_families_are_tried(self, subject: Subject) -> None:
        """What is promised is promised of IPv4 and of IPv6: the examples have some of each."""
        assert {":" in key for key in subject.examples} == {True, False}

    def test_a_hostile_address_is_refused(self, subject: Subject) -> None:
        """What isn't plainly an address that may be blocked never becomes a key."""
        refuses(subject, HOSTILE)

    def test_an_address_has_one_key(self, subject: Subject) -> None:
        """However it is spelled."""
        assert {each: subject.action.key(each, ()) for each in HOST_KEYS} == HOST_KEYS


class HostContract(AddressContract):
    """For what can't act on networks."""

    def test_a_network_is_refused(self, subject: Subject) -> None:
        """It is not taken for its first address."""
        refuses(subject, (*NETWORKS, "203.0.113.9/31", "2001:db8::9/127"))


class NetworkContract(AddressContract):
    """For what acts on networks too."""

    def test_a_network_has_one_key(self, subject: Subject) -> None:
        """Its first address and its length."""
        assert {each: subject.action.key(each, ()) for each in NETWORK_KEYS} == NETWORK_KEYS

    def test_what_lies_inside_a_network_has_an_end_of_its_own(self, subject: Subject) -> None:
        """A network, one inside it that begins with the same address, and a host in both: none moves another's end."""
        ends = dict(zip(NESTED, (60, 120, None, 3_600, None, 60), strict=True))
        done(subject, ends)
        in_force(subject, ends)
        anew = {NESTED[1]: 30, NESTED[3]: None}
        done(subject, anew)
        in_force(subject, ends | anew)

    def test_lifting_a_network_lifts_nothing_inside_or_around_it(self, subject: Subject) -> None:
        """Each is there until its own turn comes, in whatever sequence."""
        ends: dict[str, float | None] = dict.fromkeys(NESTED, 60.0)
        done(subject, ends)
        for number in (1, 2, 3, 5, 0, 4):
            assert reverted(subject, [NESTED[number]] * 2) == [NESTED[number]] * 2
            del ends[NESTED[number]]
            in_force(subject, ends)

    def test_networks_of_many_lengths_at_once(self, subject: Subject) -> None:
        """Each family's shortest to its longest, in one call."""
        keys = [subject.action.key(f"{each}/{length}", ()) for each, some in LENGTHS.items() for length in some]
        done(subject, dict.fromkeys(keys, 60.0))
        in_force(subject, dict.fromkeys(keys, 60.0))
        reverted(subject, keys[::2])
        in_force(subject, dict.fromkeys(keys[1::2], 60.0))


def hosts(number: int) -> list[str]:
    """So many addresses to be the `many` of a subject, of both families by turns."""
    pairs = ((f"10.{each >> 16}.{each >> 8 & 255}.{each & 255}", f"2001:db8:1::{each:x}") for each in range(1, number))
    return [address for pair in pairs for address in pair][:number]
