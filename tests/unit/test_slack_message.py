"""What is written to a channel, whatever an alert holds."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.actions.wazuh_slack import slack_message
from agent.actions.wazuh_slack.slack_message import GROUPS, NAMES, of_alerts, of_ends, telling
from shared.messages import Expiry
from tests.stage.webhook_server import fields

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


def told(*alerts: dict[str, Any]) -> dict[str, Any]:
    return json.loads(of_alerts([telling(each, "") for each in alerts], "web1"))


def alert(rule: str = "5712", level: int = 10, **said: Any) -> dict[str, Any]:
    return {"rule": {"id": rule, "level": level, "description": f"what {rule} means"}, **said}


def end(target: str, outcome: str = "reverted", action: str = "firewall-drop") -> Expiry:
    said = {"order_id": target, "agent_id": "web1", "cause": "timeout", "at": 1.0, "detail": "no such set"}
    return Expiry(action=action, target=target, outcome=outcome, **said)


@pytest.mark.parametrize(("level", "color"), [(0, "good"), (4, "good"), (5, "warning"), (7, "warning"), (8, "danger")])
def test_its_color_is_the_levels(level: int, color: str) -> None:
    """Green, yellow, red."""
    assert told(alert(level=level))["attachments"][0]["color"] == color


def test_several_rules_are_told_the_worst_first() -> None:
    """Each with how often; very many in one line at the end, so that no number is missing."""
    many = [alert(f"r{number}", level=number) for number in range(15) for _ in range(2)]
    message = told(*many)
    assert message["text"] == "30 alerts on web1"
    titles = [each["title"] for each in message["attachments"]]
    assert titles == [
        *(f"2 × what r{number} means" for number in range(14, 14 - GROUPS, -1)),
        "and 10 more of 5 other rules",
    ]


@pytest.mark.parametrize(
    ("agents", "text"),
    [
        (["web2"], "what 5712 means on web2"),
        (["web2"] * 3, "3 alerts on web2"),
        (["web1", "web2"], "2 alerts on 2 hosts"),
    ],
)
def test_it_says_whose_alerts_they_are(agents: list[str], text: str) -> None:
    """A server tells of all hosts' alerts."""
    assert told(*(alert(agent={"id": "7", "name": each}) for each in agents))["text"] == text


def test_alerts_of_one_rule_are_told_together() -> None:
    """Though its description has the address in it; what they have in common is said."""
    many = [
        {"rule": {"id": "5712", "level": 10, "description": f"tried from {each} as {user}"}, "data": {"srcip": each}}
        for each, user in (("10.0.0.1", "root"), ("10.0.0.2", "root"), ("10.0.0.2", "a b"))
    ]
    (attachment,) = told(*many)["attachments"]
    assert attachment["title"] == "3 × tried from … as …"
    assert fields([attachment])[0]["Source"] == "10.0.0.1, 10.0.0.2"


def test_of_very_many_addresses_some_are_named() -> None:
    """Each once."""
    alerts = [alert(data={"srcip": f"10.0.0.{number % 30}", "dstuser": "root"}) for number in range(60)]
    (said,) = fields(told(*alerts)["attachments"])
    assert said["Source"].count("10.0.0.") == NAMES
    assert said["Source"].endswith(" and 10 more")
    assert said["User"] == "root"


def test_long_names_lose_no_message() -> None:
    """Who logs in under many of them doesn't have it refused for its length; how many there are is said."""
    many = [alert(data={"dstuser": f"{number}" + "x" * 250}) for number in range(10)]
    (said,) = fields(told(*many)["attachments"])
    assert said["User"].count("x, ") == 2
    assert said["User"].endswith("x and 7 more")


def test_a_log_line_is_no_markup() -> None:
    """Nobody is called, and nothing is a link, by what an attacker had logged."""
    line = "<!channel> <http://evil/|bank> [bank](http://evil/) *bold* & @here, root@web1"
    message = told(alert(full_log=line, data={"srcip": "<!here>"}))
    (attachment,) = message["attachments"]
    assert attachment["text"] == (
        "&lt;!channel&gt; &lt;http://evil/|bank&gt; [bank]\u2060(http://evil/) *bold* &amp; @\u2060here, root@web1"
    )
    assert attachment["mrkdwn_in"] == []
    assert (message["mrkdwn"], message["link_names"], message["unfurl_links"]) == (False, False, False)
    assert "<" not in json.dumps(message)


@pytest.mark.parametrize("before", ["", " ", "_", ":", ".", "-", "(", "__"])
def test_nobody_is_called_by_a_name_behind_a_sign(before: str) -> None:
    """Mattermost reads over signs at the beginning of a word."""
    assert told(alert(full_log=f"{before}@all"))["attachments"][0]["text"].endswith("@\u2060all")


def test_what_is_told_is_one_line() -> None:
    """Whatever turns the reading round, or looks like a second message, is a blank."""
    (attachment,) = told(alert(full_log="user\n5 alerts on web2\u202etoor\x1b[2J"))["attachments"]
    assert attachment["text"] == "user 5 alerts on web2 toor [2J"


def test_what_a_person_ordered_says_so() -> None:
    """There is no alert then."""
    assert told({})["text"] == "ordered by hand on web1"


@given(alert=st.dictionaries(st.sampled_from(["rule", "agent", "data", "full_log", "x"]), anything))
def test_an_alert_may_hold_anything(alert: dict[str, Any]) -> None:
    """Whoever may send an order may put anything there; the message stays small, and plain."""
    body = of_alerts([telling(alert, "")], "web1")
    assert len(body) < 20_000
    assert b"<" not in body


@given(
    rule=st.fixed_dictionaries({}, optional=dict.fromkeys(["id", "level", "description"], anything)),
    data=st.fixed_dictionaries({}, optional=dict.fromkeys(["srcip", "dstuser", "srcuser"], anything)),
)
def test_so_may_its_parts(rule: dict[str, Any], data: dict[str, Any]) -> None:
    """The same, further in."""
    assert json.loads(of_alerts([telling({"rule": rule, "data": data}, "")], "web1"))["attachments"]


def test_ends_are_told_together() -> None:
    """How many, of which action, and what could not be ended, with why."""
    ends = [*(end(f"10.0.0.{number}") for number in range(30)), end("alice", action="disable-account")]
    message = json.loads(of_ends([*ends, end("10.9.9.9", "failed")], {"reverted": 5, "failed": 2}, "web1"))
    assert message["text"] == "36 blocks ended on web1, 3 could not be"
    assert [each["title"] for each in message["attachments"]] == [
        "firewall-drop: ended",
        "disable-account: ended",
        "firewall-drop: 10.9.9.9 could not be ended",
    ]
    first, _, failed = fields(message["attachments"])
    assert first["Targets"].endswith(" and 10 more")
    assert failed == {"Problem": "no such set"}


def test_what_is_too_long_is_cut() -> None:
    """An alert is up to 64 KiB."""
    (attachment,) = told(alert(full_log="x" * 60_000))["attachments"]
    assert len(attachment["text"]) == slack_message.LONGEST_LOG
    assert attachment["text"].endswith("…")
