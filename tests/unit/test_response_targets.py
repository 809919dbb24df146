"""What an order acts on, and what is never acted on."""

import pytest

from shared.targets import Allowlist
from tests.unit.a_conf import block
from tests.unit.a_manager import ATTACKER
from tests.unit.a_verdict import Judge, alert


@pytest.mark.parametrize(
    ("data", "target"),
    [
        ({"srcip": "203.0.113.9"}, "203.0.113.9"),
        ({"srcip": " 203.0.113.9 "}, "203.0.113.9"),
        ({"srcip": "::ffff:203.0.113.9"}, "203.0.113.9"),
        ({"srcip": "2001:DB8:0::1"}, "2001:db8::1"),
        ({"srcip": "-", "src_ip": "203.0.113.9"}, "203.0.113.9"),
        ({"src_ip": "203.0.113.9"}, "203.0.113.9"),
        ({"source": {"ip": "203.0.113.9"}}, "203.0.113.9"),
        ({"source.ip": "203.0.113.9"}, "203.0.113.9"),
        ({"win": {"eventdata": {"ipAddress": "203.0.113.9"}}}, "203.0.113.9"),
        ({"srcip": "203.0.113.9", "src_ip": "198.51.100.1"}, "203.0.113.9"),
    ],
)
def test_an_address_action_takes_the_source(judge: Judge, data: dict, target: str):
    """`srcip`, then the usual synonyms, in one spelling."""
    assert [order.target for order in judge(block(), alert(data=data)).orders] == [target]


@pytest.mark.parametrize(
    ("data", "target"),
    [
        ({"dstuser": "alice", "user": "bob", "srcuser": "carol"}, "alice"),
        ({"user": "bob", "srcuser": "carol"}, "bob"),
        ({"srcuser": "carol"}, "carol"),
    ],
)
def test_an_account_action_takes_the_user(judge: Judge, data: dict, target: str):
    """`dstuser`, then `user`, then `srcuser`."""
    assert [order.target for order in judge(block(command="disable-account"), alert(data=data)).orders] == [target]


def test_the_target_option_names_another_field(judge: Judge):
    """A field path, from the alert's data or from its root."""
    about = alert(data={"srcip": ATTACKER, "dstip": "198.51.100.8", "nat": {"address": "198.51.100.9"}})
    for path, expected in (
        ("dstip", "198.51.100.8"),
        ("data.dstip", "198.51.100.8"),
        ("nat.address", "198.51.100.9"),
    ):
        (order,) = judge(block(f"<target>{path}</target>"), about).orders
        assert order.target == expected


@pytest.mark.parametrize(
    "source",
    [
        "attacker.example",
        "224.0.0.1",
        "0.0.0.0",
        "::",
        "127.0.0.1",
        "::1",
        "::ffff:127.0.0.1",
        "0.0.0.0/0",
        "::/0",
        "255.255.255.255",
        "203.0.113.9; rm -rf /",
        "٢٠٣.0.113.9",
        "203.0.113.999",
        "203.0.113.0/24",
        None,
        ["203.0.113.9"],
    ],
)
def test_what_no_block_can_mean_is_refused(judge: Judge, source: object):
    """A host name, multicast, unspecified, loopback, everything, or no address at all: refused, and nothing ordered."""
    verdict = judge(block(), alert(data={"srcip": source}))
    assert (verdict.orders, verdict.offences) == ((), ())
    assert [refusal.reason for refusal in verdict.refusals] == ["invalid-target"]


def test_a_network_has_to_be_asked_for(judge: Judge):
    """A field that a client can write holds no network unless the response names the field."""
    about = alert(data={"srcip": "203.0.113.77/24"})
    assert not judge(block(), about).orders
    (order,) = judge(block("<target>srcip</target>"), about).orders
    assert order.target == "203.0.113.0/24"


@pytest.mark.parametrize("name", ["-rf", "a b", "../etc", "a:b", "", "x" * 300, "a\nb"])
def test_what_no_account_is_called_is_refused(judge: Judge, name: str):
    """A name that a program could take for something else goes nowhere."""
    verdict = judge(block(command="disable-account"), alert(data={"dstuser": name}))
    assert (verdict.orders, [refusal.reason for refusal in verdict.refusals]) == ((), ["invalid-target"])


@pytest.mark.parametrize(
    ("source", "entry"),
    [
        (ATTACKER, "203.0.113.9"),
        (ATTACKER, "203.0.113.0/24"),
        ("203.0.113.0/25", "203.0.113.9"),
        ("2001:db8::9", "2001:db8::/32"),
        ("::ffff:203.0.113.9", "203.0.113.9"),
    ],
)
def test_the_white_list_protects_with_the_entry_that_does(judge: Judge, source: str, entry: str):
    """Overlap in either direction, and the refusal names the entry."""
    listed = f"<global><white_list>{entry}</white_list></global>"
    verdict = judge(listed + block(), alert(data={"srcip": source}))
    (refusal,) = verdict.refusals
    assert (verdict.orders, verdict.offences, refusal.reason) == ((), (), "protected")
    assert refusal.detail.endswith(f"is protected by {entry} (white_list)")


def test_a_host_pattern_protects_a_source_that_the_log_names(judge: Judge):
    """Names are not looked up: the pattern is compared with what the log says."""
    listed = "<global><white_list>^dns.example$</white_list></global>"
    (refusal,) = judge(listed + block(), alert(data={"srcip": "DNS.example"})).refusals
    assert (refusal.reason, refusal.detail) == ("protected", "DNS.example is protected by ^dns.example$ (white_list)")
    exempt = block("<white_list_exempt>yes</white_list_exempt>")
    assert judge(listed + exempt, alert(data={"srcip": "dns.example"})).refusals[0].reason == "invalid-target"
    (other,) = judge(listed + block(), alert(data={"srcip": "xdns.example"})).refusals
    assert other.reason == "invalid-target"


def test_an_account_is_not_protected_by_addresses(judge: Judge):
    """The white list is about addresses."""
    listed = f"<global><white_list>{ATTACKER}</white_list></global>"
    about = alert(data={"srcip": ATTACKER, "dstuser": "alice"})
    assert judge(listed + block(command="disable-account"), about).orders


def test_an_exempt_response_passes_the_list_and_never_the_automatic_set(judge: Judge):
    """`white_list_exempt` overrides what the user listed, not what keeps the fleet reachable."""
    text = f"<global><white_list>{ATTACKER}</white_list></global>" + block("<white_list_exempt>yes</white_list_exempt>")
    (order,) = judge(text, alert()).orders
    assert order.exempt
    verdict = judge(text, alert(), automatic=Allowlist.of([ATTACKER], "the broker"))
    assert [refusal.detail for refusal in verdict.refusals] == [f"{ATTACKER} is protected by {ATTACKER} (the broker)"]


SCRIPT = "<command><name>mine</name><executable>mine.py</executable></command>"


@pytest.mark.parametrize(
    ("data", "targets", "reasons"),
    [
        ({"srcip": ATTACKER}, [ATTACKER], []),
        ({}, [""], []),
        ({"srcip": "198.51.100.7"}, [], ["protected"]),
        ({"srcip": "127.0.0.1"}, [], ["invalid-target"]),
    ],
)
def test_a_script_gets_the_source_when_there_is_one(judge: Judge, data: dict, targets: list, reasons: list):
    """A script may need no target, and is never given a protected one."""
    listed = "<global><white_list>198.51.100.7</white_list></global>"
    verdict = judge(SCRIPT + listed + block(command="mine"), alert(data=data))
    assert [order.target for order in verdict.orders] == targets
    assert [refusal.reason for refusal in verdict.refusals] == reasons


def test_a_script_may_name_any_field_as_its_target(judge: Judge):
    """With `target` a script acts on what it likes, on one line."""
    text = SCRIPT + block("<target>container</target>", command="mine")
    assert judge(text, alert(data={"container": "web-1"})).orders[0].target == "web-1"
    for wrong in ("a\nb", "x" * 256, "127.0.0.1", "::ffff:127.0.0.1", "224.0.0.1"):
        assert not judge(text, alert(data={"container": wrong})).orders
