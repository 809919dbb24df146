"""The cases that ship with the rules: each must come to the rule, level, decoder and fields that it names."""

from datetime import UTC

import pytest

from manager.correlation import Correlator, LogLine, load, shipped
from manager.explaining.cases import read_cases
from manager.explaining.trial import run
from shared.instants import instant
from tests.unit.a_ruleset import START, ended, line

CASES = read_cases([shipped() / "tests"])


def timed(log: str) -> LogLine:
    """The line, seen when it says."""
    return line(log, (instant(log, START, UTC) or START) - START)


@pytest.fixture(scope="module")
def ruleset():
    return load([shipped()])


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_shipped_case_holds(ruleset, case):
    """Read in order, the lines of a case end at the rule that it names, with the fields that it names."""
    rule, event = ended(Correlator(ruleset), [timed(each.text) for each in case.lines])[-1]
    found = {"rule": rule.id, "alert": str(rule.level), "decoder": event.label}
    found |= {f"field {name}": text for name, text in event.fields.items()}
    assert {key: found.get(key, "") for key in case.expected} == case.expected


def test_the_shipped_cases_pass_at_the_terminal(ruleset):
    """What `thwart rules test` makes of them is the same: all pass."""
    assert [result for result in run(ruleset, CASES) if not result.passed] == []


def test_every_shipped_rule_has_a_case(ruleset):
    """No rule ships without a line of its own that comes to it."""
    assert set(ruleset.rules) == {case.expected["rule"] for case in CASES}
