"""The three dialects of patterns: what each sign means, and that the shortcuts agree with the plain expression."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as some

from manager.correlation.dialects import Pattern, lower
from shared.errors import InvalidPattern

# few characters, so that patterns and texts meet; two that only Unicode folds to `k` and `s`
_CHARACTERS = "aAkKsS09 .-_@:|^$!+*\\()é\u212a\u017f\n"
_TEXTS = some.text(_CHARACTERS, max_size=12)
_OSMATCH = some.text(_CHARACTERS, min_size=1, max_size=8)
_PIECES = ["a", "K", "s", "0", " ", ".", "+", "é", "^", "$", "|", "\\$", "\\(", "\\\\", "\\.", "\\.*", "\\.+", "\\w"]
_PIECES += ["\\w+", "\\W", "\\d*", "\\D+", "\\s", "\\S+", "\\p", "\\P*", "\\t", "(\\w+)", "(a)", "(\\.*)", "a k", "ks"]
_OSREGEX = some.lists(some.sampled_from(_PIECES), min_size=1, max_size=6).map("".join)


def _matches(dialect, pattern, text) -> bool:
    return Pattern(pattern, dialect).matches(text, lower(text))


@pytest.mark.parametrize(
    ("pattern", "text", "matches"),
    [
        ("failed", "login FAILED for root", True),
        ("failed", "accepted", False),
        ("^Failed", "failed password", True),
        ("^Failed", "has failed", False),
        ("root$", "for ROOT", True),
        ("root$", "root login", False),
        ("^root$", "root", True),
        ("^root$", "roots", False),
        ("^root$|x$", "the root", False),
        ("one|two", "the two", True),
        ("^one|two$", "one more", True),
        ("^one|two$", "not one", False),
        ("!root", "for admin", True),
        ("!root", "for root", False),
        ("!one|two", "a two", False),
        (r"a\sb", r"a\sb", True),
        (r"a\sb", "a b", False),
        ("a.c", "abc", False),
        ("(x)", "f(x)", True),
    ],
)
def test_osmatch_is_about_substrings(pattern, text, matches):
    """OS_Match looks for plain substrings in any case; only `^`, `$`, `|` and a leading `!` are signs."""
    assert _matches("osmatch", pattern, text) is matches


@pytest.mark.parametrize(
    ("pattern", "text", "matches"),
    [
        ("failed", "FAILED", True),
        (r"^\w+$", "a-b@c_9", True),
        (r"^\w+$", "a.b", False),
        (r"^\w+$", "é", False),
        (r"^\W$", ".", True),
        (r"^\d\d$", "42", True),
        (r"^\D+$", "4a", False),
        (r"a\sb", "a b", True),
        (r"a\sb", "a\tb", False),
        (r"a\tb", "a\tb", True),
        (r"a\Sb", "a b", False),
        (r"^\p+$", "()*+,-.:;<=>?[]!\"'#$%&|{}", True),
        (r"^\p$", "_", False),
        (r"^\P$", "!", False),
        (r"a\.c", "abc", True),
        (r"a\.c", "a\nc", True),
        ("a.c", "a.c", True),
        ("a.c", "abc", False),
        ("a+", "aa", False),
        ("a+", "a+", True),
        ("a*b", "aab", False),
        ("[a]", "a", False),
        ("[a]", "[a]", True),
        (r"\$5", "costs $5", True),
        (r"^one|two$", "one more", True),
        (r"^one|two$", "not one", False),
        (r"^a\.*", "ba", False),
        (r"\.*", "", True),
    ],
)
def test_osregex_has_classes_of_its_own(pattern, text, matches):
    r"""OS_Regex: `\w` takes `-`, `@` and `_`, `\.` is any character and `.` a dot; `+` and `*` need a class before."""
    assert _matches("osregex", pattern, text) is matches


@pytest.mark.parametrize(
    ("pattern", "text", "matches"),
    [
        ("failed", "FAILED", False),
        ("(?i)failed", "FAILED", True),
        (r"^\w+$", "a-b", False),
        (r"a.c", "abc", True),
        (r"^(?<name>a+)b{2}$", "aaabb", True),
        (r"(?<!x)y", "xy", False),
    ],
)
def test_pcre2_minds_case(pattern, text, matches):
    """PCRE2 is case-sensitive, and has what people expect of it."""
    assert _matches("pcre2", pattern, text) is matches


@pytest.mark.parametrize(
    ("pattern", "text", "taken"),
    [
        (r"from (\S+) port (\d+)", "from 10.0.0.1 port 22", ("10.0.0.1", "22")),
        (r"^(\.*) from (\S+)$", "x from y from 10.0.0.1", ("x from y", "10.0.0.1")),
        (r"^(\.*) from (\S+)$", " from 10.0.0.1", ("", "10.0.0.1")),
        (r"a(\d+)|b(\d+)", "b7", ("7",)),
        (r"\((\d+)\)", "(42)", ("42",)),
    ],
)
def test_osregex_takes_what_is_in_parentheses(pattern, text, taken):
    """Parentheses capture, counted within the alternative that matched."""
    groups, _ = Pattern(pattern, "osregex").captures(text)
    assert groups == taken


@pytest.mark.parametrize(
    ("dialect", "pattern"),
    [
        ("osregex", "(a(b))"),
        ("osregex", "(a|b)"),
        ("osregex", "(a"),
        ("osregex", "a)"),
        ("osregex", r"\b"),
        ("osregex", "a\\"),
        ("pcre2", "[[:alpha:]]"),
        ("pcre2", "(a"),
        ("pcre2", r"\K"),
        ("pcre2", "(?R)"),
        ("pcre2", "a{99999999999999999999}"),
    ],
)
def test_what_a_dialect_lacks_is_refused(dialect, pattern):
    """A pattern that would be read as something else is an error, never a guess."""
    with pytest.raises(InvalidPattern):
        Pattern(pattern, dialect)


@settings(max_examples=500)
@given(_OSMATCH, _TEXTS)
@example("^a|k$", "K")
@example("s", "\u017f")
@example("!^$", "")
def test_osmatch_shortcuts_agree_with_the_expression(source, text):
    """For any OS_Match pattern and text the quick answer is the plain one."""
    _agree(Pattern(source, "osmatch"), text)


@settings(max_examples=500)
@given(_OSREGEX, _TEXTS, some.booleans())
@example(r"k\.*", "\u212a", False)
@example(r"^a\\$", "a\\", False)
def test_osregex_shortcuts_agree_with_the_expression(source, text, negated):
    """For any OS_Regex pattern and text the quick answer is the plain one."""
    _agree(Pattern(source, "osregex", negated=negated), text)


def _agree(pattern: Pattern, text: str) -> None:
    quick = pattern.matches(text, lower(text))
    assert quick == pattern.plainly(text)
    assert (pattern.end(text) is not None) == quick
    if quick and pattern.leads is not None:
        assert lower(text).startswith(pattern.leads)


@given(some.text(max_size=20))
def test_lower_case_keeps_every_place(text):
    """Lowering changes ASCII letters alone, so that an offset in the one text is the same in the other."""
    assert len(lower(text)) == len(text)
    assert all(one == other or one.isascii() for one, other in zip(text, lower(text), strict=True))
