"""No expression stalls the manager, and what is searched within bounds says what `re` alone would say."""

import re
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as some
from structlog.testing import capture_logs

from manager.api.bodies.explain import NewExplanation
from manager.api.explain import _within
from manager.correlation import Correlator, load, shipped
from manager.correlation.bounded import ALLOWANCE, Bounded, stand_apart
from manager.correlation.dialects import Pattern
from manager.correlation.ruleset import patterns
from manager.explaining.reacting import Reactions
from manager.offline.responding import Hosts
from manager.responses.configuration import Configuration
from manager.responses.responses import Responses
from manager.sources.correlator_thread import CorrelatorThread
from shared.messages import Cursor, LogBatch, LogLine

LONG = 64 * 1024  # characters: as long as a line gets
_PARTS = ["a*", "[^b]+", "(a|b)", "(?:b.)*?", "c", "x?", ".*", r"\d{1,3}", " ", r"\w+"]
_FLAGS = [re.ASCII, re.ASCII | re.IGNORECASE, re.ASCII | re.DOTALL]


def bounded(expression: str, flags: int = re.ASCII) -> Bounded:
    return Bounded(re.compile(expression, flags))


def taken(search, *words) -> float:
    """Seconds of processor time."""
    begin = time.process_time()
    search(*words)
    return time.process_time() - begin


@pytest.mark.parametrize(
    "expression",
    [
        *[r"(a+)+$", r"(\w+\s?)*x", r"(a|aa)+$", r"(a?){40}a{40}", r"(.*)\1x", r"(x+x+)+y"],
        *[r"(a|)+b", r"(?i:a+)x", r"^(?:x|(a+)+)b", r"(?=(a+)+b)a", r"(?>(a+)+b)", r"(a{1,50}){1,50}b"],
        *[r"(?i)^(?:a+A)+b", r"^([a-f]+e)+x", r"^(?:[^x]+y)+b", r"^(?:[^a]y)+(?:\Wy)+(\W|[^b])+x"],
    ],
)
def test_what_explodes_is_known(expression):
    """An expression that can take for ever over a short text is never left to `re`."""
    assert bounded(expression).explodes


@pytest.mark.parametrize(
    "expression", [r"^\d+$", r"^user=(\S+) from (\S+) port \d+$", r"(\d{1,3}\.){3}\d{1,3}", r"^[^\"]*\"(?:a|b)+c"]
)
def test_what_is_walked_once_is_known(expression):
    """An expression whose repeats can't give back what they took is searched by `re` however long the text."""
    assert bounded(expression).longest > 1_000_000


@pytest.mark.parametrize(
    ("expression", "degree"),
    [
        *[
            (r"^a{3}a?b", 0),
            (r"^a+b", 1),
            (r"^a+$", 1),
            (r"a", 1),
            (r"(?:x|^a)b", 1),
            (r"^(?:ab)+c", 1),
            (r"^(?:a+b)+c", 1),
        ],
        *[(r"^a++a", 1), (r"^[^x]+x", 1), (r"(?i)^[^xy]+X", 1), (r"^[a-f]+g", 1), (r"^\w+\W", 1), (r"^(?:ab|cd)+e", 1)],
        *[(r"^a+a", 2), (r"^[^x]+y", 2), (r"^[a-f]+e", 2), (r"^\w+\d", 2), (r"^.*x", 2), (r"^a+(?!b)a", 2)],
        *[
            (r"(?i)^a+A", 2),
            (r"(?i)^[a-f]+[E-G]", 2),
            (r"^[^a]+\u00e9", 2),
            (r"^[^\u00e9a]+\u00fc", 2),
            (r"a+b", 2),
            (r"\ba+b", 2),
        ],
        *[
            (r"^(?=.*x)a", 2),
            (r"^(?:.*x|y)", 2),
            (r"^a{0,70}a", 2),
            (r"^a+\ba", 2),
            (r"^(?:ab*)+b+c", 2),
            (r"^(?:a?b)+c", 1),
        ],
        *[(r"^(?:[^x]{1,2}y?)x+x", 2), (r"^(?:a+b?a+|x)y", 2), (r"(?:x|^).*y", 3), (r"^.*x.*y", 3), (r".*x", 3)],
    ],
)
def test_a_cost_grows_with_what_can_be_given_back(expression, degree):
    """Each repeat that can give back to what follows it, and each place at which a search may begin, is a degree."""
    one = bounded(expression)
    assert one.cost.degree == degree
    assert (one.longest < LONG) is (degree > 1)


@settings(max_examples=200, deadline=None)
@given(
    parts=some.lists(some.sampled_from([*_PARTS, "(?:ab?)+", "[ab]+", "$"]), min_size=1, max_size=5),
    flags=some.sampled_from(_FLAGS),
    filling=some.sampled_from(["a", "ab", "aB", "x1", " ", "aab "]),
)
def test_what_re_may_search_is_soon_done(parts, flags, filling):
    """A text that is as long as `re` may search is no work for long, whatever is in it."""
    import regex

    one = bounded("".join(parts) + "!", flags)
    text = filling * (min(one.longest, LONG) // len(filling))
    assert regex.search(one.regex.pattern, text, flags=int(flags), timeout=1.0) is None


def test_a_chain_is_bounded_by_its_length():
    """Several `.*` in a row are left to `re` over short texts only, shorter the more they are."""
    chains = [bounded("x" + ".*y" * count).longest for count in (1, 2, 3, 4)]
    assert chains == sorted(chains, reverse=True)
    assert 20 < chains[-1] < chains[0] < LONG


@pytest.mark.parametrize(
    ("source", "dialect", "text"),
    [
        (r"(a|aa)+$", "pcre2", "a" * LONG + "!"),
        (r"\.*a\.*b\.*c\.*d\.*e\.*z\d", "osregex", "abcde z" * (LONG // 7)),
    ],
)
def test_what_takes_too_long_is_no_match(source, dialect, text):
    """A search that would take years is given up, counts as no match and is counted; the next are given up sooner."""
    pattern = Pattern(source, dialect)
    spent = [taken(pattern.matches, text, text) for _ in range(8)]
    assert not pattern.matches(text, text)
    assert (pattern.bounded.cut(), pattern.bounded.cut()) == (9, 0)
    assert min(spent[:2]) < 0.1  # s
    assert min(spent[-3:]) < min(spent[:2]) / 4


def test_a_line_that_matches_still_does():
    """After it was given up, an expression goes on matching what ordinary lines hold."""
    pattern = Pattern(r"^(\w+\s?)+: (a|aa)+$", "pcre2")
    assert pattern.captures("a b: " + "a" * LONG + "!") is None
    assert pattern.bounded.cut()
    assert pattern.captures("from here: aa") is not None


def test_who_stands_apart_pays_alone():
    """What an explanation gives up costs the correlator no allowance, and is none of its count."""
    one, text = bounded(r"(a|aa)+$"), "a" * LONG + "!"

    def explain() -> None:
        stand_apart()
        assert not any(one.timed(text) for _ in range(8))
        assert one.cut() == 8

    with ThreadPoolExecutor() as pool:
        pool.submit(explain).result()
    assert one.cut() == 0
    assert taken(one.timed, text) > ALLOWANCE / 2
    assert one.cut() == 1


def test_an_allowance_comes_back():
    """However often an expression was given up, it has time for a long line, and more again with each that ends."""
    one = bounded(r"^(\w+\s?)+: (a|aa)+$")
    hostile = "a b: " + "a" * LONG + "!"
    for _ in range(12):
        one.timed(hostile)
    least = min(taken(one.timed, hostile) for _ in range(3))
    for _ in range(8):
        assert one.timed("from here: " + "a" * 1000) is not None
    assert taken(one.timed, hostile) > 4 * least


def test_an_explanation_stands_apart(tmp_path):
    """What a person has explained over the API is no search that the correlator gave up."""
    (tmp_path / "own.xml").write_text(
        '<group name="x"><rule id="100002" level="3"><regex type="pcre2">^(a|aa)+$</regex></rule></group>'
    )
    ruleset, configuration = load([tmp_path]), Configuration()
    reactions = Reactions(configuration, Responses(configuration, ruleset).judge, Hosts(()).with_one)
    with ThreadPoolExecutor() as pool:
        (told,) = pool.submit(_within, ruleset, reactions, NewExplanation(lines=("a" * 10_000 + "!",)), 0.0).result()
    assert told.rule == ""
    assert Correlator(ruleset).cut_short() == []


def test_a_negated_pattern_that_is_given_up():
    """A text that is too much for a pattern is one that doesn't hold it."""
    assert Pattern(r"(a|aa)+$", "pcre2", negated=True).matches("a" * LONG + "!", "")


@settings(max_examples=200, deadline=None)
@given(
    parts=some.lists(some.sampled_from(_PARTS), min_size=1, max_size=5),
    flags=some.sampled_from(_FLAGS),
    text=some.text("abcBCx1\u00e9\u0663\n ", max_size=30),
)
@example(parts=["c"], flags=_FLAGS[1], text="C")
@example(parts=["c."], flags=_FLAGS[2], text="c\n")
def test_both_libraries_say_the_same(parts, flags, text):
    """Where a match is found, what it takes and where it ends doesn't depend on which library searches."""
    one = bounded("".join(parts), flags)
    plain, timed = one.regex.search(text), one.timed(text)
    assert one.cut() == 0
    assert (plain and (plain.span(), plain.groups())) == (timed and (timed.span(), timed.groups()))


@pytest.mark.parametrize("source", [r"a{e}", r"\$\{jndi:", r"{i<=2}x", r"x{2}"])
def test_a_brace_is_a_brace(source):
    """Approximate matching is none of PCRE2's: what looks like it is text, by either library."""
    one = bounded(source)
    text = source.replace("\\", "")
    assert (one.regex.search(text) is None) is (one.timed(text) is None)


_HOSTILE = [
    " " * LONG,
    "a" * LONG,
    '"\\' * (LONG // 2),
    " from x port 1" * (LONG // 14),
    "x[(1) - USER " * (LONG // 13),
]


@pytest.mark.parametrize("filling", _HOSTILE, ids=["spaces", "letters", "quotes", "ports", "brackets"])
def test_no_shipped_pattern_stalls(filling):
    """Every shipped pattern is done with the longest line in a time in which nobody notices."""
    for where, pattern in patterns(load([shipped()])):
        text = (pattern.leads or ("",))[0] + filling
        begin = time.process_time()
        pattern.matches(text, text.lower())
        assert time.process_time() - begin < 0.25, where
        assert not pattern.bounded.explodes, where


def test_what_is_given_up_is_counted_and_said_once(tmp_path):
    """Each search that is given up is in the figures; the log names the rule's file and line, once."""
    (tmp_path / "own.xml").write_text(
        '<group name="x"><rule id="100002" level="3">\n<regex type="pcre2">^(a|aa)+$</regex></rule></group>'
    )
    thread = CorrelatorThread(Correlator(load([tmp_path])), (), answered=())
    lines = tuple(LogLine(text="a" * LONG + "!", at=0.0, offset=place) for place in range(2))
    cursor = Cursor(file="1:2", first=0, next=2)
    batch = LogBatch(agent_id="web1", source="/var/log/x", lines=lines, collected_at=0.0, cursor=cursor)
    with capture_logs() as logged:
        reading = thread.take([batch])
    thread.close()
    assert (reading.cut, reading.sightings) == (2, ())
    assert [each["where"] for each in logged] == [f"rule 100002 ({tmp_path / 'own.xml'}:1)"]
