"""The comparison of what the journal says with what a look found: what is drift, and what is not."""

import hypothesis.strategies as st
import pytest
from hypothesis import given

from agent.journal.planning import FOREVER
from agent.journal.standing import Standing
from agent.reconcile import FAR, NEAR, Drift, Seen, compare

NOW = 1_000.0
HERE, GONE = "203.0.113.9", "203.0.113.10"
lefts = st.one_of(st.none(), st.floats(0.01, 1e9))


def compared(
    ends: dict[str, float], left: dict[str, float | None], *, took: float = 0.0, changing: tuple[str, ...] = ()
) -> Drift:
    """Of a look that began at `NOW`."""
    standing = Standing(ends=ends, changing=frozenset(changing))
    return compare(standing, Seen(left=left, before=NOW, after=NOW + took))


@given(st.dictionaries(st.text(max_size=3), lefts))
def test_what_is_as_it_should_be_has_not_drifted(left: dict[str, float | None]) -> None:
    """Whatever is in force, for however long."""
    ends = {key: FOREVER if each is None else NOW + each for key, each in left.items()}
    assert compared(ends, left) == Drift(found={})


@pytest.mark.parametrize(
    ("should", "has", "found"),
    [
        (600.0, 600.9, None),
        (600.0, 599.1, None),
        (600.0, 602.0, "moved"),
        (600.0, 590.0, "moved"),
        (600.0, None, "moved"),
        (FOREVER, 600.0, "moved"),
        (FOREVER, None, None),
        (100 * FAR, 10 * FAR, None),  # further away than a kernel counts
        (100 * FAR, 600.0, "moved"),
        (100 * FAR, None, "moved"),
        (0.5, 600.0, None),  # the turn that is due ends it
    ],
)
def test_an_end_that_somebody_moved_is_found(should: float, has: float | None, found: str | None) -> None:
    """Earlier, later, to never or from it; less than a second is the time that calls and clocks take."""
    assert compared({HERE: NOW + should}, {HERE: has}).found == ({HERE: found} if found else {})


@pytest.mark.parametrize("left", [NEAR + 0.5, 600.0, FOREVER])
def test_what_is_gone_before_its_time_is_missing(left: float) -> None:
    """A flush, or one element deleted."""
    assert compared({HERE: NOW + left, GONE: NOW + left}, {HERE: None if left == FOREVER else left}).found == {
        GONE: "missing"
    }


@pytest.mark.parametrize("left", [-5.0, 0.0, NEAR])
def test_what_is_gone_in_its_last_second_has_expired(left: float) -> None:
    """The kernel ended it; the turn that is due says so."""
    assert compared({GONE: NOW + left}, {}) == Drift(found={})


@pytest.mark.parametrize(("left", "found"), [(None, {HERE: "unknown"}), (60.0, {HERE: "unknown"}), (0.9, {})])
def test_what_nobody_holds_is_unknown(left: float | None, found: dict[str, str]) -> None:
    """Put there by hand; what is about to end by itself does no harm."""
    assert compared({}, {HERE: left}).found == found


@given(st.floats(0, 1e4), st.floats(0, 1), st.floats(5, 1e6))
def test_a_process_that_is_stopped_while_it_looks_misjudges_nothing(took: float, when: float, left: float) -> None:
    """Nobody knows at what moment of the look the effect was seen; it may have ended in it."""
    passed = took * when
    seen = {HERE: left - passed} if left > passed else {}
    assert compared({HERE: NOW + left}, seen, took=took) == Drift(found={})


def test_what_a_turn_is_changing_is_looked_at_again() -> None:
    """It may be on the host already or not any more: only what is sure is put right."""
    drift = compared({HERE: NOW + 60}, {GONE: None}, changing=(HERE, GONE))
    assert drift == Drift(found={}, unsure=True)
    assert not compared({HERE: NOW + 60}, {HERE: 60.0}, changing=(HERE,)).unsure
