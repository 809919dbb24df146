"""A fleet's secrets: made once, kept for good, for those who need them alone."""

import base64
import fcntl
import hashlib
import json
import os
import stat
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from manager.api import tokens
from shared.settings import ManagerSettings, load
from tests.waiting import wait_for

PROGRAM = Path(__file__).parents[2] / "deploy" / "setup.py"
DEFINITIONS = "rabbitmq/definitions.json"
SECRETS = (
    "agents/broker-url",
    "grafana/admin-password",
    "manager/api.token",
    "manager/broker-url",
    "operator/erlang.cookie",
    "operator/rabbitmq-password",
)


def set_up(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, str(PROGRAM), str(folder), *options], capture_output=True, text=True)


def contents(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def made(tmp_path):
    done = set_up(tmp_path / "secrets")
    assert done.returncode == 0, done.stderr
    return tmp_path / "secrets"


def test_everything_is_made_and_only_its_owner_reads_a_secret(made):
    """The files of the list and no other; the definitions alone are for anybody, and hold no password."""
    assert set(contents(made)) == {*SECRETS, DEFINITIONS}
    assert {name: mode(made / name) for name in SECRETS} == dict.fromkeys(SECRETS, 0o600)
    assert mode(made / DEFINITIONS) == 0o644
    words = [unquote(urlsplit(contents(made)[f"{who}/broker-url"].strip()).password) for who in ("manager", "agents")]
    words.append(contents(made)["operator/rabbitmq-password"].strip())
    assert len(set(words)) == 3 and min(map(len, words)) >= 43, "256 random bits each"
    assert not [word for word in words if word in contents(made)[DEFINITIONS]]


def test_rabbitmq_reads_its_definitions_whoever_it_runs_as(tmp_path):
    """Also when they were made by somebody whose files are for nobody else."""
    subprocess.run([sys.executable, str(PROGRAM), str(tmp_path / "secrets")], umask=0o077, check=True)
    assert mode(tmp_path / "secrets" / "rabbitmq") == 0o755
    assert mode(tmp_path / "secrets" / DEFINITIONS) == 0o644
    assert {mode(tmp_path / "secrets" / name) for name in SECRETS} == {0o600}


def test_a_second_run_changes_nothing(made):
    """It may run before each start: not even a file is written again."""
    before = {path: path.stat().st_mtime_ns for path in made.rglob("*")}, contents(made)
    done = set_up(made)
    assert (done.returncode, done.stdout) == (0, "")
    assert ({path: path.stat().st_mtime_ns for path in made.rglob("*")}, contents(made)) == before


def test_two_sets_of_secrets_have_nothing_in_common(made, tmp_path):
    """Nothing is a default, or made from a clock."""
    set_up(tmp_path / "other")
    assert not {contents(made)[name] for name in SECRETS} & {contents(tmp_path / "other")[name] for name in SECRETS}


def test_each_user_is_known_by_the_hash_of_the_password_in_its_url(made):
    """As RabbitMQ reckons it: four bytes of salt, and SHA-256 of them and the password."""
    users = {user["name"]: user for user in json.loads(contents(made)[DEFINITIONS])["users"]}
    for who in ("manager", "agents"):
        url = urlsplit(contents(made)[f"{who}/broker-url"].strip())
        raw = base64.b64decode(users[unquote(url.username)]["password_hash"])
        assert raw[4:] == hashlib.sha256(raw[:4] + unquote(url.password).encode()).digest()
    assert [name for name, user in users.items() if user["tags"]] == ["operator"]


def test_what_is_lost_is_made_anew_and_the_rest_stays(made):
    """A login that is gone gets another password, which the definitions then know; nobody else notices."""
    before = contents(made)
    (made / "agents/broker-url").unlink()
    assert set_up(made).stdout.splitlines() == [f"made {made / 'agents/broker-url'}", f"made {made / DEFINITIONS}"]
    after = contents(made)
    assert {name for name in before if before[name] != after[name]} == {"agents/broker-url", DEFINITIONS}
    hashes = [
        {u["name"]: u["password_hash"] for u in json.loads(each[DEFINITIONS])["users"]} for each in (before, after)
    ]
    assert {name for name in hashes[0] if hashes[0][name] != hashes[1][name]} == {"thwart.agents"}


def test_other_brokers_get_the_passwords_that_there_are(made):
    """A cluster's three addresses are three URLs, which the daemons' settings take as they stand."""
    before = contents(made)
    nodes = [f"rabbit{number}:5672" for number in (1, 2, 3)]
    assert set_up(made, *[word for node in nodes for word in ("--broker", node)]).returncode == 0
    after = contents(made)
    assert after[DEFINITIONS] == before[DEFINITIONS]
    settings = load(ManagerSettings, None, {"THWART_BROKER_URLS": after["manager/broker-url"].strip()})
    password = urlsplit(before["manager/broker-url"]).password
    assert [*settings.broker.urls] == [f"amqp://thwart.manager:{password}@{node}/thwart" for node in nodes]
    assert set_up(made, "--tls", "--broker", "rabbit1:5671").returncode == 0
    assert contents(made)["manager/broker-url"] == f"amqps://thwart.manager:{password}@rabbit1:5671/thwart\n"


def test_the_token_is_one_that_the_api_takes(made):
    """The manager knows it, and by the name that orders are signed with when there is but one."""
    token = tokens.first(made / "manager/api.token")
    assert tokens.load(made / "manager/api.token").name_of(token) == tokens.OWNER


def test_a_file_that_holds_no_login_is_said_and_left_alone(made):
    """Something else than a URL is not written over: it may be somebody's only copy."""
    (made / "manager/broker-url").write_text("hunter2\n")
    before = contents(made)
    done = set_up(made)
    assert done.returncode == 1 and "manager/broker-url: no AMQP URL with a password" in done.stderr
    assert "hunter2" not in done.stderr and contents(made) == before


@pytest.mark.parametrize("owner", ["manager", "manager=", "manager=root", "=1:1", "manager=1:2:3"])
def test_an_owner_that_is_no_number_is_refused(tmp_path, owner):
    """Names differ between images; before anything is made."""
    done = set_up(tmp_path / "secrets", "--owner", owner)
    assert done.returncode == 1 and "write SUBFOLDER=UID" in done.stderr
    assert not (tmp_path / "secrets").exists()


@pytest.mark.root
def test_files_are_given_to_their_reader_and_folders_are_not(made):
    """Also those that were there before. Who could write there would have root follow a link to another's secret."""
    os.chown(made / "grafana", 472, 0)
    assert set_up(made, "--owner", "manager=4321:1234", "--owner", "grafana=472:0").returncode == 0
    owners = {str(path.relative_to(made)): (path.stat().st_uid, path.stat().st_gid) for path in made.rglob("*")}
    assert {owners.pop(name) for name in ("manager/api.token", "manager/broker-url")} == {(4321, 1234)}
    assert owners.pop("grafana/admin-password") == (472, 0)
    assert set(owners.values()) == {(os.geteuid(), os.getegid())}


def test_while_another_makes_them_it_waits(tmp_path):
    """Each of two would make passwords of its own, and the definitions know those of one.

    Two containers have a folder each, and in it the same volumes.
    """
    folder = tmp_path / "secrets"
    (folder / "rabbitmq").mkdir(parents=True)
    held = os.open(folder / "rabbitmq", os.O_RDONLY)
    fcntl.flock(held, fcntl.LOCK_EX)
    second = subprocess.Popen([sys.executable, str(PROGRAM), str(folder)], stdout=subprocess.PIPE, text=True)
    wait_for(lambda: _waits_for_a_lock(second.pid) or second.poll() is not None, within=20)
    assert not contents(folder)
    os.close(held)
    assert len(second.communicate(timeout=30)[0].splitlines()) == len(SECRETS) + 1
    assert second.returncode == 0


def _waits_for_a_lock(pid: int) -> bool:
    """As the kernel's list says, see proc_locks(5)."""
    lines = Path("/proc/locks").read_text().splitlines()
    return any("-> FLOCK" in line and str(pid) in line.split() for line in lines)
