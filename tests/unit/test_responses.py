"""Which responses an alert fires, and where their orders go."""

import pytest

from shared.messages import Alert
from tests.unit.a_conf import block
from tests.unit.a_verdict import Judge, alert, members


@pytest.mark.parametrize(
    ("selectors", "about", "fires"),
    [
        ("<rules_id>5712</rules_id>", alert(), True),
        ("<rules_id>5763, 5712</rules_id>", alert(), True),
        ("<rules_id>5763</rules_id>", alert(), False),
        ("<level>10</level>", alert(level=10), True),
        ("<level>10</level>", alert(level=9), False),
        ("<rules_group>sshd</rules_group>", alert(groups=("syslog", "sshd")), True),
        ("<rules_group>web|sshd</rules_group>", alert(groups=("sshd",)), True),
        ("<rules_group>ssh</rules_group>", alert(groups=("sshd",)), False),
        ("<level>10</level><rules_group>sshd</rules_group>", alert(level=10, groups=("sshd",)), True),
        ("<level>10</level><rules_group>sshd</rules_group>", alert(level=9, groups=("sshd",)), False),
        ("<level>10</level><rules_group>sshd</rules_group>", alert(level=10), False),
        ("<level>12</level><rules_id>5712</rules_id>", alert(level=10), True),
        ("<rules_group>x</rules_group><rules_id>1</rules_id>", alert(groups=("x",)), True),
        ("<rules_id>100001</rules_id>", alert(rule="100001", level=0), False),
        ("<level>0</level>", alert(rule="100001", level=0), False),
        ("<rules_id>100002</rules_id>", alert(rule="100002", level=9), False),
        ("<rules_id>100003</rules_id>", alert(rule="100003", level=9), True),
        ("<rules_id>31151</rules_id>", alert(rule="31151"), True),
        ("<rules_id>31100</rules_id>", alert(rule="31100", level=0), False),
    ],
)
def test_a_response_fires_by_rule_or_by_level_and_group(judge: Judge, selectors: str, about: Alert, fires: bool):
    """`rules_id`, or all that is given of level and group; never on level 0 or `no_ar`; a foreign rule by its level."""
    assert bool(judge(block(selectors, rules=""), about).orders) is fires


def test_all_responses_that_match_fire(judge: Judge):
    """Each in its place; one that is disabled stays out."""
    text = block() + block(location="server") + block("<disabled>yes</disabled>", location="all")
    assert [order.location for order in judge(text, alert()).orders] == ["local", "server"]


def test_thwart_never_responds_to_its_own_events(judge: Judge):
    """What Thwart or a response's script logged holds the attacker's address, and would be answered for ever."""
    for own in (
        {"predecoder": {"program_name": "thwart-agent"}},
        {"predecoder": {"program_name": "thwart"}},
        {"decoder": {"name": "ar_log", "parent": "ar_log"}},
    ):
        verdict = judge(block(), alert(**own))
        assert (verdict.orders, [refusal.reason for refusal in verdict.refusals]) == ((), ["own-event"])
    assert judge(block(), alert(predecoder={"program_name": "sshd"})).orders


@pytest.mark.parametrize(
    ("options", "location", "about", "expected"),
    [
        ("", "local", alert(agent="web2"), ("local", ("web2",))),
        ("", "local", alert(agent="7"), ("local", ("007",))),
        ("", "local", alert(agent="000"), ("server", ())),
        ("", "local", alert(agent=""), ("server", ())),
        ("", "local", alert(agent="stranger"), ("local", ("stranger",))),
        ("", "server", alert(), ("server", ())),
        ("<agent_id>web2,web1</agent_id>", "defined-agent", alert(), ("agent", ("web1", "web2"))),
        ("<agent_id>web9</agent_id>", "defined-agent", alert(), ("agent", ("web9",))),
        ("", "all", alert(), ("all", ())),
        ("<exclude>web2</exclude>", "all", alert(), ("agent", ("manager1", "web1"))),
    ],
)
def test_the_four_locations(judge: Judge, options: str, location: str, about: Alert, expected: tuple):
    """`local` is the alert's agent, the managers' hosts for an alert without one; what is left of `all` is named."""
    (order,) = judge(block(options, location=location), about).orders
    assert (order.location, order.agents) == expected


def test_an_alert_of_an_agent_that_none_can_be_goes_nowhere(judge: Judge):
    """A name that can't be in a routing key is refused, and never carried out by somebody else."""
    verdict = judge(block(), alert(agent="web.1"))
    assert (verdict.orders, [refusal.reason for refusal in verdict.refusals]) == ((), ["unroutable"])


def test_when_all_are_excluded_nothing_is_ordered(judge: Judge):
    """`all` without anybody is nobody, not everybody."""
    verdict = judge(block("<exclude>web1,web2,manager1</exclude>", location="all"), alert())
    assert (verdict.orders, [refusal.reason for refusal in verdict.refusals]) == ((), ["unroutable"])


@pytest.mark.parametrize("location", ["all", "server"])
def test_an_order_says_that_no_server_is_known(judge: Judge, location: str):
    """`all` expects an agent with the server role."""
    (order,) = judge(block(location=location), alert(), members()).orders
    assert order.reason.endswith("no agent with the server role is known)")
    (order,) = judge(block(location=location), alert()).orders
    assert order.reason == "sshd: brute force (rule 5712, level 10)"
