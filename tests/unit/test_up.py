"""`thwart up` before anything runs: the settings that it makes, where its token is found, what it says is missing."""

import stat
import subprocess
import sys
import tomllib
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner

from manager.cli import main, options
from manager.ledger.schema import SCHEMA
from manager.up import plan, private_broker, running
from manager.up.plan import Plan
from shared.errors import ActionError, BrokerError, SettingsError
from shared.settings import AgentSettings, FollowedLog, ManagerSettings
from shared.store import Store

BROKER = "amqp://thwart:se%22cret@127.0.0.1:5000/"


def a_plan(state: Path, *logs: Path) -> Plan:
    return Plan(
        state=state,
        ossec_conf=Path("/etc/thwart/ossec.conf"),
        rules=(Path("/rules/a.xml"),),
        logs=logs,
        api_port=9460,
        metrics_port=9464,
        broker_port=0,
    )


def test_the_settings_are_what_the_daemons_read(tmp_path: Path) -> None:
    """One private broker, one folder, an agent with the server role; without a file it follows the journal."""
    of_files = a_plan(tmp_path, Path("/var/log/auth.log"))
    manager = msgspec.convert(tomllib.loads(plan.written(of_files.manager(BROKER))), ManagerSettings)
    agent = msgspec.convert(tomllib.loads(plan.written(of_files.agent(BROKER))), AgentSettings)
    assert manager.broker.urls == agent.broker.urls == (BROKER,)
    assert manager.api.listen == "127.0.0.1:9460"
    assert Path(manager.manager.state_dir, "api.token") == of_files.token_file
    assert manager.manager.rules == ("/rules/a.xml",)
    assert agent.agent.roles == ("server",)
    assert agent.agent.logs == (FollowedLog(path="/var/log/auth.log"),)
    journal = msgspec.convert(tomllib.loads(plan.written(a_plan(tmp_path).agent(BROKER))), AgentSettings)
    assert journal.agent.logs == (FollowedLog(journal=True),)


def test_the_environment_cannot_lead_a_daemon_elsewhere(tmp_path: Path) -> None:
    """What is fixed here is not overruled by a variable that is meant for another manager; the rest can be set."""
    outer = {"THWART_BROKER_URLS": "amqp://elsewhere/", "THWART_AGENT_ON_STOP": "lift", "THWART_API_LISTEN": "x"}
    settings = a_plan(tmp_path)
    assert plan.environment(settings.agent(BROKER), outer) == {
        "THWART_AGENT_ON_STOP": "lift",
        "THWART_API_LISTEN": "x",
        "PATH": "/usr/bin:/bin:/usr/sbin:/sbin",
    }
    assert "THWART_API_LISTEN" not in plan.environment(settings.manager(BROKER), outer)


def test_the_token_is_found_without_options(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands take the token of `thwart up` where no manager of its own has made one, and that one's where it has."""
    own, of_up = tmp_path / "own", tmp_path / "up"
    monkeypatch.setattr(options, "TOKEN_FILE", own)
    monkeypatch.setattr(options, "TOKEN_FILE_OF_UP", of_up)
    assert options.token_file() == own
    of_up.touch()
    assert options.token_file() == of_up
    own.touch()
    assert options.token_file() == own


def test_a_bundle_has_the_ledger_of_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`thwart support` without options goes by the settings in its default folder, unless there is another manager."""
    folder, token, own = tmp_path / "up", tmp_path / "up" / "manager" / "api.token", tmp_path / "own"
    token.parent.mkdir(parents=True)
    token.write_text("operator 0123456789abcdef-up\n")
    Store(folder / "manager" / "ledger.db", SCHEMA).close()
    (folder / "manager.toml").write_text(plan.written(a_plan(folder).manager(BROKER)))
    monkeypatch.setattr(options, "TOKEN_FILE", own)
    monkeypatch.setattr(options, "TOKEN_FILE_OF_UP", token)
    monkeypatch.setattr(options, "SETTINGS_OF_UP", folder / "manager.toml")
    words = ["support", "--to", str(tmp_path), "--api", "http://127.0.0.1:1"]
    said = CliRunner().invoke(main, words).stderr
    assert "took settings.json" in said
    assert "took ledger.json" in said
    own.touch()
    assert options.settings_of_up() is None


@pytest.mark.parametrize(
    ("name", "value", "kind", "words"),
    [
        ("SERVER", Path("/nowhere/rabbitmq-server"), BrokerError, "apt-get install rabbitmq-server"),
        ("NFTABLES", "libnowhere.so.1", ActionError, "apt-get install nftables"),
    ],
)
def test_what_is_missing_is_said_with_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: object, kind: type[Exception], words: str
) -> None:
    """Before anything is started or made."""
    monkeypatch.setattr(running.os, "geteuid", lambda: 0)
    monkeypatch.setattr(running, "SERVER", Path("/"))
    monkeypatch.setattr(running, "NFTABLES", "libc.so.6")
    running.require(a_plan(tmp_path, tmp_path / "auth.log"))
    monkeypatch.setattr(running, name, value)
    monkeypatch.setattr(plan, "SBIN", ())
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(kind, match=words):
        running.require(a_plan(tmp_path, tmp_path / "auth.log"))


def test_iptables_will_do_where_nftables_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The agent falls back to it, and finds it where a PATH without sbin doesn't."""
    monkeypatch.setattr(running.os, "geteuid", lambda: 0)
    monkeypatch.setattr(running, "SERVER", Path("/"))
    monkeypatch.setattr(running, "NFTABLES", "libnowhere.so.1")
    monkeypatch.setattr(plan, "SBIN", (str(tmp_path / "sbin"),))
    monkeypatch.setenv("PATH", str(tmp_path))
    (tmp_path / "sbin").mkdir()
    (tmp_path / "sbin" / "iptables").touch(mode=0o755)
    running.require(a_plan(tmp_path, tmp_path / "auth.log"))


def test_without_root_or_anything_to_follow_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who isn't root is told to use sudo; a host with neither file nor journal is asked for a log."""
    monkeypatch.setattr(running.os, "geteuid", lambda: 1000)
    with pytest.raises(ActionError, match="sudo"):
        running.require(a_plan(tmp_path))
    monkeypatch.setattr(running.os, "geteuid", lambda: 0)
    monkeypatch.setattr(running, "SERVER", Path("/"))
    monkeypatch.setattr(running, "NFTABLES", "libc.so.6")
    monkeypatch.setattr(plan, "SBIN", ())
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SettingsError, match="--log"):
        running.require(a_plan(tmp_path))


def test_a_settings_file_is_its_owners_alone(tmp_path: Path) -> None:
    """The broker's password is in it; a file with other rights that is there already is replaced."""
    path = tmp_path / "agent.toml"
    path.write_text("old")
    path.chmod(0o644)
    private_broker.write_secret(path, "new")
    assert (path.read_text(), stat.S_IMODE(path.stat().st_mode)) == ("new", 0o600)


def test_a_terminal_that_was_closed_ends_nothing_early() -> None:
    """What is said while it stops has nowhere to go then; what stops goes on stopping."""
    code = "import os; from manager.cli.up import _tell; _tell('stopping'); os.write(2, b'went on'); os._exit(0)"
    with open("/dev/full", "w") as full:
        done = subprocess.run([sys.executable, "-c", code], stdout=full, stderr=subprocess.PIPE)
    assert done.stderr == b"went on"
