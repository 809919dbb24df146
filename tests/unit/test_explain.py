"""`thwart explain`, `rules` and `responses` without a manager: what people read, and what programs do."""

import json
import re
from contextvars import copy_context

import pytest
from click.testing import CliRunner

from manager.api import explain
from manager.api.bodies.explain import NewExplanation
from manager.cli import main
from manager.correlation import load, shipped
from shared.errors import Busy
from tests.unit.test_cases import HEAD, LOCAL, UNKNOWN

CONF = """
<ossec_config>
  <global><white_list>203.0.113.77</white_list></global>
  <active-response>
    <command>firewall-drop</command><location>local</location><rules_id>5712</rules_id><timeout>600</timeout>
  </active-response>
  <active-response>
    <command>firewall-drop</command><location>all</location><level>13</level><timeout>60</timeout>
  </active-response>
  <active-response>
    <disabled>yes</disabled>
    <command>firewall-drop</command><location>server</location><rules_id>5712</rules_id>
  </active-response>
</ossec_config>
"""
ATTACK = [f"{HEAD}{UNKNOWN.format(user)}" for user in "abc"]


@pytest.fixture
def given(tmp_path):
    (tmp_path / "own.xml").write_text(LOCAL)
    (tmp_path / "ossec.conf").write_text(CONF)
    return ["--rules", str(tmp_path / "own.xml"), "--config", str(tmp_path / "ossec.conf")]


def _run(*arguments: str, text: str = "") -> str:
    done = CliRunner().invoke(main, arguments, input=text)
    assert done.exit_code == 0, done.output
    return done.output


def test_lines_share_a_session_and_end_in_the_order_that_would_be_given(given):
    """The third failure makes the rule fire; why each response does or doesn't act is said with it."""
    lines = json.loads(_run("explain", *ATTACK, *given, "-o", "json"))["lines"]
    assert [(each["rule"], each["fired"], each["counted"]) for each in lines] == [
        ("5710", True, 1),
        ("5710", True, 1),
        ("5712", True, 3),
    ]
    assert [(each["reaction"], each["why"]) for each in lines[-1]["responses"]] == [
        ("ordered", "rules_id 5712"),
        ("not-selected", "level 12 is below 13"),
        ("disabled", "it is switched off (<disabled>)"),
    ]
    (order,) = lines[-1]["orders"]
    assert (order["action"], order["target"], order["agents"], order["timeout"]) == (
        "firewall-drop",
        "203.0.113.9",
        ["web1"],
        600,
    )


def test_the_end_of_a_block_is_explained_as_it_happens(given, tmp_path):
    """What was said before a block ended counts for no further offence: explaining finds what correlating does."""
    (tmp_path / "ossec.conf").write_text(CONF.replace("600", "10"))
    log = tmp_path / "auth.log"
    said = [f"{HEAD}{UNKNOWN.format('a')}".replace("16:00:00", f"16:00:{at:02}") for at in (0, 1, 2, 3, 4, 40, 41, 42)]
    log.write_text("\n".join(said))
    lines = json.loads(_run("explain", "--file", str(log), *given, "-o", "json"))["lines"]
    assert [each["rule"] for each in lines] == ["5710", "5710", "5712", "5710", "5710", "5710", "5710", "5712"]
    found = _run("correlate", str(log), "--ossec-conf", given[3], *given[:2], "-o", "json").splitlines()
    alerts = [each for each in map(json.loads, found) if each["type"] == "alert"]
    assert [each["rule"]["id"] for each in alerts] == [each["rule"] for each in lines]


def test_who_is_blocked_already_and_whose_order_stands_for_two_is_said(given, tmp_path):
    """The same order from two responses goes out once, and the one that holds the block orders nothing more."""
    one = "<active-response><command>firewall-drop</command><location>local</location><rules_id>5710</rules_id>{}"
    both = "".join(
        f"{one.format(f'<name>{name}</name><timeout>{span}</timeout>')}</active-response>"
        for name, span in (("long", 600), ("short", 60))
    )
    (tmp_path / "ossec.conf").write_text(both)
    lines = json.loads(_run("explain", *ATTACK[:2], *given, "-o", "json"))["lines"]
    # the shorter one holds nothing itself, so that it asks again for what is left of its own time
    told = [[each["reaction"] for each in line["responses"]] for line in lines]
    assert told == [["ordered", "joined"], ["in-force", "ordered"]]
    assert [len(line["orders"]) for line in lines] == [1, 1]


def test_a_protected_source_is_refused_with_the_entry(given):
    """What is on the white list is not ordered, and the answer names it."""
    lines = [each.replace("203.0.113.9", "203.0.113.77") for each in ATTACK]
    last = json.loads(_run("explain", *lines, *given, "-o", "json"))["lines"][-1]
    assert last["orders"] == []
    assert last["responses"][0]["reaction"] == "refused"
    assert "203.0.113.77" in last["responses"][0]["why"]


def test_people_read_phases(given):
    """The answer comes in the phases that users of wazuh-logtest know, from standard input too."""
    told = _run("explain", *given, text="\n".join(ATTACK))
    for phrase in (
        "**Phase 1: Completed pre-decoding.",
        "program_name: 'sshd'",
        "**Phase 2: Completed decoding.",
        "srcip: '203.0.113.9'",
        "**Phase 3: Completed filtering (rules).",
        "5712  frequency: 1 of 3 from 203.0.113.9 in 120 s",
        "counts for 5712: 2 of 3 from 203.0.113.9 in 120 s",
        "**Alert to be generated.",
        "→ firewall-drop 203.0.113.9 on web1 for 10 min",
    ):
        assert phrase in told


def test_what_a_line_holds_does_nothing_to_the_terminal(given):
    """Escapes, control characters and bytes that are no text are shown, never sent on: what is left steers colours."""
    line = HEAD.encode() + b"Invalid user \x1b[2J\xff\x07 from x\n"
    told = CliRunner().invoke(main, ["explain", *given], input=line, color=True)
    assert told.exit_code == 0
    assert "\x1b" in told.output, "colours, as at a terminal"
    assert re.sub(r"\x1b\[[0-9;]*m|[\n\t]", "", told.output).isprintable()
    assert "\\xff" in told.output


def test_no_line_is_a_wrong_usage(given):
    """Nothing to explain is said, with the status for wrong usage."""
    assert CliRunner().invoke(main, ["explain", *given], input="\n").exit_code == 2


def test_rules_are_filtered_and_shown_with_their_place(given):
    """By each filter; a rule says where it is from, what it counts, what stands above it and what it fires."""
    every = json.loads(_run("rules", "list", *given, "-o", "json"))
    filters = {
        ("--level", "12"): lambda rule: rule["level"] >= 12,
        ("--group", "local"): lambda rule: "local" in rule["groups"],
        ("--text", "BRUTE"): lambda rule: "brute" in rule["description"].lower(),
    }
    for words, fits in filters.items():
        listed = json.loads(_run("rules", "list", *words, *given, "-o", "json"))
        assert listed == [rule for rule in every if fits(rule)]
        assert 0 < len(listed) < len(every)
    (own,) = [rule for rule in every if "local" in rule["groups"]]
    assert (own["id"], len(own["responses"])) == ("5712", 1)
    story = json.loads(_run("rules", "show", "5712", *given, "-o", "json"))
    assert story["where"].endswith("own.xml:3")
    assert [each["id"] for each in story["parents"]] == ["5710"]
    assert (story["counts"]["frequency"], story["counts"]["same"]) == (3, ["srcip"])
    assert len(story["responses"]) == 1
    wrong = CliRunner().invoke(main, ["rules", "show", "57120", *given])
    assert wrong.exit_code == 1
    assert "5712" in wrong.output


def test_responses_say_what_fires_them(given):
    """The rules in force that fire a response are listed with the selector that does it."""
    listed = json.loads(_run("responses", *given, "-o", "json"))
    assert [(each["location"], each["fires"], each["disabled"]) for each in listed] == [
        ("local", 1, False),
        ("all", 0, False),
        ("server", 1, True),
    ]
    assert (listed[0]["limit"], listed[1]["limit"]) == (2000, 20)
    story = json.loads(_run("responses", "show", listed[0]["identity"], *given, "-o", "json"))
    assert [(each["rule"], each["why"]) for each in story["fired_by"]] == [("5712", "rules_id 5712")]
    assert "10 min" in _run("responses", *given)


@pytest.mark.parametrize(("limit", "value"), [("LIMIT", -1.0), ("MOST_TRIED", 10)])
def test_a_session_at_the_manager_has_an_end(monkeypatch, limit, value):
    """However much a request wants explained: by time, and by how much there would be to tell; it says what to do."""
    ruleset, wish = load([shipped()]), NewExplanation(lines=tuple(ATTACK))
    assert len(copy_context().run(explain._within, ruleset, None, wish, 0.0)) == len(ATTACK)
    monkeypatch.setattr(explain, limit, value)
    with pytest.raises(Busy, match="of 3 lines are all that can be explained at once; give fewer"):
        copy_context().run(explain._within, ruleset, None, wish, 0.0)
