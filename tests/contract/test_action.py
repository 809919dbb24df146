"""The contract of every action (agent/actions/action.py), held against the fake and against a real kernel."""

import math

import pytest

from agent.actions.action import Action, Effect
from agent.actions.nftables import Nftables
from shared.errors import InvalidTarget
from tests.contract.subject import Subject
from tests.stage.fake_action import FakeAction
from tests.unit.a_manager import StoppedClock

V4, V6 = "203.0.113.9", "2001:db8:bad::9"
NESTED = ("203.0.113.0/24", "203.0.113.0/25", V4, "2001:db8:bad::/48", "2001:db8:bad::/64", V6)
HOSTILE = (
    "203.0.113.9; rm -rf /",
    "203.0.113.9 } ; flush ruleset",
    "203.0.113.9\nflush ruleset",
    "203.0.113.9\x00",
    "-j ACCEPT",
    "../x",
    "$(reboot)",
    "9" * 300,
    "2001:db8::" + "0" * 300,
    "",
    " ",
    "localhost",
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
    "0xcb007109",
    "3405803785",
)

each_action = pytest.mark.parametrize(
    "action", [FakeAction(StoppedClock()), Nftables()], ids=lambda action: action.backend
)


def test_what_is_applied_is_in_force_for_the_time_that_is_left(subject: Subject) -> None:
    """IPv4 and IPv6 in one call, each with its own end; a result for each, in order."""
    assert _keys_done(subject, [_effect(V4, 60), _effect(V6, 90)]) == [V4, V6]
    assert _left(subject) == {V4: 60, V6: 90}


def test_applying_twice_is_the_same_as_once(subject: Subject) -> None:
    """A redelivered order finds its effect there and does no harm."""
    for _ in range(2):
        _keys_done(subject, [_effect(V4, 60)])
    assert _left(subject) == {V4: 60}


@pytest.mark.parametrize("before", [5, 3_600, None])
@pytest.mark.parametrize("after", [60, None])
@pytest.mark.parametrize("key", [V4, V6])
def test_the_last_end_given_is_the_end(subject: Subject, before: float | None, after: float | None, key: str) -> None:
    """Extends, shortens, makes permanent and takes that back: whatever end it had."""
    _keys_done(subject, [_effect(key, before)])
    _keys_done(subject, [_effect(key, after)])
    assert _left(subject) == {key: after}


def test_an_effect_ends_by_itself(subject: Subject) -> None:
    """Nobody has to come back for it."""
    _keys_done(subject, [_effect(V4, 0.2), _effect(V6, 60)])
    subject.ends(V4, 0.2)
    assert _left(subject) == {V6: 60}


def test_one_that_had_ended_can_be_applied_again(subject: Subject) -> None:
    """What the kernel has dropped by itself doesn't get in the way of the next block."""
    for _ in range(3):
        _keys_done(subject, [_effect(V4, 0.05)])
        subject.ends(V4, 0.05)
    _keys_done(subject, [_effect(V4, 60)])
    assert _left(subject) == {V4: 60}


@pytest.mark.parametrize("left", [0.0004, 1e-9, 0.0, -3.0])
def test_next_to_nothing_left_is_not_for_ever(subject: Subject, left: float) -> None:
    """0.4 ms rounded down would be `0ms`, which nft takes as permanent."""
    _keys_done(subject, [_effect(V4, left), _effect(V6, left)])
    subject.ends(V4, 0.01)
    subject.ends(V6, 0.01)


@pytest.mark.parametrize("left", [99_999.999, 100_000.0, 86_400.0 * 365])
def test_long_blocks_keep_their_length(subject: Subject, left: float) -> None:
    """More than 28 hours are too many milliseconds for nft."""
    _keys_done(subject, [_effect(V4, left)])
    assert subject.action.inspect()[V4] == pytest.approx(left, abs=1)


def test_for_ever_is_for_ever(subject: Subject) -> None:
    """No end given: until it is lifted."""
    _keys_done(subject, [_effect(V4, None), _effect(V6, None)])
    assert _left(subject) == {V4: None, V6: None}


def test_reverting_ends_an_effect_and_no_other(subject: Subject) -> None:
    """10.0.0.1 goes, 10.0.0.12 stays."""
    _keys_done(subject, [_effect("10.0.0.1", 60), _effect("10.0.0.12", None), _effect(V6, 60)])
    assert _reverted(subject, ["10.0.0.1"]) == ["10.0.0.1"]
    assert _left(subject) == {"10.0.0.12": None, V6: 60}


def test_reverting_what_is_not_in_force_is_done(subject: Subject) -> None:
    """Twice, or never applied, or ended: the wish is fulfilled."""
    _keys_done(subject, [_effect(V4, None)])
    for _ in range(2):
        assert _reverted(subject, [V4, V6]) == [V4, V6]
    assert _left(subject) == {}


def test_thousands_at_once(subject: Subject) -> None:
    """2,000 are applied, found and reverted in one call each, both families mixed."""
    keys = [text for number in range(1_000) for text in (f"10.1.{number >> 8}.{number & 255}", f"2001:db8::{number:x}")]
    assert _keys_done(subject, [_effect(_key(subject, text), 600) for text in keys]) == [
        _key(subject, text) for text in keys
    ]
    assert len(subject.action.inspect()) == 2_000
    _reverted(subject, [_key(subject, text) for text in keys])
    assert _left(subject) == {}


def test_the_same_host_twice_in_one_call(subject: Subject) -> None:
    """The later of the two counts, and both are answered."""
    assert _keys_done(subject, [_effect(V4, 5), _effect(V4, 60)]) == [V4, V4]
    assert _left(subject) == {V4: 60}
    assert _reverted(subject, [V4, V4]) == [V4, V4]
    assert _left(subject) == {}


def test_nothing_to_do_is_nothing_done(subject: Subject) -> None:
    """An empty call has an empty answer."""
    assert subject.action.apply([]) == []
    assert subject.action.revert([]) == []


@pytest.mark.parametrize("size", [1, 2, 1_000])
def test_one_that_fails_stops_no_other(subject: Subject, size: int) -> None:
    """Only the culprit's order is answered `failed`, with the host's words; the other 999 are in force."""
    keys = [f"10.2.{number >> 8}.{number & 255}" for number in range(size)]
    culprit = keys[size * 2 // 3]
    subject.spoil(culprit)
    results = subject.action.apply([_effect(key, 60) for key in keys])
    assert [result.key for result in results] == keys
    assert [result.key for result in results if result.problem] == [culprit]
    assert set(subject.action.inspect()) == set(keys) - {culprit}


def test_what_was_cleared_away_from_outside_can_be_applied_again(subject: Subject) -> None:
    """Somebody's `nft flush ruleset` between two calls makes neither of them fail."""
    _keys_done(subject, [_effect(V4, 60)])
    subject.flush()
    assert _left(subject) == {}
    assert _reverted(subject, [V4]) == [V4]
    subject.flush()
    _keys_done(subject, [_effect(V6, 60)])
    assert _left(subject) == {V6: 60}


def test_preparing_again_keeps_what_is_in_force(subject: Subject) -> None:
    """A restart lifts nothing."""
    _keys_done(subject, [_effect(V4, 60), _effect(V6, None)])
    for _ in range(2):
        subject.action.prepare()
    assert _left(subject) == {V4: 60, V6: None}


def test_what_lies_inside_a_network_has_an_end_of_its_own(subject: Subject) -> None:
    """A network, one inside it that begins with the same address, and a host in both: none moves another's end."""
    ends = dict(zip(NESTED, (60, 120, None, 3_600, None, 60), strict=True))
    _keys_done(subject, [_effect(key, left) for key, left in ends.items()])
    assert _left(subject) == ends
    _keys_done(subject, [_effect("203.0.113.0/25", 30), _effect("2001:db8:bad::/48", None)])
    assert _left(subject) == ends | {"203.0.113.0/25": 30, "2001:db8:bad::/48": None}


def test_lifting_a_network_lifts_nothing_inside_or_around_it(subject: Subject) -> None:
    """Each is there until its own turn comes, in whatever sequence."""
    _keys_done(subject, [_effect(key, 60) for key in NESTED])
    for number in (1, 2, 3, 5, 0, 4):
        before = _left(subject)
        assert _reverted(subject, [NESTED[number]] * 2) == [NESTED[number]] * 2
        assert _left(subject) == {key: left for key, left in before.items() if key != NESTED[number]}


def test_a_network_ends_by_itself(subject: Subject) -> None:
    """And the host in it doesn't."""
    _keys_done(subject, [_effect("203.0.113.0/24", 0.2), _effect("2001:db8::/32", 0.2), _effect(V4, 60)])
    subject.ends("203.0.113.0/24", 0.2)
    subject.ends("2001:db8::/32", 0.2)
    assert _left(subject) == {V4: 60}
    assert _reverted(subject, ["203.0.113.0/24", "2001:db8::/32"]) == ["203.0.113.0/24", "2001:db8::/32"]


def test_networks_of_every_length_at_once(subject: Subject) -> None:
    """Each family's shortest to its longest, in one call."""
    keys = [_key(subject, f"198.51.100.0/{length}") for length in range(1, 33)]
    keys += [_key(subject, f"2001:db8::/{length}") for length in range(3, 129)]
    _keys_done(subject, [_effect(key, 60) for key in keys])
    assert _left(subject) == dict.fromkeys(keys, 60)
    _reverted(subject, keys[::2])
    assert _left(subject) == dict.fromkeys(keys[1::2], 60)


def test_only_others_move_what_was_told(subject: Subject) -> None:
    """Before it was looked at nobody knows; our own calls and ends that come are no news, a flush is."""
    action = subject.action
    assert action.moved()
    action.inspect()
    assert not action.moved()
    _keys_done(subject, [_effect(V4, 60), _effect(V6, 0.05), _effect("203.0.113.0/24", 60), _effect(V4, 90)])
    assert not action.moved()
    _reverted(subject, [V4, V6, "203.0.113.0/24"])
    assert not action.moved()
    subject.flush()
    assert action.moved()
    assert action.moved(), "until it was looked at"
    action.inspect()
    assert not action.moved()


def test_what_others_did_between_two_calls_of_ours_is_noticed(subject: Subject) -> None:
    """A flush just before a block: the block doesn't hide it."""
    _keys_done(subject, [_effect(V4, 60)])
    subject.action.inspect()
    subject.flush()
    _keys_done(subject, [_effect(V6, 60)])
    assert subject.action.moved()
    assert _left(subject) == {V6: 60}
    assert not subject.action.moved()


@each_action
@pytest.mark.parametrize("target", HOSTILE)
def test_a_hostile_target_is_refused(action: Action, target: str) -> None:
    """What isn't plainly an address that may be blocked never becomes a key."""
    with pytest.raises(InvalidTarget):
        action.key(target, ())


@each_action
@pytest.mark.parametrize(
    ("target", "key"),
    [
        (V4, V4),
        ("203.0.113.9/32", V4),
        (" 203.0.113.9\n", V4),
        ("::ffff:203.0.113.9", V4),
        ("2001:DB8:0:0::1/128", "2001:db8::1"),
        ("203.0.113.9/24", "203.0.113.0/24"),
        ("::ffff:203.0.113.0/120", "203.0.113.0/24"),
        ("2001:DB8:0:0::1/64", "2001:db8::/64"),
    ],
)
def test_an_address_has_one_key(action: Action, target: str, key: str) -> None:
    """However it is spelled, and whatever the arguments."""
    assert action.key(target, ()) == action.key(target, ("-v",)) == key


def _effect(key: str, left: float | None) -> Effect:
    return Effect(key=key, target=key, left=left)


def _key(subject: Subject, text: str) -> str:
    return subject.action.key(text, ())


def _keys_done(subject: Subject, effects: list[Effect]) -> list[str]:
    results = subject.action.apply(effects)
    assert not [result for result in results if result.problem]
    return [result.key for result in results]


def _reverted(subject: Subject, keys: list[str]) -> list[str]:
    results = subject.action.revert([_effect(key, None) for key in keys])
    assert not [result for result in results if result.problem]
    return [result.key for result in results]


def _left(subject: Subject) -> dict[str, float | None]:
    """What is in force, in whole seconds: a real kernel has used some of the time already."""
    return {key: left and math.ceil(left - 1e-6) for key, left in subject.action.inspect().items()}
