"""The rules that ship for the ssh server: which of its lines is which rule's, and what counts towards a block."""

import pytest

from manager.correlation import Correlator, load, shipped
from tests.unit.a_ruleset import ATTACKER, ended, fired, ids, line, sshd, unknown, when, wrong

FROM = f"from {ATTACKER} port 4022"
NOISE = f"pam_unix(sshd:auth): authentication failure; logname= uid=0 euid=0 tty=ssh ruser= rhost={ATTACKER} "


@pytest.fixture(scope="module")
def ruleset():
    return load([shipped()])


def final(ruleset, one) -> str:
    """The rule that a line ends at, whether it fires or not."""
    return "".join(rule.id for rule, _ in ended(Correlator(ruleset), [one]))


@pytest.mark.parametrize("program", ["sshd", "sshd-session"])
@pytest.mark.parametrize(
    ("message", "rule"),
    [
        ("Server listening on 0.0.0.0 port 22.", "5700"),
        ("pam_unix(sshd:session): session opened for user anna(uid=1000) by (uid=0)", "5700"),
        (f"Invalid user admin {FROM}", "5710"),
        (f"Invalid user  {FROM}", "5710"),
        (f"Failed password for invalid user admin {FROM} ssh2", "5710"),
        (f"Failed none for invalid user admin {FROM} ssh2", "5710"),
        (f"Failed publickey for invalid user admin {FROM} ssh2: RSA SHA256:abc", "5710"),
        (f"Failed keyboard-interactive/pam for invalid user admin {FROM} ssh2", "5710"),
        (f"error: PAM: Authentication failure for illegal user admin from {ATTACKER}", "5710"),
        ("input_userauth_request: invalid user admin [preauth]", "5711"),
        (NOISE, "5711"),
        (f"{NOISE} user=root", "5711"),
        ("pam_unix(sshd:auth): check pass; user unknown", "5711"),
        (f"Accepted password for anna {FROM} ssh2", "5715"),
        (f"Accepted publickey for anna {FROM} ssh2: ED25519 SHA256:abc", "5715"),
        (f"Failed publickey for root {FROM} ssh2: RSA SHA256:abc", "5716"),
        (f"Failed none for root {FROM} ssh2", "5716"),
        (f"error: PAM: Authentication failure for root from {ATTACKER}", "5716"),
        (f"Received disconnect {FROM}:11: Bye Bye [preauth]", "5721"),
        (f"Disconnected from invalid user admin {ATTACKER} port 4022 [preauth]", "5721"),
        (f"Disconnecting authenticating user root {ATTACKER} port 4022: Too many authentication failures", "5721"),
        ("Disconnecting: Too many authentication failures for root [preauth]", "5721"),
        (f"Connection closed by authenticating user root {ATTACKER} port 4022 [preauth]", "5722"),
        (f"Connection reset by {ATTACKER} port 4022 [preauth]", "5722"),
        (f"Failed password for root {FROM} ssh2", "5760"),
        (f"Failed keyboard-interactive/pam for root {FROM} ssh2", "5760"),
    ],
)
def test_each_line_has_its_rule(ruleset, message, rule, program):
    """Every kind of line that the ssh server writes ends at the rule that users know for it."""
    assert final(ruleset, sshd(message, program=program)) == rule


@pytest.mark.parametrize("program", ["CRON", "xsshd", "sudo", "kernel"])
def test_other_programs_lines_are_no_ones(ruleset, program):
    """What another program writes is nothing of the ssh server's, whatever it says."""
    assert final(ruleset, sshd(f"Invalid user admin {FROM}", program=program)) in ("", "5400")


@pytest.mark.parametrize(
    ("rule", "level", "ignore"),
    [
        *(("5700", 0, 0), ("5710", 5, 0), ("5711", 0, 0), ("5712", 10, 60), ("5715", 3, 0)),
        *(("5716", 5, 0), ("5721", 0, 0), ("5722", 0, 0), ("5760", 5, 0), ("5763", 10, 60)),
    ],
)
def test_levels_are_those_that_users_know(ruleset, rule, level, ignore):
    """A response by level means the same as before."""
    assert (ruleset.rules[rule].level, ruleset.rules[rule].ignore) == (level, ignore)


@pytest.mark.parametrize(("failure", "rule"), [(unknown, "5712"), (wrong, "5763")])
def test_eight_failures_within_two_minutes_are_brute_force(ruleset, failure, rule):
    """The 8th failure from one source within 120 s fires, in time or not at all."""
    assert when(fired(ruleset, [failure(at * 17) for at in range(8)]), rule) == [119]
    assert when(fired(ruleset, [failure(at * 18) for at in range(20)]), rule) == []


@pytest.mark.parametrize("source", ["2001:db8::9", "::ffff:203.0.113.9"])
def test_brute_force_over_ipv6(ruleset, source):
    """An attacker with an IPv6 address is counted too."""
    firings = fired(ruleset, [unknown(at, source) for at in range(8)])
    assert (ids(firings)[-1], firings[-1].fields["srcip"]) == ("5712", source)


def test_what_comes_with_a_failure_does_not_count(ruleset):
    """PAM's lines, repeats of the name and closed connections between failures neither fire nor count."""
    lines = []
    for at in range(8):
        lines += [sshd("input_userauth_request: invalid user admin", at), sshd(NOISE, at), unknown(at)]
        lines += [
            sshd("pam_unix(sshd:auth): check pass; user unknown", at),
            sshd(f"Connection closed by {ATTACKER}", at),
        ]
    assert ids(fired(ruleset, lines)) == ["5710"] * 7 + ["5712"]


def test_known_and_unknown_users_are_counted_apart(ruleset):
    """Seven failures of each kind make neither rule fire."""
    assert set(ids(fired(ruleset, [each(at) for at in range(7) for each in (unknown, wrong)]))) == {"5710", "5760"}


def test_a_real_attempt_writes_two_lines_that_count(ruleset):
    """`Invalid user` and `Failed password` are both failures of an unknown user, so four attempts are eight."""
    lines = [each for at in range(4) for each in (sshd(f"Invalid user a {FROM}", at), unknown(at))]
    assert when(fired(ruleset, lines), "5712") == [3]


def test_iso_time_and_the_new_name_make_no_difference(ruleset):
    """The same attack logged with ISO 8601 stamps by `sshd-session` fires the same."""
    said = f"Failed password for invalid user admin {FROM} ssh2"
    lines = [line(f"2025-11-24T16:00:{at:02}.123456+00:00 web1 sshd-session[4711]: {said}", at) for at in range(8)]
    assert ids(fired(ruleset, lines))[-1] == "5712"
