"""What iptables-restore is told, from what iptables lists: pure."""

import re

import pytest

from agent.actions.firewall_drop.chain_rules import DELETED, Seen, changes, seen

RULE = re.compile(r"-A ours (-s \S+) -j DROP")
HOOKED = "-N ours\n-A INPUT -j ours\n-A INPUT -p tcp -j ACCEPT\n-A FORWARD -j ours\n"
NOBODY = "-P INPUT ACCEPT\n-P FORWARD ACCEPT\n-P OUTPUT ACCEPT\n"


def _seen(listing: str) -> Seen:
    return seen(NOBODY + listing, "ours", RULE)


def _changes(listing: str, wanted: tuple[str, ...] = (), gone: tuple[str, ...] = (), always: bool = False) -> list[str]:
    return changes(_seen(listing), "ours", wanted, gone, always=always)


def _rules(*addresses: str) -> str:
    return "".join(f"-A ours -s {each} -j DROP\n" for each in addresses)


def test_all_is_made_where_nothing_is() -> None:
    """The chain, its rules, and the jumps to it before whatever else is there."""
    assert _changes("-A INPUT -p tcp -j ACCEPT\n", ("-s 192.0.2.1/32",)) == [
        ":ours - [0:0]",
        "-A ours -s 192.0.2.1/32 -j DROP",
        "-I INPUT 1 -j ours",
        "-I FORWARD 1 -j ours",
    ]


def test_nothing_is_said_where_all_is_well() -> None:
    """What is there stays, and what isn't needn't go; a chain is made for rules, or when it is asked for."""
    assert _changes(HOOKED + _rules("192.0.2.1/32"), ("-s 192.0.2.1/32",), ("-s 192.0.2.10/32",)) == []
    assert _changes("", (), ("-s 192.0.2.1/32",)) == []
    assert _changes("", always=True) == [":ours - [0:0]", "-I INPUT 1 -j ours", "-I FORWARD 1 -j ours"]


def test_only_what_differs_is_changed() -> None:
    """One of many comes, and one goes."""
    assert _changes(HOOKED + _rules("192.0.2.1/32", "192.0.2.2/32"), ("-s 192.0.2.3/32",), ("-s 192.0.2.1/32",)) == [
        "-D ours -s 192.0.2.1/32 -j DROP",
        "-A ours -s 192.0.2.3/32 -j DROP",
    ]


@pytest.mark.parametrize(
    ("there", "moves"),
    [
        ("-A INPUT -j ours\n", ["-I FORWARD 1 -j ours"]),
        ("-A INPUT -j ours\n-A FORWARD -j x\n-A FORWARD -j ours\n", ["-D FORWARD -j ours", "-I FORWARD 1 -j ours"]),
        (
            "-A INPUT -j ours\n-A INPUT -j ours\n-A FORWARD -j ours\n",
            ["-D INPUT -j ours", "-D INPUT -j ours", "-I INPUT 1 -j ours"],
        ),
        ("-A INPUT -j ours\n-A FORWARD -p tcp -j ours\n", ["-I FORWARD 1 -j ours"]),
    ],
)
def test_the_jump_is_there_once_and_comes_first(there: str, moves: list[str]) -> None:
    """Whoever has put it elsewhere, or something before it."""
    listing = f"-N ours\n{there}{_rules('192.0.2.1/32')}"
    assert not _seen(listing).in_force
    assert _changes(listing, ("-s 192.0.2.1/32",)) == moves


def test_behind_somebody_elses_rule_nothing_is_sure() -> None:
    """It is thrown out by writing the chain anew, with all that was ours in it."""
    listing = HOOKED + _rules("192.0.2.1/32") + "-A ours -j RETURN\n" + _rules("192.0.2.2/32")
    assert _seen(listing).in_force == ("-s 192.0.2.1/32",)
    assert _changes(listing) == [":ours - [0:0]", *_rules("192.0.2.1/32", "192.0.2.2/32").splitlines()]


def test_a_rule_that_is_there_twice_is_written_once() -> None:
    """Else one lift would leave the other."""
    listing = HOOKED + _rules("192.0.2.1/32", "192.0.2.1/32")
    assert _changes(listing) == [":ours - [0:0]", *_rules("192.0.2.1/32").splitlines()]
    assert _changes(listing, (), ("-s 192.0.2.1/32",)) == [":ours - [0:0]"]


def test_many_are_taken_out_by_writing_the_others_anew() -> None:
    """Each deletion looks for its rule from the first one on."""
    there = [f"192.0.2.{number}/32" for number in range(DELETED + 2)]
    gone = tuple(f"-s {each}" for each in there[:-1])
    assert _changes(HOOKED + _rules(*there), (), gone) == [":ours - [0:0]", *_rules(there[-1]).splitlines()]
    assert len(_changes(HOOKED + _rules(*there), (), gone[:-1])) == DELETED


def test_no_rule_is_deleted_that_may_be_taken_for_another() -> None:
    """Of networks that begin alike ip6tables-nft 1.8.9 deletes the first, whatever its length."""
    listing = HOOKED + _rules("2001:db8::/48", "2001:db8::/32", "2001:db8:1::/48")
    assert _changes(listing, (), ("-s 2001:db8::/32",)) == [
        ":ours - [0:0]",
        *_rules("2001:db8::/48", "2001:db8:1::/48").splitlines(),
    ]
    assert _changes(listing, (), ("-s 2001:db8:1::/48",)) == ["-D ours -s 2001:db8:1::/48 -j DROP"]
