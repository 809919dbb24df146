"""A correlator that takes over from another one after a reload: what is the same goes on, what changed begins anew."""

import pytest

from manager.correlation import Correlator
from tests.unit.a_ruleset import ATTACKER, START, feed_all, rules, unknown, when

COUNTING = """
<group name="local,">
  <rule id="100010" level="10" frequency="5" timeframe="120" ignore="60">
    <if_matched_sid>5710</if_matched_sid>
    <same_source_ip />
    <description>many</description>
  </rule>
</group>
"""
COUNTED = """
<group name="local,">
  <rule id="5710" level="5" overwrite="yes">
    <if_sid>5700</if_sid>
    <match>Failed password for invalid user</match>
    <description>unknown</description>
  </rule>
</group>
"""


def goes_on(folder, before: tuple[str, ...], after: tuple[str, ...]) -> bool:
    """Whether three lines before the reload and two after it make the rule fire."""
    (folder / "before").mkdir()
    (folder / "after").mkdir()
    former = Correlator(rules(folder / "before", *before))
    feed_all(former, [unknown(at) for at in range(3)])
    latter = Correlator(rules(folder / "after", *after))
    latter.adopt(former)
    return when(feed_all(latter, [unknown(at) for at in range(3, 5)]), "100010") == [4]


@pytest.mark.parametrize(
    "after",
    [
        (COUNTING,),
        (f"<!-- moved -->\n\n{COUNTING}",),
        (COUNTING.replace("    ", "\t"),),
        (COUNTING.replace("\n", "\r\n"),),
        (COUNTING.replace("</group>", COUNTING.partition("\n")[2].replace("100010", "100011")[24:]),),
        (COUNTED.replace("5710", "100001"), COUNTING),
    ],
)
def test_the_same_rule_goes_on_wherever_it_is_written(tmp_path, after):
    """Another line, another file, other white space and other rules beside it change nothing about what it counts."""
    assert goes_on(tmp_path, (COUNTING,), after)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('frequency="5"', 'frequency="4"'),
        ('timeframe="120"', 'timeframe="119"'),
        ("same_source_ip", "same_user"),
        ('level="10"', 'level="11"'),
        (">many<", ">several<"),
        ('name="local,"', 'name="elsewhere,"'),
    ],
)
def test_a_rule_that_says_something_else_begins_anew(tmp_path, old, new):
    """What its former self counted doesn't count for it."""
    assert not goes_on(tmp_path, (COUNTING,), (COUNTING.replace(old, new),))


def test_what_a_rule_counts_must_be_the_same_too(tmp_path):
    """Hits of a rule that was mended are no hits of the mended one."""
    assert not goes_on(tmp_path, (COUNTING,), (COUNTED, COUNTING))
    assert goes_on_again(tmp_path)


def goes_on_again(folder) -> bool:
    (folder / "again").mkdir()
    return goes_on(folder / "again", (COUNTED, COUNTING), (COUNTED, COUNTING))


def test_a_silence_outlasts_a_reload(tmp_path):
    """A rule that fired and says `ignore` is silent for the rest of that time, and no longer."""
    ruleset = rules(tmp_path, COUNTING)
    former, latter = Correlator(ruleset), Correlator(ruleset)
    assert when(feed_all(former, [unknown(at) for at in range(5)]), "100010") == [4]
    latter.adopt(former)
    assert when(feed_all(latter, [unknown(at) for at in range(5, 10)]), "100010") == []
    after = feed_all(latter, [unknown(at) for at in range(65, 70)])
    assert when(after, "100010") == [68]  # the line that the silence swallowed is the first of the five


def test_what_was_adopted_can_be_forgotten(tmp_path):
    """Lifting a block after a reload drops what was counted before it."""
    ruleset = rules(tmp_path, COUNTING)
    former, latter = Correlator(ruleset), Correlator(ruleset)
    feed_all(former, [unknown(at) for at in range(4)])
    latter.adopt(former)
    latter.forget(ATTACKER, START + 10)
    assert when(feed_all(latter, [unknown(4)]), "100010") == []
