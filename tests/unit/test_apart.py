"""Which networks can share a set."""

from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st

from agent.actions.firewalld_drop.apart import apart
from shared.targets import overlap, parse_network, text_of

NETWORKS = st.builds(
    lambda bits, length: text_of(parse_network(f"203.0.{bits}.0/{length}")), st.integers(0, 255), st.integers(12, 26)
)


def test_the_wider_of_two_is_taken_unless_the_narrower_is_there() -> None:
    """What is in the set already is never taken out for it."""
    wide, narrow, other = "203.0.113.0/24", "203.0.113.128/25", "198.51.100.0/24"
    assert apart([narrow, wide, other], []) == {wide, other}
    assert apart([wide, other], [narrow]) == {other}
    assert apart([narrow], [wide]) == set()
    assert apart([wide], [wide]) == set()


@given(keys=st.lists(NETWORKS), more=st.lists(NETWORKS))
def test_nothing_in_the_set_overlaps(keys: list[str], more: list[str]) -> None:
    """Whatever was there, and comes."""
    fed = apart(more, [])
    taken = apart(keys, fed)
    members = [parse_network(each) for each in (*fed, *taken)]
    assert not any(overlap(one, other) for one, other in combinations(members, 2))
