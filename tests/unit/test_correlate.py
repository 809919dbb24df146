"""`thwart correlate` as a person and as a program meet it."""

import gzip
import json
import subprocess
import sys
from pathlib import Path

import pytest

from shared import messages
from tests.unit.a_ruleset import ATTACKER, OTHER
from tests.unit.test_rules import OVERWRITES

THWART = Path(sys.executable).with_name("thwart")
RESPONSES = """
<ossec_config>
  <active-response>
    <command>firewall-drop</command>
    <location>local</location>    # the host that was attacked
    <rules_id>5712</rules_id>
    <timeout>60</timeout>
    <repeated_offenders>2,3</repeated_offenders>
  </active-response>
  <active-response>
    <command>firewall-drop</command>
    <location>all</location>
    <rules_id>5763</rules_id>
    <timeout>600</timeout>
  </active-response>
</ossec_config>
"""


def thwart(*arguments: object, **options) -> subprocess.CompletedProcess:
    command = [THWART, "correlate", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, **options)


def attack(minute: int, source: str = ATTACKER, lines: int = 5, host: str = "web1") -> str:
    """So many failures of an unknown user, a second apart."""
    said = f"Failed password for invalid user admin from {source} port 4022 ssh2"
    return "".join(f"Nov 24 16:{minute:02}:{second:02} {host} sshd[4711]: {said}\n" for second in range(lines))


def objects(done: subprocess.CompletedProcess) -> list[dict]:
    assert (done.returncode, done.stderr) == (0, "")
    return [json.loads(text) for text in done.stdout.splitlines()]


def orders(done: subprocess.CompletedProcess) -> list[dict]:
    return [each for each in objects(done) if each["type"] == "order"]


@pytest.fixture
def configuration(tmp_path) -> list[object]:
    (tmp_path / "ossec.conf").write_text(RESPONSES)
    (tmp_path / "local_rules.xml").write_text(OVERWRITES)
    return ["--ossec-conf", tmp_path / "ossec.conf", "--rules", tmp_path / "local_rules.xml"]


@pytest.fixture
def log(tmp_path) -> Path:
    path = tmp_path / "auth.log"
    path.write_text(attack(0) + attack(1, OTHER, 8, "web.two"))
    return path


def test_a_person_reads_what_happened(log, configuration):
    """The listing has time, rule, level, source, host and description, and each alert's orders under it."""
    done = thwart(log, "--year", 2025, *configuration)
    assert (done.returncode, done.stderr) == (0, "")
    head, *rows = done.stdout.splitlines()
    assert head.split() == ["TIME", "RULE", "LEVEL", "SOURCE", "HOST", "DESCRIPTION"]
    assert rows[4].split() == f"2025-11-24 16:00:04 5712 10 {ATTACKER} web1 five are enough".split()
    assert rows[5].strip() == f"→ firewall-drop {ATTACKER} on web1 for 1 min"
    assert rows[-1] == "13 lines, 13 alerts, 2 orders; 2 sources"


def test_a_program_reads_one_object_a_line(log, configuration):
    """With `-o json` alerts and orders are the messages that would go over the wire, an order after its alert."""
    found = objects(thwart(log, "--year", 2025, "-o", "json", *configuration))
    assert [each["type"] for each in found[:6]] == ["alert"] * 5 + ["order"]
    alert, order = found[4], found[5]
    assert (alert["rule"]["id"], alert["data"]["srcip"], alert["agent"]["id"]) == ("5712", ATTACKER, "web1")
    assert alert["full_log"].endswith(f"Failed password for invalid user admin from {ATTACKER} port 4022 ssh2")
    assert len(alert["previous_output"].splitlines()) == 4
    assert (order["operation"], order["action"], order["target"], order["timeout"]) == (
        "add",
        "firewall-drop",
        ATTACKER,
        60,
    )
    assert order["expires_at"] == order["issued_at"] + 60
    for each in found:
        kind = messages.Alert if each.pop("type") == "alert" else messages.Order
        assert set(each) == set(kind.__struct_fields__)


def test_a_local_order_is_for_the_host_that_the_line_names(log, configuration):
    """Read offline, a log's host stands for the agent on it, spelt as an agent's name."""
    found = orders(thwart(log, "-o", "json", *configuration))
    assert [(order["location"], order["agents"]) for order in found] == [("local", ["web1"]), ("local", ["web-two"])]


def test_no_orders_without_responses(log, configuration):
    """Without `--ossec-conf` there are alerts alone."""
    assert {each["type"] for each in objects(thwart(log, "-o", "json", *configuration[2:]))} == {"alert"}


def test_repeated_offenders_are_blocked_longer(tmp_path, configuration):
    """Who comes back after a block has ended, by the log's own time, gets the next timeout; meanwhile nothing new."""
    log = tmp_path / "auth.log"
    log.write_text("".join(attack(minute, lines=lines) for minute, lines in ((0, 20), (2, 5), (3, 5), (6, 5), (10, 5))))
    found = orders(thwart(log, "-o", "json", *configuration))
    assert [(order["offence"], order["timeout"]) for order in found] == [(1, 60), (2, 120), (3, 180), (4, 180)]


def test_lines_from_before_the_end_of_a_block_are_no_new_offence(tmp_path, configuration):
    """What was tried while the block was in force does not count towards the next one."""
    log = tmp_path / "auth.log"
    log.write_text(attack(0, lines=9) + attack(2, lines=5))
    found = objects(thwart(log, "-o", "json", *configuration))
    fired = [each["full_log"][10:15] for each in found if each["type"] == "alert" and each["rule"]["id"] == "5712"]
    assert fired == ["00:04", "02:04"]


def test_the_same_log_gives_the_same_ids(log, configuration):
    """Alerts and orders have the same ids each time, so that they can be compared."""
    first, second = (objects(thwart(log, "--year", 2025, "-o", "json", *configuration)) for _ in range(2))
    assert first == second
    assert len({each["id"] for each in first}) == len(first)


def test_a_summary_counts(log, configuration):
    """`--summary` prints lines, alerts by rule, sources and orders, and how fast it was."""
    (found,) = objects(thwart(log, "--summary", "-o", "json", *configuration))
    assert found.pop("seconds") > 0
    assert found.pop("lines_per_second") > 0
    assert found == {
        "type": "summary",
        "lines": 13,
        "alerts": 13,
        "rules": {"5710": 11, "5712": 2},
        "sources": {OTHER: 8, ATTACKER: 5},
        "orders": 2,
    }
    text = thwart(log, "--summary", *configuration).stdout
    assert [row.split()[:2] for row in text.splitlines()] == [
        *(["lines", "13"], ["alerts", "13"], ["5710", "11"], ["5712", "2"]),
        *(["sources", "2"], [OTHER, "8"], [ATTACKER, "5"], ["orders", "2"]),
    ]


def test_standard_input_and_gzip(tmp_path, log):
    """`-` reads standard input, and compressed logs are read as they are."""
    packed = tmp_path / "auth.log.2.gz"
    packed.write_bytes(gzip.compress(log.read_bytes()))
    plain, piped = thwart(log, "--year", 2025), thwart("-", "--year", 2025, input=log.read_text())
    assert plain.stdout == piped.stdout == thwart(packed, "--year", 2025).stdout


def test_a_log_can_not_write_to_the_terminal(tmp_path):
    """Control characters in a log are shown as what they are."""
    log = tmp_path / "auth.log"
    log.write_text(f"Nov 24 16:00:00 web1 sshd[1]: Failed password for a\x1b[2J\x07b from {ATTACKER} port 1 ssh2\n")
    assert r"wrong password for a\x1b[2J\x07b" in thwart(log).stdout
    assert "\\u001b" in thwart(log, "-o", "json").stdout


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["nowhere.log"], "nowhere.log: can't be read: No such file or directory"),
        (["/"], "/ is a folder"),
        (["/dev/null", "--rules", "nowhere.xml"], "nowhere.xml: can't be read"),
        (["/dev/null", "--ossec-conf", "nowhere.conf"], "nowhere.conf: can't be read"),
        ([], "Missing argument"),
        (["/dev/null", "--year", "soon"], "--year"),
    ],
)
def test_what_can_not_be_read_is_said(arguments, says):
    """Wrong usage and unreadable files end with a sentence and exit code 2."""
    done = thwart(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert says in done.stderr
    assert "Traceback" not in done.stderr


def test_nobody_reads_to_the_end(tmp_path):
    """When the reader of a pipe goes away, nothing is said about it."""
    log = tmp_path / "auth.log"
    log.write_text(attack(0, lines=60) * 200)
    with subprocess.Popen([THWART, "correlate", log], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout.readline().startswith(b"TIME")
        process.stdout.close()
        assert process.stderr.read() == b""


def test_an_empty_log_is_no_error(tmp_path):
    """Nothing in, nothing out."""
    (tmp_path / "empty").touch()
    assert thwart(tmp_path / "empty").stdout == "0 lines, 0 alerts; 0 sources\n"
    assert thwart(tmp_path / "empty", "-o", "json").stdout == ""
