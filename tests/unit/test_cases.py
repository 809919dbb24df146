"""Cases for rules: lines come through as they stand, what isn't understood is an error, and a failure says why."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from manager.cli import main
from manager.explaining.cases import read_cases
from shared.errors import CaseFileError

HEAD = "Nov 24 16:00:00 web1 sshd[4711]: "
UNKNOWN = "Failed password for invalid user {} from 203.0.113.9 port 4022 ssh2"
LOCAL = """
<group name="local,">
  <rule id="5712" level="12" frequency="3" timeframe="120" overwrite="yes">
    <if_matched_sid>5710</if_matched_sid><same_source_ip /><description>brute force</description>
  </rule>
</group>
"""


def _written(folder: Path, text: str) -> Path:
    path = folder / "some.ini"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def _counted(rule: str, level: int, many: int) -> str:
    lines = [f"log {number} pass = {HEAD}{UNKNOWN.format(number)}" for number in range(1, many + 1)]
    return "\n".join(["[often]", *lines, f"rule = {rule}", f"alert = {level}", "decoder = sshd"])


def _tested(*arguments: object):
    return CliRunner().invoke(main, ["rules", "test", *map(str, arguments)])


HOSTILE = [
    f"{HEAD}user %(name)s %d ; not a comment # nor this = or that",
    f"{HEAD} two spaces, a tab\t and trailing ones  ",
    f"{HEAD}'quoted' \"twice\" [brackets] ${{x}} $(y)",
    f"{HEAD}form feed \x0c, \x1b[31mred\x1b[0m, \x85 and \u2028 break no line",
    "[not a section, and : no key",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_a_line_comes_through_as_it_stands(tmp_path, text):
    """No character of a log line means anything to the file that holds it."""
    path = _written(tmp_path, f"; remark\n# another\n[a case]\nlog 1 pass = {text}\r\nrule = 5710\n")
    (case,) = read_cases([path])
    assert [each.text for each in case.lines] == [text]
    assert case.expected == {"rule": "5710"}


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("[a]\nlog 1 pass = x\nrules = 5710\n", 3, "`rules` isn't known"),
        ("[a]\nlog 1 passes = x\nrule = 1\n", 2, "`log 1 passes` isn't known"),
        ("[a]\nlog 1 pass = x\nrule = ssh\n", 3, "`rule` is the id of a rule"),
        ("[a]\nlog 1 pass = x\nalert = 17\n", 3, "`alert` is a level from 0 to 16"),
        ("[a]\nlog 1 pass = x\nrule = 1\nrule = 2\n", 4, "a second `rule`"),
        ("[a]\nlog 1 pass = x\nlog 1 fail = y\nrule = 1\n", 3, "a second `log 1`"),
        ("[a]\nlog 1 pass = x\n y\nrule = 1\n", 3, "begins with white space"),
        ("[a]\nlog 1 pass = x\n", 1, "[a] expects nothing"),
        ("[a]\nrule = 1\n", 1, "[a] has no `log 1 pass"),
        ("[a]\nlog 1 = x\nrule = 1\n", 1, "[a] judges no line"),
        ("[a]\nlog 1 pass = x\nrule = 1\n[a]\n", 4, "a second [a]; the first is in line 1"),
        ("rule = 1\n", 1, "before the first [section]"),
        ("[a]\nnonsense\n", 2, "neither [a section] nor"),
        ("; nothing\n", None, "holds no [section]"),
    ],
)
def test_what_is_not_understood_is_an_error_with_its_line(tmp_path, text, line, said):
    """A case that would silently test nothing, or something else, is refused with file and line."""
    path = _written(tmp_path, text)
    with pytest.raises(CaseFileError) as caught:
        read_cases([path])
    assert caught.value.line == line
    assert said in str(caught.value)
    assert _tested(path).exit_code == 2


def test_what_ships_keeps_what_its_cases_say():
    """`thwart rules test` alone runs the cases that come with the rules, and each of them passes."""
    done = _tested()
    assert (done.exit_code, "0 failed" in done.output) == (0, True), done.output


def test_lines_of_a_case_count_together_by_the_rules_that_are_given(tmp_path):
    """The last of eight lines makes 5712 fire as it ships, the last of three where an own file says so."""
    path, own = _written(tmp_path, _counted("5712", 10, 8)), tmp_path / "own.xml"
    own.write_text(LOCAL)
    assert _tested(path).exit_code == 0
    assert _tested(path, "--rules", own).exit_code == 1
    path.write_text(_counted("5712", 12, 3))
    assert _tested(path, "--rules", own).exit_code == 0


def test_a_line_that_counts_must_not_fire_early(tmp_path):
    """Where the rule counts others a `fail` is judged wherever it stands, and the rest by the last line alone."""
    path, own = _written(tmp_path, _counted("5712", 12, 6)), tmp_path / "own.xml"
    own.write_text(LOCAL)
    assert _tested(path, "--rules", own).exit_code == 0
    path.write_text(_counted("5712", 12, 6).replace("log 2 pass", "log 2 fail"))
    assert _tested(path, "--rules", own).exit_code == 0
    path.write_text(_counted("5712", 12, 6).replace("log 3 pass", "log 3 fail"))
    assert _tested(path, "--rules", own).exit_code == 1


def test_a_rule_under_one_that_counts_is_judged_by_the_last_line(tmp_path):
    """The lines before it can't come to it."""
    path, own = _written(tmp_path, _counted("100001", 11, 3)), tmp_path / "own.xml"
    child = '<rule id="100001" level="11"><if_sid>5712</if_sid><description>x</description></rule>\n</group>'
    own.write_text(LOCAL.replace("</group>", child))
    assert _tested(path, "--rules", own).exit_code == 0


def test_a_case_that_fails_says_what_was_expected_what_came_and_why(tmp_path):
    """Seven lines are too few for eight: the window's count is in the answer, and the status is 1."""
    done = _tested(_written(tmp_path, _counted("5712", 10, 7)))
    assert done.exit_code == 1
    assert "log 7 (line 8): expected rule 5712, got 5710" in done.output
    assert "rule 5712: frequency: 7 of 8 from 203.0.113.9 in 120 s" in done.output


def test_a_line_that_no_rule_takes_is_said_to_come_to_none(tmp_path):
    """Whoever misspells a line's program reads that no rule was reached, and which one was expected."""
    done = _tested(_written(tmp_path, "[a]\nlog 1 pass = nothing known\nrule = 5710\n"))
    assert "rule 5710 was not reached: the line comes to no rule at all" in done.output
    assert "1 case, 1 failed" in done.output


def test_each_line_is_judged_where_the_rule_counts_nothing(tmp_path):
    """A line in the middle that comes to something else is found, and one that must not come to it may, and must."""
    first, other = f"{HEAD}{UNKNOWN.format('a')}", f"{HEAD}Server listening on :: port 22."
    for text, verdict, status in ((other, "pass", 1), (other, "fail", 0), (first, "pass", 0), (first, "fail", 1)):
        lines = [f"log 1 pass = {first}", f"log 2 {verdict} = {text}", f"log 3 pass = {HEAD}{UNKNOWN.format('b')}"]
        path = _written(tmp_path, "\n".join(["[one]", *lines, "rule = 5710", "field srcip = 203.0.113.9"]))
        assert _tested(path).exit_code == status, (text, verdict)
