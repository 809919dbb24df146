"""Tables on terminals of any width."""

import io
import re
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from manager.cli import main
from shared.tables import laid_out

SAMPLE = Path(__file__).parents[1] / "stage" / "sample" / "local_rules.xml"
COLUMNS = ("TARGET", "ACTION", "AGENT", "SINCE", "LEFT", "ORDER", "BY", "")
LONG = "2001:db8:1234:5678:9abc:def0:1234:5678"
ROWS = [
    ("203.0.113.9", "firewall-drop", "web1", "09:26:55", "23 h 59 min", "4b4b4514552f", "a person", ""),
    (LONG, "firewall-drop", "manager1", "2026-11-24 09:26:55", "9 min", "413c376cfdfa", "block-275726afa597", ""),
]


def printed(columns, rows, room):
    """What a terminal of that width is sent."""
    console = Console(file=io.StringIO(), width=room, color_system=None)
    console.print(laid_out(console, columns, rows), soft_wrap=True)
    return console.file.getvalue()


@pytest.mark.parametrize("room", [30, 40, 60, 80, 110, 200])
def test_no_address_id_or_name_is_cut_in_two(room):
    """What somebody copies from a table is whole there, however narrow the terminal."""
    text = printed(COLUMNS, ROWS, room)
    for row in ROWS:
        assert set(" ".join(row).split()) <= set(text.split()), text


@pytest.mark.parametrize("room", [60, 80, 110, 200])
def test_no_line_is_wider_than_the_terminal(room):
    """Where every word has room for itself no line is longer than the terminal is wide."""
    assert max(map(len, printed(COLUMNS, ROWS, room).splitlines())) <= room


def test_a_narrow_terminal_gets_a_paragraph_for_each_row():
    """Cells stand behind their headings, a few on a line; what is empty is left out."""
    assert printed(COLUMNS, ROWS[:1], 50).splitlines() == [
        "203.0.113.9  action: firewall-drop  agent: web1",
        "  since: 09:26:55  left: 23 h 59 min",
        "  order: 4b4b4514552f  by: a person",
    ]


def test_a_table_is_folded_between_words():
    """With a little too little room sentences are folded, in a table still."""
    rows = [("web1", "refused", "192.0.2.2 is protected by 192.0.2.2 (this host's own address)")]
    lines = printed(("AGENT", "STATE", "DETAIL"), rows, 51).splitlines()
    assert [re.sub(r" {2,}", "|", each.strip()) for each in lines] == [
        "AGENT|STATE|DETAIL",
        "web1|refused|192.0.2.2 is protected by 192.0.2.2",
        "(this host's own address)",
    ]


def test_what_is_short_is_folded_once_at_the_most():
    """A span of time isn't written in three lines, one word below the other, to save a table."""
    rows = [("c7f6b63ead0b", "2 min 14 s", "all agents and manager hosts")]
    lines = [each.split() for each in printed(("ORDER", "AGE", "WHERE"), rows, 35).splitlines()[1:]]
    assert lines == [["c7f6b63ead0b", "2", "min", "all", "agents", "and"], ["14", "s", "manager", "hosts"]]
    assert printed(("ORDER", "AGE", "WHERE"), rows, 34).startswith("c7f6b63ead0b  age: 2 min 14 s")


@pytest.mark.parametrize("words", [["rules", "list", "--rules", SAMPLE], ["completion", "bash"]], ids=["table", "text"])
def test_a_full_disk_is_a_sentence(words):
    """What is printed into a file that has no room ends with 1 and no traceback."""
    with open("/dev/full", "w") as full:
        thwart = Path(sys.executable).parent / "thwart"
        done = subprocess.run([thwart, *words], stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == "thwart: there is no room on the disk for what should be written"


CELL = st.text(st.characters(codec="utf-8"), max_size=60)


@given(st.lists(st.tuples(CELL, CELL, CELL), min_size=1, max_size=4), st.integers(1, 200))
def test_whatever_agents_say_is_printed(rows, room):
    """Neither an odd character nor an odd width stops a table."""
    assert printed(("TARGET", "DETAIL", ""), rows, room)


@pytest.mark.parametrize(("wish", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False), ({"NO_COLOR": ""}, True)])
def test_who_wants_no_colours_gets_none(wish, coloured, tmp_path):
    """NO_COLOR holds for every sentence, also for those that aren't in a table."""
    path = tmp_path / "ossec.conf"
    path.write_text("<ossec_config>")
    done = CliRunner(env=wish).invoke(main, ["check-config", str(path)], color=True)
    assert ("\x1b[31m" in done.output) == coloured
