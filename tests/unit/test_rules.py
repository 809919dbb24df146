"""How rules count: frequency, windows, ignore, overwrite, and the order in which they are tried."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as some

from manager.correlation import Correlator, windows
from shared.errors import RuleFileError
from tests.unit.a_ruleset import ATTACKER, OTHER, START, feed_all, fired, ids, line, rules, unknown, when, wrong

SMALL = """
<decoder name="d"><program_name>^p$</program_name></decoder>
<decoder name="d-fields">
  <parent>d</parent>
  <prematch>^\\w+ </prematch>
  <regex offset="after_prematch">^(\\S+) (\\S+)</regex>
  <order>srcip, user</order>
</decoder>
<group name="g,">
  <rule id="1" level="0"><decoded_as>d</decoded_as><description>all</description></rule>
  <rule id="2" level="3"><if_sid>1</if_sid><match>^bad</match><description>bad</description></rule>
  {}
</group>
"""
COUNTS = "<if_matched_sid>2</if_matched_sid><description>many</description>"
BY_SOURCE = f"{COUNTS}<same_source_ip/>"


def small(folder, *more: str):
    """A ruleset of one rule that is counted, and more."""
    return rules(folder, SMALL.format("".join(more)), shipped_too=False)


def said(message: str, at: float = 0.0):
    return line(f"Nov 24 16:00:00 web1 p: {message}", at)


def bad(at: float, source: str = ATTACKER, user: str = "u"):
    return said(f"bad {source} {user}", at)


def test_a_frequency_is_the_number_of_lines_that_it_takes(tmp_path):
    """`frequency=8` fires on the 8th line, then counts afresh: on the 16th and the 24th."""
    ruleset = small(tmp_path, f'<rule id="3" level="9" frequency="8" timeframe="100">{BY_SOURCE}</rule>')
    firings = fired(ruleset, [bad(at) for at in range(1, 26)])
    assert when(firings, "3") == [8, 16, 24]
    assert [firing.count for firing in firings if firing.rule.id == "3"] == [8, 8, 8]


def test_what_made_a_rule_fire_is_told_in_order(tmp_path):
    """A firing holds the lines that it counted, the oldest first, and not the last one twice."""
    ruleset = small(tmp_path, f'<rule id="3" level="9" frequency="3" timeframe="100">{BY_SOURCE}</rule>')
    firing = fired(ruleset, [bad(at, user=f"u{at}") for at in range(3)])[-1]
    assert [each.at - START for each in firing.previous] == [0, 1]
    assert firing.fields["dstuser"] == "u2"


@pytest.mark.parametrize(("last", "fires"), [(100, True), (101, False)])
def test_a_timeframe_ends(tmp_path, last, fires):
    """Lines count together when no more than the timeframe lies between the first and the last."""
    ruleset = small(tmp_path, f'<rule id="3" level="9" frequency="3" timeframe="100">{BY_SOURCE}</rule>')
    assert ("3" in ids(fired(ruleset, [bad(0), bad(50), bad(last)]))) is fires


def test_windows_go_by_the_time_of_the_lines(tmp_path):
    """A line that comes late counts where it belongs, and can be the one that completes a window."""
    ruleset = small(tmp_path, f'<rule id="3" level="9" frequency="3" timeframe="10">{BY_SOURCE}</rule>')
    assert when(fired(ruleset, [bad(0), bad(300), bad(301), bad(5), bad(302)]), "3") == [302]
    assert when(fired(ruleset, [bad(0), bad(8), bad(300), bad(4)]), "3") == [4]
    assert when(fired(ruleset, [bad(300), bad(0), bad(308), bad(8), bad(4)]), "3") == [4]


def test_a_window_does_not_wait_for_ever(tmp_path):
    """What comes more than ten minutes later than newer lines of its key finds the old ones gone."""
    ruleset = small(tmp_path, f'<rule id="3" level="9" frequency="3" timeframe="10">{BY_SOURCE}</rule>')
    lines = [bad(0), bad(1), bad(600), bad(2)]
    assert when(fired(ruleset, lines), "3") == [2]
    assert when(fired(ruleset, [bad(0), bad(1), bad(1_000), bad(2)]), "3") == []


def test_windows_are_bounded(tmp_path, monkeypatch):
    """Neither lines of one source nor any number of sources make windows grow without end; the newest are kept."""
    rule = f'<rule id="{{}}" level="{{}}" frequency="{{}}" timeframe="9999">{BY_SOURCE}</rule>'
    correlator = Correlator(small(tmp_path, rule.format(3, 9, 2), rule.format(4, 8, 5)))
    monkeypatch.setattr(windows, "MAX_KEYS", 100)
    feed_all(correlator, [bad(at / 10) for at in range(1_000)])
    assert [max(map(len, each._open.values()), default=0) for each in correlator._windows] == [0, 8 * 4]
    feed_all(correlator, [bad(at, f"192.0.2.{at % 250}") for at in range(1_000)])
    assert max(len(each._open) for each in correlator._windows) <= 100
    assert ids(feed_all(correlator, [bad(2_000, "198.51.100.1"), bad(2_001, "198.51.100.1")])) == ["2", "3"]


def test_sources_are_counted_apart(tmp_path):
    """With `same_source_ip` lines of different sources are never added up; without it they are."""
    mixed = [bad(1), bad(2, OTHER), bad(3), bad(4, OTHER)]
    apart = small(tmp_path, f'<rule id="3" level="9" frequency="3" timeframe="100">{BY_SOURCE}</rule>')
    together = small(tmp_path, f'<rule id="3" level="9" frequency="3" timeframe="100">{COUNTS}</rule>')
    assert when(fired(apart, mixed), "3") == []
    assert when(fired(together, mixed), "3") == [3]


def test_several_fields_can_have_to_be_the_same(tmp_path):
    """Two `same_` elements compare both, also by `<same_field>`."""
    both = f"{BY_SOURCE}<same_field>dstuser</same_field>"
    ruleset = small(tmp_path, f'<rule id="3" level="9" frequency="2" timeframe="100">{both}</rule>')
    lines = [bad(1, user="a"), bad(2, user="b"), bad(3, OTHER, "a"), bad(4, user="a")]
    assert when(fired(ruleset, lines), "3") == [4]


def test_a_line_without_the_field_is_not_counted(tmp_path):
    """Lines that lack what has to be the same have nothing in common."""
    rule = '<rule id="3" level="9" frequency="2" timeframe="100">{}</rule>'
    for same in (BY_SOURCE, f"{BY_SOURCE}<same_user/>"):
        ruleset = small(tmp_path, rule.format(same))
        assert ids(fired(ruleset, [said("bad"), said("bad"), said("bad")])) == ["2", "2", "2"]


def test_a_field_can_have_to_differ(tmp_path):
    """`different_user` counts each user once: three users fire, three lines of one don't."""
    ruleset = small(
        tmp_path, f'<rule id="3" level="9" frequency="3" timeframe="100">{BY_SOURCE}<different_user/></rule>'
    )
    assert when(fired(ruleset, [bad(at, user="a") for at in range(5)]), "3") == []
    assert when(fired(ruleset, [bad(at, user=user) for at, user in enumerate("aabac")]), "3") == [4]


def test_ignore_is_for_one_source(tmp_path):
    """While a rule is silent about one attacker it still fires for another, and afterwards for the first again."""
    ruleset = small(tmp_path, f'<rule id="3" level="9" frequency="2" timeframe="10" ignore="60">{BY_SOURCE}</rule>')
    lines = [bad(0), bad(1), bad(2), bad(3), bad(4, OTHER), bad(5, OTHER), bad(61), bad(62)]
    assert when(fired(ruleset, lines), "3") == [1, 5, 62]


def test_ignore_can_be_for_all(tmp_path):
    """`ignore_scope="rule"` silences the rule for everybody, as Wazuh does."""
    ruleset = small(
        tmp_path,
        f'<rule id="3" level="9" frequency="2" timeframe="10" ignore="60" ignore_scope="rule">{BY_SOURCE}</rule>',
    )
    assert when(fired(ruleset, [bad(0), bad(1), bad(4, OTHER), bad(5, OTHER), bad(62), bad(63)]), "3") == [1, 63]


def test_a_swallowed_firing_counts_as_its_parent(tmp_path):
    """A line whose rule is silent is one of the parent's, and what the silent rule counted is used up all the same."""
    ruleset = small(tmp_path, f'<rule id="3" level="9" frequency="3" timeframe="500" ignore="60">{BY_SOURCE}</rule>')
    firings = fired(ruleset, [bad(at) for at in (0, 1, 2, 3, 4, 5, 70, 71)])
    assert list(zip(ids(firings), [firing.at - START for firing in firings], strict=True)) == [
        *(("2", 0), ("2", 1), ("3", 2)),
        *(("2", 3), ("2", 4), ("2", 5)),
        *(("2", 70), ("3", 71)),
    ]


def test_a_plain_rule_can_be_silent_too(tmp_path):
    """`ignore` without anything to compare is for all lines of the rule."""
    ruleset = small(
        tmp_path,
        '<rule id="3" level="5" ignore="60"><if_sid>2</if_sid><match>x</match><description>x</description></rule>',
    )
    assert ids(fired(ruleset, [bad(0, "x"), bad(59, "x"), bad(60, "x")])) == ["3", "2", "3"]


def test_what_fired_is_used_up_for_rules_of_its_level(tmp_path):
    """Lines that made a rule fire don't count for another one of that level, but for a higher one they do."""
    rule = f'<rule id="{{}}" level="{{}}" frequency="{{}}" timeframe="100">{BY_SOURCE}</rule>'
    equal = small(tmp_path, rule.format(4, 9, 3), rule.format(3, 9, 2))
    assert ids(fired(equal, [bad(at) for at in range(4)])) == ["2", "3", "2", "3"]
    higher = small(tmp_path, rule.format(4, 10, 3), rule.format(3, 9, 2))
    assert ids(fired(higher, [bad(at) for at in range(4)])) == ["2", "3", "2", "4"]


def test_a_group_is_counted(tmp_path):
    """`if_matched_group` counts every rule of the group that comes before it, whichever it was."""
    ruleset = small(
        tmp_path,
        '<rule id="3" level="4"><if_sid>1</if_sid><match>^worse</match><description>w</description>'
        "<group>wrong,</group></rule>",
        '<rule id="4" level="4"><if_sid>1</if_sid><match>^worst</match><description>w</description>'
        "<group>wrong,</group></rule>",
        '<rule id="5" level="9" frequency="3" timeframe="10"><if_matched_group>wrong</if_matched_group>'
        "<same_source_ip/><description>many</description></rule>",
    )
    lines = [said(f"{word} {ATTACKER} u", at) for at, word in enumerate(("worse", "bad", "worst", "worse"))]
    assert ids(fired(ruleset, lines)) == ["3", "2", "4", "5"]


def test_level_zero_is_tried_first_and_counts_nothing(tmp_path):
    """A rule of level 0 takes a line before all others, however high they are; it fires nothing and isn't counted."""
    ruleset = small(
        tmp_path,
        '<rule id="3" level="12"><if_sid>2</if_sid><match>x</match><description>high</description></rule>'
        '<rule id="4" level="0"><if_sid>2</if_sid><match>xx</match><description>noise</description></rule>'
        f'<rule id="5" level="9" frequency="2" timeframe="9">{COUNTS}</rule>',
    )
    assert ids(fired(ruleset, [bad(0, "xx"), bad(1, "x"), bad(2), bad(3, "xx"), bad(4)])) == ["3", "2", "5"]


def test_a_rule_of_level_zero_can_not_be_counted(tmp_path):
    """What counts rules of level 0 alone never fires."""
    ruleset = small(
        tmp_path,
        '<rule id="4" level="0"><if_sid>2</if_sid><match>xx</match><description>noise</description></rule>',
        '<rule id="5" level="9" frequency="2" timeframe="9"><if_matched_sid>4</if_matched_sid>'
        "<description>many</description></rule>",
    )
    assert ids(fired(ruleset, [bad(at, "xx") for at in range(9)])) == []


def test_the_highest_level_is_tried_first(tmp_path):
    """Of several rules that match the one of the highest level fires; of equals the one that stands first."""
    rule = '<rule id="{}" level="{}"><if_sid>2</if_sid><match>x</match><description>r</description></rule>'
    ruleset = small(tmp_path, rule.format(3, 4), rule.format(4, 7), rule.format(5, 7))
    assert ids(fired(ruleset, [bad(0, "x")])) == ["4"]


def test_noalert_counts_in_silence(tmp_path):
    """A rule with `noalert` fires nothing, but its lines count."""
    ruleset = rules(
        tmp_path,
        SMALL.format(f'<rule id="3" level="9" frequency="2" timeframe="9">{COUNTS}</rule>').replace(
            'id="2" level="3"', 'id="2" level="3" noalert="1"'
        ),
        shipped_too=False,
    )
    assert ids(fired(ruleset, [bad(0), bad(1)])) == ["3"]


def test_a_line_that_stands_for_several_counts_as_often(tmp_path):
    """`message repeated 3 times` after one line makes four."""
    ruleset = small(tmp_path, f'<rule id="3" level="9" frequency="4" timeframe="9">{BY_SOURCE}</rule>')
    folded = said(f"message repeated 3 times: [ bad {ATTACKER} u]", 1)
    assert ids(fired(ruleset, [bad(0), folded])) == ["2", "3"]
    endless = said(f"message repeated 999999999 times: [ bad {ATTACKER} u]", 1)
    assert ids(fired(ruleset, [endless])) == ["3"]


def test_fields_are_tested(tmp_path):
    """A rule can ask for a user and for addresses in or outside of networks."""
    rule = '<rule id="{}" level="{}"><if_sid>2</if_sid>{}<description>r</description></rule>'
    ruleset = small(
        tmp_path,
        rule.format(3, 8, "<user>^root$|^toor$</user>"),
        rule.format(4, 7, "<srcip>203.0.113.8/29, 2001:db8::/32</srcip>"),
        rule.format(5, 6, "<srcip>!10.0.0.0/8</srcip>"),
        rule.format(6, 5, '<field name="dstuser" type="pcre2" negate="yes">^[a-z]+$</field>'),
    )
    lines = [bad(0, "10.0.0.1", "root"), bad(1), bad(2, "2001:db8::1"), bad(3, "192.0.2.1"), bad(4, "10.0.0.1", "u1")]
    assert ids(fired(ruleset, [*lines, bad(5, "10.0.0.1")])) == ["3", "4", "4", "5", "6", "2"]


def test_what_was_counted_of_a_source_can_be_dropped(tmp_path):
    """After `forget` a source starts from nothing, or from its lines since an instant; another's are kept."""
    correlator = Correlator(small(tmp_path, f'<rule id="3" level="9" frequency="3" timeframe="100">{BY_SOURCE}</rule>'))
    feed_all(
        correlator,
        [bad(0), bad(1), bad(0, OTHER), bad(1, OTHER), bad(0, f"::ffff:{ATTACKER}"), bad(1, "::ffff:1.2.3.4")],
    )
    correlator.forget(ATTACKER)
    correlator.forget(OTHER, before=START + 1)
    found = feed_all(correlator, [bad(2), bad(2, OTHER), bad(3, f"::ffff:{ATTACKER}"), bad(4), bad(5, OTHER), bad(6)])
    assert ids(found) == ["2", "2", "2", "2", "3", "3"]


def test_what_was_counted_of_an_account_can_be_dropped(tmp_path):
    """`forget` drops an account's lines too, from whichever source they came."""
    correlator = Correlator(small(tmp_path, f'<rule id="3" level="9" frequency="3" timeframe="100">{BY_SOURCE}</rule>'))
    feed_all(correlator, [bad(0, user="a"), bad(1, user="b"), bad(0, OTHER, "a"), bad(1, OTHER, "a")])
    correlator.forget("a")
    assert ids(feed_all(correlator, [bad(2), bad(2, OTHER), bad(3)])) == ["2", "2", "3"]


OVERWRITES = """
<group name="local,">
  <rule id="5712" level="10" frequency="5" timeframe="120" overwrite="yes">
    <if_matched_sid>5710</if_matched_sid>
    <same_source_ip />
    <description>five are enough</description>
  </rule>
</group>
"""


def test_the_shipped_count_is_eight_with_a_pause(tmp_path):
    """As shipped, 5712 fires on the 8th failure of unknown users within 120 s, then keeps still for 60 s."""
    assert when(fired(rules(tmp_path), [unknown(at) for at in range(40)]), "5712") == [7]
    assert when(fired(rules(tmp_path), [unknown(at * 5) for at in range(24)]), "5712") == [35, 110]


def test_a_file_of_ones_own_makes_it_five_without_a_pause(tmp_path):
    """A rule that overwrites 5712 with a frequency of 5 and without `ignore` fires on the 5th, 10th and 15th line."""
    firings = fired(rules(tmp_path, OVERWRITES), [unknown(at) for at in range(1, 16)])
    assert when(firings, "5712") == [5, 10, 15]
    assert [firing.rule.description for firing in firings if firing.rule.id == "5712"] == ["five are enough"] * 3


def test_the_other_rules_stay_as_they_are(tmp_path):
    """Overwriting one rule changes no other."""
    lines = [wrong(at) for at in range(20)]
    assert ids(fired(rules(tmp_path, OVERWRITES), lines)) == ids(fired(rules(tmp_path), lines))


def test_overwriting_replaces_everything(tmp_path):
    """What the new rule leaves out is off: its groups, options and `ignore` are not those of the old one."""
    ruleset = rules(tmp_path, OVERWRITES)
    rule = ruleset.rules["5712"]
    assert (rule.ignore, rule.groups, rule.mitre) == (0, ("local",), ())


def test_overwriting_keeps_the_place(tmp_path):
    """A replacement that names no place stands where the old rule stood, counts the same, and is tried in its turn."""
    bare = '<rule id="{}" level="{}" {} overwrite="yes">{}<description>mine</description></rule>'
    ruleset = rules(
        tmp_path,
        bare.format("5712", 10, 'frequency="3" timeframe="60"', "<same_source_ip />"),
        bare.format("5710", 6, "", "<match>for invalid user </match>"),
    )
    assert ids(fired(ruleset, [unknown(at) for at in range(3)])) == ["5710", "5710", "5712"]
    assert list(ruleset.rules) == list(rules(tmp_path).rules)


def test_a_rule_is_only_replaced_on_purpose(tmp_path):
    """The same id without `overwrite` is an error that names both places and says what to write."""
    with pytest.raises(
        RuleFileError, match=r'0\.xml:3: rule 5712 is already in .*sshd\.xml:\d+; write overwrite="yes"'
    ):
        rules(tmp_path, OVERWRITES.replace(' overwrite="yes"', ""))


_SOURCES = some.sampled_from([ATTACKER, OTHER, "2001:db8::9"])
_FAILURES = some.lists(some.tuples(some.integers(0, 400), _SOURCES, some.booleans()), max_size=60)


@pytest.fixture(scope="module")
def five(tmp_path_factory):
    return rules(tmp_path_factory.mktemp("rules"), OVERWRITES)


@given(failures=_FAILURES, cuts=some.lists(some.integers(0, 60), max_size=6))
def test_batches_make_no_difference(five, failures, cuts):
    """However lines are cut into batches, in order or out of order, the same rules fire on the same lines."""
    lines = [(unknown if other else wrong)(at, source) for at, source, other in failures]
    correlator = Correlator(five)
    bounds = [0, *sorted(min(cut, len(lines)) for cut in cuts), len(lines)]
    pieces = [one for begin, end in pairwise(bounds) for one in feed_all(correlator, lines[begin:end])]
    assert [_told(one) for one in pieces] == [_told(one) for one in fired(five, lines)]


def _told(firing):
    return firing.rule.id, firing.line, firing.previous
