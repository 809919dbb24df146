"""One parser reads every duration, and what is no duration is an error and never a number."""

import pytest

from shared.durations import seconds, words
from shared.errors import InvalidDuration


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("90", 90),
        ("0", 0),
        ("10s", 10),
        ("10m", 600),
        ("2h", 7_200),
        ("1d", 86_400),
        ("1w", 604_800),
        (" 1.5 H ", 5_400),
    ],
)
def test_numbers_with_and_without_a_unit_are_seconds(text: str, expected: float) -> None:
    """A bare number is seconds, a unit multiplies."""
    assert seconds(text) == expected


def test_a_bare_number_counts_what_the_caller_says() -> None:
    """`repeated_offenders` says minutes, and a unit still overrules it."""
    assert seconds("30", bare=60) == 1_800
    assert seconds("30s", bare=60) == 30


@pytest.mark.parametrize("text", ["", "-5", "+5", "ten", "10 minutes", "1e3", "nan", "inf", "5m30", "٣", "9" * 12])
def test_anything_else_is_refused_with_an_example(text: str) -> None:
    """Garbage, signs, other scripts' digits and more than a century are errors."""
    with pytest.raises(InvalidDuration, match=r"duration|century"):
        seconds(text)


@pytest.mark.parametrize(
    ("span", "expected"),
    [
        (0, "0 s"),
        (0.3, "0.3 s"),
        (45, "45 s"),
        (600, "10 min"),
        (7_500, "2 h 5 min"),
        (259_200, "3 d"),
        (90_061, "1 d 1 h"),
    ],
)
def test_spans_are_said_in_their_two_largest_units(span: float, expected: str) -> None:
    """What people read has no more digits than they need."""
    assert words(span) == expected
