"""What is explained is what happens: the walk that tells each step comes to what the correlator does, line by line."""

import pytest
from hypothesis import assume, given, settings

from manager.correlation import Correlator
from manager.explaining.walk import Walk
from shared.errors import RuleFileError
from tests.unit.a_generated_ruleset import LINES, texts
from tests.unit.a_ruleset import in_step, line, listen, rules


@settings(max_examples=300, deadline=None)
@given(text=texts(), said=LINES)
def test_the_explained_walk_and_the_fast_one_agree(tmp_path_factory, text, said):
    """Whatever the rules and the lines, late ones too: the same final rule, fields, counted lines and alert."""
    try:
        ruleset = rules(tmp_path_factory.getbasetemp(), text, shipped_too=False)
    except RuleFileError:
        assume(False)
    fast, listened, walk, ends = Correlator(ruleset), Correlator(ruleset), Walk(ruleset), []
    listen(listened, ends)
    at = 0.0
    for number, (later, program, host, message) in enumerate(said):
        at += later
        one = line(f"Nov 24 16:00:00 {host} {program}[4711]: {message}", at, number)
        before = len(ends)
        listened.feed(one)
        trace = in_step(fast, walk, one)
        if trace.event.repeats == 1:
            assert (trace.rule.id if trace.rule else None) == (ends[-1][0].id if len(ends) > before else None)


RULES = """
<group name="own,">
  <rule id="100" level="3"><match>^Failed</match><description>failed</description></rule>
  <rule id="101" level="9" frequency="3" timeframe="60" ignore="30">
    <if_matched_sid>100</if_matched_sid><same_source_ip /><description>often from $(srcip)</description>
  </rule>
  <rule id="102" level="5"><if_sid>100</if_sid><user>^root$</user><description>root</description></rule>
</group>
<decoder name="door"><program_name>^door$</program_name></decoder>
<decoder name="login"><parent>door</parent><regex>of (\\w+) from (\\S+)</regex><order>user, srcip</order></decoder>
"""


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    return rules(tmp_path_factory.mktemp("own"), RULES, shipped_too=False)


def _why(walk: Walk, message: str, at: float = 0.0, program: str = "door") -> dict[str, str]:
    trace = walk.feed(line(f"Nov 24 16:00:00 web1 {program}: {message}", at))
    return {each.rule: f"{each.test}: {each.why}" if each.test else each.outcome for each in trace.tried}


def test_the_test_that_failed_is_named(own):
    """Whoever asks why a rule didn't match hears which of its tests failed, and what the line has instead."""
    walk = Walk(own)
    assert _why(walk, "Good login") == {"100": "match ^Failed: the message doesn't begin with it"}
    assert _why(walk, "Failed of anna from 203.0.113.9") == {
        "100": "matched",
        "101": "frequency: 1 of 3 from 203.0.113.9 in 60 s",
        "102": "dstuser ^root$: dstuser is 'anna'",
    }
    assert _why(walk, "Failed", program="wall")["101"] == "frequency: the line has no srcip to compare"


def test_counting_and_silence_are_told(own):
    """How far a window has come is said with each line, and how long ago a rule that is silent has fired."""
    walk = Walk(own)
    said = "Failed of anna from 203.0.113.9"
    for at, count in ((0, 1), (10, 2)):
        counting = walk.feed(line(f"Nov 24 16:00:00 web1 door: {said}", at)).counts_for
        assert [(each.rule, each.count, each.needed, each.key) for each in counting] == [
            ("101", count, 3, {"srcip": "203.0.113.9"})
        ]
    fired = walk.feed(line(f"Nov 24 16:00:00 web1 door: {said}", 20)).firing
    assert fired is not None
    assert (fired.rule.id, fired.count) == ("101", 3)
    for at in (22, 24):
        walk.feed(line(f"Nov 24 16:00:00 web1 door: {said}", at))
    assert _why(walk, said, 32)["101"] == "ignore 30 s: fired 12 s ago for 203.0.113.9"
