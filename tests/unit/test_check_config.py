"""`thwart check-config` says what is honoured, and everything that is wrong, with file and line."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from manager.cli import main
from tests.unit.a_conf import block
from tests.unit.test_configuration import OWNERS_EXAMPLE


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["check-config", *map(str, arguments)])


def found(*arguments: object) -> dict:
    return json.loads(run(*arguments, "-o", "json").stdout)


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    """A rule file of the user's own."""
    path = tmp_path / "local_rules.xml"
    path.write_text(
        '<group name="local,shop,">\n<rule id="100001" level="0"><match>a</match></rule>\n'
        '<rule id="100002" level="9"><match>b</match><options>no_ar</options></rule>\n'
        '<rule id="100003" level="9"><match>c</match></rule>\n'
        '<rule id="100004" level="9" noalert="1"><match>d</match></rule>\n</group>'
    )
    return path


def test_what_is_honoured_is_shown(conf):
    """The owner's example: no error, no warning, exit 0, and what it comes to."""
    result = run(conf(OWNERS_EXAMPLE))
    assert (result.exit_code, result.stderr) == (0, "")
    for word in ("firewall-drop", "defined-agent", "agent-xxx", "rule 5712", "10 min", "0 errors, 0 warnings"):
        assert word in result.stdout


def test_the_document_holds_every_option(conf):
    """One JSON document with what a program may want to know, spans in seconds."""
    listed = "<global><white_list>10.0.0.0/8</white_list></global>"
    document = found(conf(listed + OWNERS_EXAMPLE + block("<disabled>yes</disabled>")))
    first, second = document["responses"]
    assert document["ok"] is True
    assert document["white_list"] == ["10.0.0.0/8"]
    assert (first["location"], first["agents"], first["rules_id"]) == ("defined-agent", ["agent-xxx"], ["5712"])
    assert (first["timeout"], first["repeated_offenders"]) == (600.0, [1800.0, 3600.0, 5400.0])
    assert (first["disabled"], second["disabled"], second["timeout"]) == (False, True, None)


def test_every_error_and_warning_has_its_line(conf):
    """All errors at once, exit 2, and what can be read is still shown."""
    path = conf(
        f"<active-response/>\n{block()}\n{block(command='host-deny', location='x')}\n{block('<agent_id>a</agent_id>')}"
    )
    result = run(path)
    assert result.exit_code == 2
    lines = result.stdout.splitlines()
    assert [line.split(": ")[:2] for line in lines if line.startswith("error")] == [
        ["error", f"{path}:1"],
        ["error", f"{path}:3"],
    ]
    assert any(line.startswith(f"warning: {path}:4: <agent_id> is ignored") for line in lines)
    assert lines[-1].endswith("2 errors, 2 warnings")


def test_warnings_alone_are_fine(conf):
    """Exit 0: the file is honoured."""
    result = run(conf(block("<repeated_offenders>30</repeated_offenders>")))
    assert result.exit_code == 0
    assert "warning: " in result.stdout


@pytest.mark.parametrize(
    ("selectors", "expected"),
    [
        ("<rules_id>5712,999</rules_id>", "rule 999 is in none of the rule files"),
        ("<rules_id>100001</rules_id>", "rule 100001 fires no response: it has level 0"),
        ("<rules_id>100002</rules_id>", "rule 100002 fires no response: it has the option no_ar"),
        ("<rules_id>100004</rules_id>", "rule 100004 fires no response: it has `noalert`"),
        ("<rules_group>shop|shops</rules_group>", "no rule has the group shops"),
    ],
)
def test_a_response_that_can_never_fire_is_pointed_out(conf, rules: Path, selectors: str, expected: str):
    """Selectors are held against the shipped rules and those given."""
    (warning,) = found(conf(block(selectors, rules="")), "--rules", rules)["warnings"]
    assert warning["message"].startswith(expected)
    assert warning["line"] == 1


def test_what_the_given_rules_have_is_known(conf, rules: Path):
    """A rule of the user's own, given either way, is no unknown rule."""
    path = conf(block("<rules_group>shop</rules_group>", rules="100003"))
    assert found(path, "--rules", rules)["warnings"] == []
    assert found(path, rules)["warnings"] == []
    assert found(path, "--rules", rules.parent)["warnings"] == []
    assert len(found(path)["warnings"]) == 2


def test_files_are_told_apart_by_what_is_in_them(conf, rules: Path):
    """Rules and configuration may be given in any order and under any name."""
    document = found(rules, conf(block()))
    assert [each["kind"] for each in document["files"]] == ["rules", "ossec.conf"]
    assert (document["errors"], document["warnings"]) == ([], [])


def test_what_is_wrong_with_rules_is_an_error(conf, tmp_path: Path):
    """A rule file that can't be used, and one that isn't there; the rest is still checked."""
    bad = tmp_path / "bad.xml"
    bad.write_text('<group name="x">\n<rule id="1" level="high"/>\n</group>')
    result = run(bad, tmp_path / "none.conf", conf(block()))
    assert result.exit_code == 2
    assert f"error: {bad}:2: `level` is a whole number" in result.stdout
    assert f"error: {tmp_path}/none.conf: can't be read" in result.stdout
    assert "2 errors, 0 warnings" in result.stdout


def test_a_file_without_a_response_is_pointed_out(conf):
    """Whoever gives the wrong file is told."""
    (warning,) = found(conf("<agent_config/>"))["warnings"]
    assert warning["message"].startswith("holds no response that is on")
    assert warning["line"] is None


def test_markup_of_the_file_is_no_markup_of_ours(conf):
    """Square brackets in a name don't colour the table or break it."""
    declared = "<command><name>[red]x[/nope]</name><executable>x</executable></command>"
    assert "[red]x[/nope]" in run(conf(declared + block(command="[red]x[/nope]"))).stdout
