"""Equal things have equal ids, in every process and for ever; different things have different ones."""

import subprocess
import sys

from hypothesis import given
from hypothesis import strategies as st

from shared.ids import digest, fingerprint

PARTS = st.lists(st.none() | st.integers() | st.floats(allow_nan=False) | st.text() | st.lists(st.text()).map(tuple))


def test_an_id_is_the_same_in_every_process_and_version() -> None:
    """Stored ids are compared with new ones after restarts and upgrades: these values never change."""
    assert digest("a", 1, None, ("x", "y")) == "eccd1cd4677ec07c8ee1980b936c8c41"
    assert fingerprint(["a", "b"]) == "c48a5cda16e30d5a"
    other = subprocess.run(
        [sys.executable, "-c", "from shared.ids import digest; print(digest('a', 1, None, ('x', 'y')))"],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONHASHSEED": "5"},
    )
    assert other.stdout.strip() == digest("a", 1, None, ("x", "y"))


@given(PARTS, PARTS)
def test_different_parts_have_different_ids(one: list, other: list) -> None:
    """Nothing runs together: neither texts, nor numbers and texts, nor where one part ends."""
    assert (digest(*one) == digest(*other)) == (repr(one) == repr(other))


def test_what_looks_alike_is_told_apart() -> None:
    """The cases in which joined text would be the same."""
    alike = [("a", "b"), ("ab",), ("a", "b", ""), (("a", "b"),), ("1",), (1,), (1.0,), (None,), ("None",), (), ("",)]
    assert len({digest(*parts) for parts in alike}) == len(alike)


@given(st.text())
def test_any_text_has_an_id(text: str) -> None:
    """Surrogates and control characters included."""
    assert len(digest(text + "\ud800")) == 32


@given(st.sets(st.text(min_size=1)), st.text(min_size=1))
def test_a_fingerprint_is_of_a_set(ids: set[str], more: str) -> None:
    """Order doesn't matter, one id more or less does, and that of nothing is zero."""
    forth, back = sorted(ids), sorted(ids, reverse=True)
    assert fingerprint(forth) == fingerprint(back)
    assert fingerprint([]) == "0" * 16
    if more not in ids:
        assert fingerprint([*ids, more]) != fingerprint(ids)
        assert fingerprint([*ids, more, more]) == fingerprint(ids), "twice is not at all: ids come once"
