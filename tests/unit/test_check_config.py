"""`thwart check-config` says what is honoured, and everything that is wrong, with file and line."""

import json
import time
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from agent.cli import main as agent_main
from manager.cli import main
from manager.correlation import shipped
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


def test_a_shipped_file_is_no_second_one(tmp_path: Path):
    """Naming it, its folder, or the user's own file twice over says nothing twice; a copy is another file."""
    shipped_rules = sorted((shipped() / "rules").glob("*.xml"))[0]
    assert run(shipped_rules).exit_code == 0
    assert run(shipped(), "--rules", shipped_rules).exit_code == 0
    assert CliRunner().invoke(main, ["rules", "list", "--rules", str(shipped_rules)]).exit_code == 0
    copy = tmp_path / "copy.xml"
    copy.write_bytes(shipped_rules.read_bytes())
    assert "is already in" in run(copy).stdout
    (tmp_path / "link.xml").symlink_to(shipped_rules)
    assert run(tmp_path / "link.xml").exit_code == 0


def test_a_pattern_that_explodes_is_pointed_out(conf, tmp_path: Path):
    """A rule whose pattern can take for ever has a warning with its line; one that is only long has none."""
    rules = tmp_path / "own.xml"
    rules.write_text(
        '<group name="x">\n<rule id="100001" level="3"><match>a|b|c</match><description>d</description></rule>\n'
        '<rule id="100002" level="3"><regex type="pcre2">(a+)+$</regex><description>d</description></rule>\n</group>'
    )
    (warning,) = [line for line in run(rules, conf(block())).stdout.splitlines() if line.startswith("warning")]
    assert warning.startswith(f"warning: {rules}:3: `(a+)+$` may take for ever")
    assert warning.endswith("(rule 100002)")


def test_a_file_without_a_response_is_pointed_out(conf):
    """Whoever gives the wrong file is told."""
    (warning,) = found(conf("<agent_config/>"))["warnings"]
    assert warning["message"].startswith("holds no response that is on")
    assert warning["line"] is None


def test_markup_of_the_file_is_no_markup_of_ours(conf):
    """Square brackets in a name don't colour the table or break it."""
    declared = "<command><name>[red]x[/nope]</name><executable>x</executable></command>"
    assert "[red]x[/nope]" in run(conf(declared + block(command="[red]x[/nope]"))).stdout


WHOLE = Path(__file__).parent / "files" / "whole_ossec.conf"


def test_a_whole_ossec_conf_goes_through():
    """No error; what is honoured, what isn't ours with its lines, and what would surprise its author."""
    document = found(WHOLE)
    assert document["errors"] == []
    assert [each["command"] for each in document["responses"]] == [
        "firewall-drop",
        "firewall-drop",
        "restart-wazuh",
        "quarantine",
        "firewall-drop",
    ]
    assert document["white_list"] == ["127.0.0.1", "192.0.2.53", "10.20.0.0/16", "^localhost.localdomain$"]
    lines = WHOLE.read_text().splitlines()
    for section in document["skipped"]:
        assert all(lines[line - 1].strip().startswith(f"<{section['name']}") for line in section["lines"]), section
    outside = {each["name"]: each for each in document["skipped"] if each["inside"] is None}
    assert set(outside) >= {"alerts", "remote", "rootcheck", "wodle", "syscheck", "ruleset", "rule_test", "auth"}
    assert len(outside["localfile"]["lines"]) == 4
    assert "agent.toml" in outside["localfile"]["instead"]
    inside = [each["name"] for each in document["skipped"] if each["inside"] == "global"]
    assert inside[0] == "jsonout_output"
    assert "white_list" not in inside


def test_every_surprise_of_a_whole_file_has_its_line():
    """Each is at the place that its author would change."""
    document = found(WHOLE)
    said = {(each["line"], each["message"].partition(":")[0].partition("(")[0]) for each in document["warnings"]}
    lines = WHOLE.read_text().splitlines()

    def line(text: str, after: str) -> int:
        start = next(number for number, each in enumerate(lines) if after in each)
        return next(number for number, each in enumerate(lines[start:], start + 1) if text in each)

    block = "<active-response>"
    for where, beginning in (
        (line("<timeout>60<", block), "<timeout> is ignored"),
        (line("<timeout>3600<", block), "<timeout> is ignored"),
        (line("<agent_id>001", block), "<agent_id> is ignored"),
        (line("<repeated_offenders>60<", block), "without a <timeout> the first block has no end"),
        (line("<level>3<", block) - 3, "it fires on successful logins too"),
        (line("<rules_id>502", block) - 3, "rule 502 tells of a restart"),
        (line("<rules_id>87105", block) - 4, "rule 87105 is in none of the rule files"),
        (line("<rules_id>87105", block) - 4, "rule 5700 fires no response"),
        (line("<rules_id>651", block) - 4, "rule 651 is about what responses themselves do"),
    ):
        assert any(at == where and message.startswith(beginning) for at, message in said), (where, beginning)
    notes = [each["message"] for each in document["notes"]]
    assert notes[0].startswith("no response uses the command disable-account (line 84), win_route-null (line 108)")
    assert any(each.startswith("<location> all means the managers' hosts too") for each in notes)


def test_the_group_of_what_responses_log_is_pointed_out(conf):
    """Also by its group, and a rule that counts such lines needs no number of Wazuh's."""
    (warning,) = found(conf(block("<rules_group>active_response</rules_group>", rules="")))["warnings"]
    assert "is about what responses themselves do" in warning["message"]


def test_skipped_sections_are_a_line_each():
    """For people: what it is, where, and what does the same here."""
    said = run(WHOLE).stdout.splitlines()
    (wodle,) = [each for each in said if "<wodle>" in each]
    assert wodle == "not ours, skipped: <wodle> (line 39, 45)"
    (options,) = [each for each in said if "in <global> all but <white_list>" in each]
    assert "update_check (line 13)" in options


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'<!DOCTYPE x [<!ENTITY e "boom">]><ossec_config>&e;</ossec_config>', "DOCTYPE or ENTITY isn't allowed"),
        (b"global:\n  jsonout_output: yes\n", "holds text, and no element; is it the right file?"),
        (b"\x7fELF\x02\x01\x01\x00\x00\x00", "holds a zero byte, so it is no text"),
        (b"\xff\xfe<\x00o\x00", "is not UTF-8"),
        (b"<ossec_config>" + b" " * (16 * 1024 * 1024), "is larger than 16 MiB"),
        (b"".join(b"<a%d>" % n for n in range(400)) + b"x", "nested deeper than anybody means"),
        (b"<ossec_config>" + b"<b>\n</b>" * 300_000, "opens here and never closes"),
        (b"<" + b"a" * 4_000_000, "isn't well-formed"),
        (b"<?xml " * 500_000, "isn't well-formed"),
        (b"<!--" * 500_000, "never closes"),
    ],
)
def test_a_file_that_is_something_else_is_said_at_once(tmp_path: Path, body: bytes, expected: str):
    """Whatever it is and however large: one sentence, exit 2 unless it is merely of no use, no traceback, no wait."""
    path = tmp_path / "ossec.conf"
    path.write_bytes(body)
    began = time.process_time()
    result = run(path)
    assert time.process_time() - began < 5
    assert result.exit_code in (0, 2)
    assert expected in result.stdout
    assert result.exception is None or isinstance(result.exception, SystemExit)


def test_a_file_without_an_end_is_refused():
    """A device is read as far as a file may be long."""
    assert "is larger than 16 MiB" in run("/dev/zero").stdout


def test_manager_and_agent_check_without_starting(conf, tmp_path: Path):
    """`-t`: settings, ossec.conf and rules; 0, or 2 for an error in any of them."""
    good, bad = WHOLE, conf("<active-response/>")

    def start(*words: str, of=main, **environment: str) -> Result:
        return CliRunner().invoke(of, list(words), env={f"THWART_{key}": value for key, value in environment.items()})

    state = str(tmp_path / "state")
    checked = start("manager", "-t", MANAGER_OSSEC_CONF=str(good), MANAGER_STATE_DIR=state)
    assert (checked.exit_code, "5 responses" in checked.stdout) == (0, True)
    for wrong in (
        {"MANAGER_OSSEC_CONF": str(bad)},
        {"MANAGER_OSSEC_CONF": str(tmp_path / "none")},
        {"MANAGER_OSSEC_CONF": str(good), "MANAGER_RULES": str(tmp_path / "none.xml")},
        {"MANAGER_OSSEC_CONF": str(good), "BROKER_URLS": "http://x"},
        {"MANAGER_OSSEC_CONF": str(good), "API_LISTEN": "here"},
        {"MANAGER_OSSEC_CONF": str(good), "API_TOKEN_FILE": str(tmp_path / "none")},
    ):
        assert start("manager", "-t", MANAGER_STATE_DIR=state, **wrong).exit_code == 2, wrong
    agent = {"AGENT_ID": "web1", "AGENT_STATE_DIR": state, "AGENT_LOGS": '[{"path": "/none.log"}]'}
    checked = start("run", "-t", of=agent_main, **agent)
    assert (checked.exit_code, "/none.log isn't there" in checked.stdout) == (0, True)
    for wrong in ({"AGENT_ALLOW": "x"}, {"METRICS_LISTEN": "x"}, {"BROKER_URLS": "x"}, {"AGENT_ID": "a.b"}):
        assert start("run", "-t", of=agent_main, **agent | wrong).exit_code == 2, wrong
    assert not (tmp_path / "state").exists()
