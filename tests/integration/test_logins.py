"""Who is kept out of a real sshd: by address, through its libwrap, and by account, through its PAM."""

import fcntl
import shlex
from collections.abc import Iterator
from pathlib import Path
from tempfile import NamedTemporaryFile

import pytest

from agent.actions.action import Action, Effect
from agent.actions.disable_account.disable_account import DisableAccount
from agent.actions.disable_account.shadow import Shadow
from agent.actions.host_deny.host_deny import ALLOW, DENY, HostDeny
from tests.stage.guard import Guard
from tests.stage.network import Network
from tests.stage.own_etc import OwnEtc
from tests.stage.ssh_login import WELCOME, WELCOMES, Logins
from tests.stage.sshd import Sshd
from tests.waiting import wait_for

pytestmark = pytest.mark.root

FIRST, NEXT = 7, 70  # last numbers of attackers: one begins with the other
PEOPLE = ("alice", "al")
# A process that is another one every moment, for 20 s, and has a file locked for as long as one of them lives.
FORKS = """python3 -ISc '
import fcntl, os, sys, time
lock = open(sys.argv[1])
fcntl.flock(lock, fcntl.LOCK_EX)
ends = time.time() + 20
while time.time() < ends:
    if os.fork():
        os._exit(0)
' {}"""


@pytest.fixture
def etc(tmp_path: Path) -> Iterator[OwnEtc]:
    """Where two people have accounts."""
    one = OwnEtc(tmp_path / "etc")
    one.add(PEOPLE, first_uid=31_000)
    yield one
    one.close()


@pytest.fixture
def logins(guard: Guard, network: Network, etc: OwnEtc, tmp_path: Path) -> Logins:
    """At an sshd that everybody can log in to, by password and by key."""
    web1, attacker = network.host("web1", 11), network.attacker("attacker", [FIRST, NEXT])
    some = Logins(tmp_path / "keys", attacker, web1.address)
    for user in PEOPLE:
        some.key_for(user)
    Sshd(guard, web1, tmp_path / "sshd", etc=etc.folder, first=some.configuration)
    return some


@pytest.mark.parametrize("file", [DENY, ALLOW])
def test_a_denied_host_is_turned_away(logins: Logins, etc: OwnEtc, tmp_path: Path, file: str) -> None:
    """IPv4 and IPv6, and nobody else; once it is over, they are let in. By hosts.allow also where that lets them in."""
    if file == ALLOW:
        (etc.folder / ALLOW).write_text("sshd: ALL\n")
    action = HostDeny(etc=etc.folder, file=file)
    action.prepare()
    denied = [f"203.0.113.{FIRST}", f"2001:db8:bad::{FIRST}"]
    everybody = (*denied, f"203.0.113.{NEXT}", f"2001:db8:bad::{NEXT}")
    log = tmp_path / "sshd" / "auth.log"
    assert {each for each in everybody if _is_let_in(logins, log, each)} == set(everybody)
    _apply(action, *denied)
    assert {each for each in everybody if _is_let_in(logins, log, each)} == set(everybody) - set(denied)
    _revert(action, *denied)
    assert {each for each in everybody if _is_let_in(logins, log, each)} == set(everybody)


def test_nobody_logs_in_by_a_closed_account(logins: Logins, etc: OwnEtc, tmp_path: Path) -> None:
    """Neither by password nor by key, which a locked password alone doesn't see to; others aren't touched."""
    etc.run("passwd", "--lock", "alice")
    assert (logins.by_password("alice"), logins.by_key("alice")) == (False, True)
    etc.run("passwd", "--unlock", "alice")
    assert (logins.by_password("alice"), logins.by_key("alice")) == (True, True)
    action = DisableAccount(Shadow(), kept=tmp_path / "kept")
    etc.call(lambda: _apply(action, "alice"))
    assert (logins.by_password("alice"), logins.by_key("alice")) == (False, False)
    assert etc.run("passwd", "-S", "alice").split()[1] == "L"
    assert (logins.by_password("al"), logins.by_key("al")) == (True, True)
    etc.call(lambda: _revert(action, "alice"))
    assert (logins.by_password("alice"), logins.by_key("alice")) == (True, True)
    assert etc.run("passwd", "-S", "alice").split()[1] == "P"


def test_who_is_in_is_put_out_if_that_is_wanted(logins: Logins, etc: OwnEtc, tmp_path: Path) -> None:
    """And only who logged in by the account that is closed."""
    sessions = {user: logins.session(user) for user in PEOPLE}
    try:
        for each in sessions.values():
            assert each.stdout is not None
            assert each.stdout.readline().decode().strip() == WELCOME
        stays = DisableAccount(Shadow(), kept=tmp_path / "kept")
        etc.call(lambda: _apply(stays, "alice"))
        etc.call(lambda: _revert(stays, "alice"))
        assert [user for user, each in sessions.items() if each.poll() is None] == [*PEOPLE]
        ends = DisableAccount(Shadow(), kept=tmp_path / "kept", ends_sessions=True)
        etc.call(lambda: _apply(ends, "alice"))
        sessions["alice"].wait(10)
        assert sessions["al"].poll() is None
    finally:
        for each in sessions.values():
            each.kill()
            each.wait()


def test_who_forks_all_the_time_is_put_out(logins: Logins, etc: OwnEtc, tmp_path: Path) -> None:
    """An intruder who expects it: no list of processes is true any more when it has been read."""
    with NamedTemporaryFile(dir="/tmp") as lock:
        Path(lock.name).chmod(0o644)
        forks = FORKS.format(shlex.quote(lock.name))
        with logins.session("alice", what=f"{forks} </dev/null >/dev/null 2>&1 & {WELCOMES}; exec sleep 60") as session:
            wait_for(lambda: _is_held(lock.name))
            ends = DisableAccount(Shadow(), kept=tmp_path / "kept", ends_sessions=True)
            etc.call(lambda: _apply(ends, "alice"))
            wait_for(lambda: not _is_held(lock.name), 5)
            session.kill()


def _is_held(lock: str) -> bool:
    with open(lock) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        return False


def _is_let_in(logins: Logins, log: Path, source: str) -> bool:
    """libwrap tells of a client that it refuses at once, and lets it wait for 5 s (its clean_exit)."""
    refused = f"refused connect from {source} "
    before = log.read_text().count(refused)
    with logins.session("alice", source, "2001:db8:1::11" if ":" in source else "", WELCOMES) as client:
        wait_for(lambda: client.poll() is not None or log.read_text().count(refused) > before, 20)
        client.kill()
        return client.returncode == 0


def _apply(action: Action, *keys: str) -> None:
    assert not [each for each in action.apply([Effect(key=key, target=key, left=60.0) for key in keys]) if each.problem]


def _revert(action: Action, *keys: str) -> None:
    assert not [each for each in action.revert([Effect(key=key, target=key) for key in keys]) if each.problem]
