"""The table of what fleets cost: what it says of a size that nobody has measured."""

from msgspec.structs import fields, replace

from tests.bench.sizing import COUNTED, Figures, beyond, table

THOUSAND = Figures(**{each.name: 1_000 if each.name in COUNTED else 1.0 for each in fields(Figures)})
FIVE = replace(THOUSAND, agents=5_000, connections=10_003, broker_memory=801.0, broker_idle=0.5)


def test_what_lies_beyond_is_on_a_straight_line_through_two_sizes():
    """What doesn't grow stays as it is, and counts are whole."""
    more = beyond(THOUSAND, FIVE, 10_000)
    assert (more.agents, more.connections, more.broker_memory) == (10_000, 21_257, 1_801.0)
    assert more.manager_memory == 1.0
    assert more.repeated == 1_000


def test_the_table_marks_what_was_not_measured():
    """The last column says so; with one size alone there is none like that."""
    head, rule, *rows = table([THOUSAND, FIVE]).splitlines()
    assert head == "|  | 1,000 agents | 5,000 agents | 10,000 (extrapolated) |"
    assert {line.count("|") for line in (head, rule, *rows)} == {5}
    assert "extrapolated" not in table([THOUSAND])
