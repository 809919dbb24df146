"""The correlator has shortcuts. Line by line they must come to what the plain walk comes to, by the rules that ship."""

import ast
import re
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from manager.correlation import Correlator, load, shipped
from manager.explaining.cases import read_cases
from manager.explaining.walk import Walk
from tests.stage.auth_log import auth_log
from tests.unit.a_ruleset import feed_all, in_step, line, rules
from tests.unit.test_decoders import HOSTILE, MESSAGES
from tests.unit.test_rules import OVERWRITES

_WORDS = sorted({word for message, *_ in MESSAGES for word in re.findall(r"\S+ ?", message)})
_SOURCES = some.sampled_from(["203.0.113.9", "203.0.113.10"])
_SAID = some.builds(str.format, some.sampled_from([message for message, *_ in MESSAGES]), _SOURCES)
_NAMED = some.builds(
    "Failed password for invalid user {} from {} port 4022 ssh2".format, some.sampled_from(HOSTILE), _SOURCES
)
_GARBLED = some.lists(some.sampled_from(_WORDS), max_size=8).map("".join)
_OFTEN = some.builds(
    str.format, some.sampled_from([message for message, *_ in MESSAGES if "Failed pa" in message]), _SOURCES
)
_PROGRAMS = some.sampled_from(["sshd", "sshd", "sshd-session", "SSHD", "xsshd", "CRON"])
_CASES = read_cases([shipped() / "tests"])
_LINES = some.lists(
    some.tuples(some.integers(0, 20), _PROGRAMS, some.one_of(_OFTEN, _OFTEN, _SAID, _NAMED, _GARBLED)), max_size=80
)


@pytest.fixture(scope="module", params=["shipped", "overwritten"])
def ruleset(request, tmp_path_factory):
    return rules(tmp_path_factory.mktemp("rules"), *([OVERWRITES] if request.param == "overwritten" else []))


@settings(max_examples=150, deadline=None)
@given(said=_LINES)
def test_shortcuts_change_nothing(ruleset, said):
    """Whatever an ssh server says, true or garbled, each line makes the same rule fire as without any shortcut."""
    fast, walk = Correlator(ruleset), Walk(ruleset)
    at = 0.0
    for pause, program, message in said:
        at += pause
        in_step(fast, walk, line(f"Nov 24 16:00:00 web1 {program}[4711]: {message}", at))


def test_shortcuts_change_nothing_in_a_whole_log(ruleset):
    """The same over a log of a host under attack, in which every rule that counts fires."""
    fast, walk = Correlator(ruleset), Walk(ruleset)
    fired = set()
    for number, text in enumerate(auth_log(4_000)):
        firing = in_step(fast, walk, line(text, number // 10, number)).firing
        fired.add(firing.rule.id if firing else None)
    assert fired >= {"5710", "5712", "5715", "5760", "5763"}


@settings(max_examples=20, deadline=None)
@given(chosen=some.lists(some.integers(0, len(_CASES) - 1), max_size=60))
def test_shortcuts_change_nothing_for_any_program(ruleset, chosen):
    """The same for what ships with the rules: whatever is counted for one program, among lines of all the others."""
    fast, walk = Correlator(ruleset), Walk(ruleset)
    texts = [read.text for number in chosen for read in _CASES[number].lines]
    for at, text in enumerate(texts):
        in_step(fast, walk, line(text, at))


def edited(folder, file: str, old: str, new: str):
    """The shipped rules with a text in one of their files replaced."""
    for path in shipped().rglob("*.xml"):
        text = path.read_text()
        if path.parent.name == file and path.name == "sshd.xml":
            assert old in text
            text = text.replace(old, new)
        target = folder / path.parent.name / path.name
        target.parent.mkdir(exist_ok=True)
        target.write_text(text)
    return load([folder])


_EDITED = pytest.mark.parametrize(
    ("file", "old", "new", "rule", "before", "after"),
    [
        ("rules", "<match>^Accepted </match>", "<match>^Welcome </match>", "5715", True, False),
        ("rules", 'id="5763" level="10" frequency="8"', 'id="5763" level="10" frequency="80"', "5763", True, False),
        ("rules", 'id="5712" level="10" frequency="8"', 'id="5712" level="10" frequency="2"', "5712", False, True),
        ("decoders", "^(\\.*) from (\\S+) port (\\d+) ssh\\d$", "^(\\.*) von (\\S+) port$", "5763", True, False),
    ],
)


@_EDITED
def test_the_files_say_everything(tmp_path, file, old, new, rule, before, after):
    """Editing a match, a frequency or a decoder's expression changes what fires: nothing is known from elsewhere."""
    said = ["Accepted password for anna from 192.0.2.7 port 1 ssh2"]
    said += ["Failed password for invalid user admin from 203.0.113.9 port 1 ssh2"] * 3
    said += ["Failed password for root from 203.0.113.9 port 1 ssh2"] * 8
    lines = [line(f"Nov 24 16:00:00 web1 sshd[1]: {message}", at) for at, message in enumerate(said)]
    for ruleset, fires in ((load([shipped()]), before), (edited(tmp_path, file, old, new), after)):
        assert (rule in {firing.rule.id for firing in feed_all(Correlator(ruleset), lines)}) is fires


def steps(ruleset) -> int:
    """Functions called, Python's and C's, to read a log: what it takes, on a machine however busy."""
    correlator, found = Correlator(ruleset), 0
    lines = [line(text, number // 10) for number, text in enumerate(auth_log(2_000))]
    feed_all(correlator, lines[:500])  # what is remembered of programs and beginnings

    def count(frame, event, argument) -> None:
        nonlocal found
        found += event in ("call", "c_call")

    sys.setprofile(count)
    try:
        feed_all(correlator, lines[500:])
    finally:
        sys.setprofile(None)
    return found


@_EDITED
def test_edited_files_are_as_fast(tmp_path, file, old, new, rule, before, after):
    """What an edit changes is the result: reading on takes no more than it did."""
    assert steps(edited(tmp_path, file, old, new)) < 1.1 * steps(load([shipped()]))


def test_no_code_knows_a_rule_or_what_a_program_says(ruleset):
    """No number of a shipped rule and no word of the ssh server stands in the code: only docstrings show examples."""
    known = {*ruleset.rules, *map(int, ruleset.rules)}
    folders = [shipped().parent / each for each in ("correlation", "sources", "offline")]
    values = [value for folder in folders for path in folder.rglob("*.py") for value in _constants(path)]
    assert len(values) > 500
    assert [value for value in values if value in known or "ssh" in str(value).lower()] == []


def _constants(path: Path) -> list[object]:
    tree = ast.parse(path.read_text())
    said = {id(each.value) for each in ast.walk(tree) if isinstance(each, ast.Expr)}
    return [each.value for each in ast.walk(tree) if isinstance(each, ast.Constant) and id(each) not in said]
