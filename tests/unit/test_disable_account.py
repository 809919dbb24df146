"""disable-account: what is remembered of an account, and that it is as it was afterwards."""

import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest
import structlog

from agent.actions.action import Effect
from agent.actions.catalogue import BUILT_IN
from agent.actions.disable_account.accounts import PASSED
from agent.actions.disable_account.directory import Directory, accounts_in
from agent.actions.disable_account.disable_account import DisableAccount
from agent.actions.disable_account.local_users import LocalUsers
from agent.actions.disable_account.shadow import Shadow
from agent.actions.tools import whole_file
from agent.actions.tools.process import PATH
from agent.actions.tools.tool import Tools
from shared.errors import ActionError, InvalidTarget
from shared.settings import ActionsSettings, AgentSettings, HostSettings
from tests.stage.own_etc import HASHED, OwnEtc
from tests.stage.simulators import macos_accounts, windows_accounts
from tests.stage.simulators.host import load, save
from tests.stage.simulators.install import install

STOOD = {"number": "20000", "locked": False, "passwordless": False, "expires": None}
WAS = {"standing": STOOD, "sessions": False}
OPEN = (HASHED, "")
ALICE = [Effect(key="alice", target="alice", left=60.0)]


@pytest.fixture
def etc(tmp_path: Path) -> Iterator[OwnEtc]:
    """Alice has an account."""
    one = OwnEtc(tmp_path / "etc")
    one.add(["alice"])
    yield one
    one.close()


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    """Where it is remembered."""
    return tmp_path / "state" / "accounts.json"


@pytest.mark.root
@pytest.mark.parametrize(
    ("password", "expires"),
    [
        (HASHED, ""),
        (HASHED, "21915"),
        (f"!{HASHED}", ""),  # locked before
        (f"!{HASHED}", "21915"),
        (HASHED, "1"),  # expired before
        (f"!{HASHED}", "1"),  # as usermod(8) advises
        ("!", ""),  # as useradd leaves it: for keys alone
        ("*", ""),
        ("!!", ""),
        ("", ""),  # whoever knows the name is in
        ("", "21915"),
    ],
)
def test_an_account_is_as_it_was_before(etc: OwnEtc, kept: Path, password: str, expires: str) -> None:
    """What was locked, or had expired, is so afterwards; what had no password has none again."""
    _write_shadow(etc, password, expires)
    for _ in range(2):
        _done(etc, _action(kept).apply)
        assert etc.shadow("alice")[1][0] == "!"
        assert etc.shadow("alice")[7] == str(PASSED)
    for _ in range(2):
        _done(etc, _action(kept).revert)
        assert (etc.shadow("alice")[1], etc.shadow("alice")[7]) == (password, expires)


@pytest.mark.root
def test_how_it_stood_is_on_the_disk_before_it_is_closed(etc: OwnEtc, kept: Path, tmp_path: Path) -> None:
    """And without secrets: a crash just after it can be undone by the next run."""
    seen = tmp_path / "seen"
    tools = _tools(tmp_path, usermod=f'cp {kept} {seen}\n{_usermod} "$@"\nkill -9 $$')
    (result,) = etc.call(lambda: _action(kept, tools).apply(ALICE))
    assert msgspec.json.decode(seen.read_bytes()) == {"alice": WAS}
    assert HASHED not in seen.read_text()
    assert seen.stat().st_mode & 0o077 == 0
    assert result.problem == "usermod: killed by signal 9"
    assert etc.call(_action(kept).inspect) == {"alice": None}  # which is how an agent learns of it
    _done(etc, _action(kept).revert)
    assert (etc.shadow("alice")[1], etc.shadow("alice")[7]) == (HASHED, "")


@pytest.mark.root
def test_what_was_not_closed_is_not_remembered(etc: OwnEtc, kept: Path, tmp_path: Path) -> None:
    """A later lock of somebody else's isn't taken for ours."""
    tools = _tools(tmp_path, usermod="echo 'usermod: no: read-only' >&2; exit 10")
    (result,) = etc.call(lambda: _action(kept, tools).apply(ALICE))
    assert result.problem == "usermod: exit code 10: usermod: no: read-only"
    assert msgspec.json.decode(kept.read_bytes()) == {}
    etc.run("usermod", "--lock", "--expiredate", "1", "alice")
    assert etc.call(_action(kept).inspect) == {}
    _done(etc, _action(kept).revert)
    assert etc.shadow("alice")[1][0] == "!"


@pytest.mark.root
def test_what_is_half_closed_is_remembered(etc: OwnEtc, kept: Path, tmp_path: Path) -> None:
    """It isn't said to be closed, since keys still work; and it can be opened."""
    tools = _tools(tmp_path, usermod=f"{_usermod} --lock alice")
    (result,) = etc.call(lambda: _action(kept, tools).apply(ALICE))
    assert result.problem == "it was closed, and isn't"
    assert etc.shadow("alice")[1] == f"!{HASHED}"
    _done(etc, _action(kept).revert)
    assert etc.shadow("alice")[1] == HASHED


@pytest.mark.root
def test_what_was_not_opened_is_not_forgotten(etc: OwnEtc, kept: Path, tmp_path: Path) -> None:
    """A tool that says yes and does nothing isn't believed, and the next attempt does it."""
    _done(etc, _action(kept).apply)
    (result,) = etc.call(lambda: _action(kept, _tools(tmp_path, usermod="exit 0")).revert(ALICE))
    assert result.problem == "it was opened, and isn't as before"
    _done(etc, _action(kept).revert)
    assert etc.shadow("alice")[1] == HASHED


@pytest.mark.root
def test_what_others_open_while_one_is_closed_is_noticed(etc: OwnEtc, kept: Path, tmp_path: Path) -> None:
    """It was in force when this began, and isn't any more: nobody says that nothing has moved."""
    etc.add(["bob"], first_uid=20_001)
    tools = _tools(tmp_path, usermod=f'{_usermod} "$@" && exec {_usermod} --unlock --expiredate "" bob')
    action = _action(kept, tools)
    etc.call(lambda: _action(kept).apply([Effect(key="bob", target="bob")]))
    assert etc.call(action.inspect) == {"bob": None}
    _done(etc, action.apply)
    assert etc.call(action.moved)
    assert etc.call(action.inspect) == {"alice": None}


@pytest.mark.root
def test_what_others_change_meanwhile_is_theirs(etc: OwnEtc, kept: Path) -> None:
    """A new date on which it expires stays afterwards; and who unlocked it by hand isn't locked out."""
    action = _action(kept)
    _done(etc, action.apply)
    etc.call(action.inspect)
    etc.run("usermod", "--expiredate", "2031-01-01", "alice")
    assert etc.call(action.moved)
    assert etc.call(action.inspect) == {}
    _done(etc, action.apply)
    assert etc.call(action.inspect) == {"alice": None}
    _done(etc, action.revert)
    assert (etc.shadow("alice")[1], etc.shadow("alice")[7]) == (HASHED, "22280")
    _done(etc, action.apply)
    etc.run("usermod", "--unlock", "--expiredate", "", "alice")
    _done(etc, action.revert)
    assert (etc.shadow("alice")[1], etc.shadow("alice")[7]) == (HASHED, "")


@pytest.mark.root
def test_what_an_administrator_closes_meanwhile_stays_closed(etc: OwnEtc, kept: Path) -> None:
    """As usermod(8) advises: no key works afterwards."""
    action = _action(kept)
    _done(etc, action.apply)
    etc.run("usermod", "--lock", "--expiredate", "1", "alice")
    assert etc.call(action.inspect) == {}
    _done(etc, action.apply)
    _done(etc, action.revert)
    assert etc.shadow("alice")[7] == "1"


@pytest.mark.root
@pytest.mark.parametrize("again", ["userdel", "usermod"])
def test_who_has_no_password_any_more_is_given_none(etc: OwnEtc, kept: Path, again: str) -> None:
    """It was taken meanwhile, or the account made anew with the same uid: there is nothing to unlock."""
    action = _action(kept)
    _done(etc, action.apply)
    if again == "userdel":
        etc.run("userdel", "alice")
        etc.run("useradd", "--uid", "20000", "alice")
        _done(etc, action.apply)
    else:
        etc.run("usermod", "--password", "!", "alice")
    _done(etc, action.revert)
    assert (etc.shadow("alice")[1], etc.shadow("alice")[7]) == ("!", "")


@pytest.mark.root
def test_a_lost_record_is_said_and_opens_nobody(etc: OwnEtc, kept: Path) -> None:
    """Nobody knows how it stood. It is told as in force, so that it is found, and who opens it by hand is done."""
    _done(etc, _action(kept).apply)
    kept.unlink()
    action = _action(kept)
    assert etc.call(action.inspect) == {"alice": None}
    _done(etc, action.apply)
    (result,) = etc.call(lambda: action.revert(ALICE))
    opens = "usermod --unlock --expiredate '' alice"
    assert result.problem.endswith(f"the record of how it stood before is lost; as root, `{opens}` opens it")
    assert etc.shadow("alice")[1] == f"!{HASHED}"
    etc.run(*shlex.split(opens))
    _done(etc, action.revert)
    assert (etc.shadow("alice")[1], etc.shadow("alice")[7]) == OPEN
    assert etc.call(action.inspect) == {}


@pytest.mark.root
def test_what_was_never_closed_is_forgotten_by_the_next_run(etc: OwnEtc, kept: Path) -> None:
    """One was killed in between. Whom an administrator locks out later is locked out after an order, too."""
    kept.parent.mkdir()
    kept.write_bytes(msgspec.json.encode({"alice": WAS}))
    action = _action(kept)
    etc.call(action.prepare)
    etc.run("usermod", "--lock", "alice")
    _done(etc, action.apply)
    etc.call(_action(kept).prepare)
    _done(etc, action.revert)
    assert (etc.shadow("alice")[1], etc.shadow("alice")[7]) == (f"!{HASHED}", "")


@pytest.mark.root
@pytest.mark.parametrize(
    "before", [("usermod", "--lock"), ("passwd", "--delete")], ids=["locked", "without a password"]
)
def test_who_is_given_a_password_meanwhile_can_use_it(etc: OwnEtc, kept: Path, before: tuple[str, str]) -> None:
    """Once the time is over: what was before is not what an administrator wants now."""
    etc.run(*before, "alice")
    action = _action(kept)
    _done(etc, action.apply)
    etc.run("usermod", "--password", HASHED, "alice")
    _done(etc, action.revert)
    assert (etc.shadow("alice")[1], etc.shadow("alice")[7]) == (HASHED, "")


@pytest.mark.root
def test_somebody_else_of_that_name_is_not_touched(etc: OwnEtc, kept: Path) -> None:
    """The account was removed, and the name given to another person, who is locked for reasons of their own."""
    action = _action(kept)
    _done(etc, action.apply)
    etc.run("userdel", "alice")
    assert etc.call(action.inspect) == {}
    etc.add(["alice"], first_uid=20_001)
    etc.run("usermod", "--lock", "--expiredate", "1", "alice")
    assert etc.call(action.inspect) == {}
    _done(etc, action.revert)
    assert etc.shadow("alice")[1][0] == "!"
    assert msgspec.json.decode(kept.read_bytes()) == {}


@pytest.mark.root
def test_what_is_remembered_of_a_former_owner_is_not_put_back(etc: OwnEtc, kept: Path) -> None:
    """Whoever has the name now was not locked."""
    etc.run("usermod", "--lock", "alice")
    action = _action(kept)
    _done(etc, action.apply)
    etc.run("userdel", "alice")
    etc.add(["alice"], first_uid=20_001)
    _done(etc, action.apply)
    _done(etc, action.revert)
    assert (etc.shadow("alice")[1], etc.shadow("alice")[7]) == (HASHED, "")


@pytest.mark.root
def test_the_end_of_an_account_that_is_gone_is_done(etc: OwnEtc, kept: Path) -> None:
    """Nobody logs in by it, and nobody has to try again for ever."""
    action = _action(kept)
    _done(etc, action.apply)
    etc.run("userdel", "alice")
    _done(etc, action.revert)
    (result,) = etc.call(lambda: action.apply(ALICE))
    assert "no account of this host's own" in result.problem


@pytest.mark.root
@pytest.mark.parametrize("name", ["passwd", "shadow"])
def test_a_file_that_is_just_being_written_is_no_end_of_accounts(etc: OwnEtc, kept: Path, name: str) -> None:
    """An editor empties it first: whoever is closed isn't forgotten."""
    action = _action(kept)
    _done(etc, action.apply)
    content = (etc.folder / name).read_bytes()
    (etc.folder / name).write_bytes(b"")
    (result,) = etc.call(lambda: action.revert(ALICE))
    assert result.problem == f"/etc/{name}: no accounts in it"
    (etc.folder / name).write_bytes(content)
    _done(etc, action.revert)
    assert (etc.shadow("alice")[1], etc.shadow("alice")[7]) == OPEN


@pytest.mark.root
@pytest.mark.parametrize("name", ["daemon", "nobody", "toor", "below", "beyond", "nosuch", "+alice", "noshadow"])
def test_only_people_are_locked_out(etc: OwnEtc, kept: Path, name: str) -> None:
    """Not the system's accounts, another root, or what isn't in both files; by what /etc/login.defs says of people."""
    with (etc.folder / "login.defs").open("a") as defs:
        defs.write("UID_MIN 2000\nUID_MAX 30000\n")
    etc.add(["toor"], first_uid=0)
    etc.add(["below"], first_uid=1_999)
    etc.add(["beyond"], first_uid=30_001)
    with (etc.folder / "passwd").open("a") as passwd:
        passwd.write("+alice::::::\nnoshadow:x:20009:20009::/:/bin/sh\n")
    before = (etc.folder / "shadow").read_bytes()
    (result,) = etc.call(lambda: _action(kept).apply([Effect(key=name, target=name)]))
    assert result.problem.startswith(name)
    assert (etc.folder / "shadow").read_bytes() == before


@pytest.mark.parametrize("name", ["root", "deploy", "Deploy"])
def test_who_must_stay_is_refused_at_once(kept: Path, name: str) -> None:
    """Root, and whom the settings name: with Windows' spelling on Windows."""
    linux = DisableAccount(Shadow(), kept=kept, never=["deploy"])
    windows = DisableAccount(LocalUsers(), kept=kept, never=["DEPLOY"])
    for action in (linux, windows)[name == "Deploy" :]:
        with pytest.raises(InvalidTarget, match="never"):
            action.key(name, ())
    assert linux.key("deploy2", ()) == "deploy2"


@pytest.mark.root
def test_an_agent_remembers_beside_its_journal(etc: OwnEtc, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not in it: a journal that is lost, or set aside as damaged, locks nobody out. The rest is settings, too."""
    ended: list[str] = []
    monkeypatch.setattr(Shadow, "end_sessions", lambda _, name, standing: ended.append(name))
    host, wanted = HostSettings(state_dir=str(tmp_path)), ActionsSettings(never_disable=("bob",), end_sessions=True)
    action = BUILT_IN["disable-account"][0].make(AgentSettings(agent=host, actions=wanted).actions)
    _done(etc, action.apply)
    assert ended == ["alice"]
    assert msgspec.json.decode((tmp_path / "accounts.json").read_bytes()) == {"alice": WAS}
    with pytest.raises(InvalidTarget, match="bob is never to be disabled"):
        action.key("bob", ())


@pytest.mark.root
def test_a_record_that_cannot_be_read_closes_nothing(etc: OwnEtc, kept: Path) -> None:
    """It says which file a person has to look at; nothing in it is overwritten."""
    kept.parent.mkdir()
    kept.write_text('{"alice": 7}')
    action = _action(kept)
    for call in (action.prepare, action.inspect):
        with pytest.raises(ActionError, match=r"accounts\.json is damaged"):
            etc.call(call)
    assert ["damaged" in each.problem for each in etc.call(lambda: action.apply(ALICE))] == [True]
    assert ["damaged" in each.problem for each in etc.call(lambda: action.revert(ALICE))] == [True]
    assert (kept.read_text(), etc.shadow("alice")[1]) == ('{"alice": 7}', HASHED)


@pytest.mark.root
def test_who_edits_accounts_holds_up_no_other_order(etc: OwnEtc, kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """usermod would wait for 15 s; the order is answered before, and nothing has changed."""
    monkeypatch.setattr(whole_file, "PATIENCE", 0.05)
    began = time.monotonic()
    lock = etc.folder / ".pwd.lock"
    with subprocess.Popen(
        [sys.executable, "-c", _VIPW, str(lock)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as vipw:
        assert vipw.stdout is not None
        vipw.stdout.readline()
        (result,) = etc.call(lambda: _action(kept).apply(ALICE))
        vipw.kill()
    assert result.problem.endswith(".pwd.lock: another process has had it locked for 0.05 s")
    assert time.monotonic() - began < 5
    assert etc.shadow("alice")[1] == HASHED
    _done(etc, _action(kept).apply)


@pytest.mark.root
def test_what_was_changed_while_we_waited_is_how_it_stood(
    etc: OwnEtc, kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever had accounts locked has locked her out: she is so afterwards."""
    wait = Shadow.wait_for_others

    def others_first(shadow: Shadow) -> None:
        subprocess.run(["usermod", "--lock", "--expiredate", "22280", "alice"], check=True)
        wait(shadow)

    monkeypatch.setattr(Shadow, "wait_for_others", others_first)
    _done(etc, _action(kept).apply)
    monkeypatch.undo()
    _done(etc, _action(kept).revert)
    assert (etc.shadow("alice")[1], etc.shadow("alice")[7]) == (f"!{HASHED}", "22280")


@pytest.mark.root
@pytest.mark.parametrize("call", ["prepare", "revert"])
def test_a_tool_that_outlives_its_agent_is_waited_for(
    etc: OwnEtc, kept: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    """What it is about to close isn't forgotten meanwhile, or nobody could open it."""
    kept.parent.mkdir()
    kept.write_bytes(msgspec.json.encode({"alice": WAS}))
    wait, waited = Shadow.wait_for_others, []

    def tool_first(shadow: Shadow) -> None:
        waited.append(shadow)
        subprocess.run(["usermod", "--lock", "--expiredate", str(PASSED), "alice"], check=True)
        wait(shadow)

    monkeypatch.setattr(Shadow, "wait_for_others", tool_first)
    if call == "prepare":
        etc.call(_action(kept).prepare)
        assert etc.call(_action(kept).inspect) == {"alice": None}
        monkeypatch.undo()
    _done(etc, _action(kept).revert)
    assert waited
    assert (etc.shadow("alice")[1], etc.shadow("alice")[7]) == OPEN


@pytest.mark.root
def test_what_cannot_be_written_is_told_at_the_start(etc: OwnEtc, kept: Path) -> None:
    """And not at the first attack: where the system is read-only, no account can be closed."""
    etc.call(_action(kept).prepare)
    etc.run("mount", "-o", "remount,bind,ro", "/etc")
    with pytest.raises(ActionError, match="/etc can't be written: it is read-only"):
        etc.call(_action(kept).prepare)


@pytest.mark.root
def test_sessions_that_go_on_leave_the_account_closed(etc: OwnEtc, kept: Path, tmp_path: Path) -> None:
    """It was ordered to be closed, and is; the log says what wasn't to be had."""
    tools = _tools(tmp_path, pkill="echo 'pkill: no' >&2; exit 3")
    with structlog.testing.capture_logs() as logged:
        _done(etc, _action(kept, tools, ends_sessions=True).apply)
    assert [(each["action"], each["target"]) for each in logged] == [("sessions_not_ended", "alice")]
    assert etc.shadow("alice")[7] == str(PASSED)


@pytest.mark.root
def test_sessions_are_ended_by_the_next_run(etc: OwnEtc, kept: Path, tmp_path: Path) -> None:
    """One was killed between closing the account and that; and afterwards they aren't ended again."""
    seen = tmp_path / "seen"
    tools = _tools(tmp_path, pkill=f"echo $@ >> {seen}")
    died = _action(kept, tools, ends_sessions=True)
    died._end_sessions = _killed
    with pytest.raises(KeyboardInterrupt):
        etc.call(lambda: died.apply(ALICE))
    for _ in range(2):
        _done(etc, _action(kept, tools, ends_sessions=True).apply)
    assert seen.read_text() == "--signal KILL --euid 20000\n"


@pytest.mark.root
def test_who_shares_a_uid_is_not_put_out(etc: OwnEtc, kept: Path, tmp_path: Path) -> None:
    """Their processes can't be told apart: the account is closed, and the log says what wasn't done."""
    etc.add(["deploy"])
    tools = _tools(tmp_path, pkill=f"touch {tmp_path}/seen")
    with structlog.testing.capture_logs() as logged:
        _done(etc, _action(kept, tools, ends_sessions=True).apply)
    assert [each["problem"] for each in logged] == ["deploy would be put out as well, with the same uid"]
    assert not (tmp_path / "seen").exists()


@pytest.mark.root
@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ("passwd: alice:x: alice::", "pwconv"),
        (f"passwd: alice:x: alice:{HASHED}:", "pwconv"),
        ("shadow: :99999: :-1:", "damaged"),
        ("passwd: ^ alice:x:0:0::/:/bin/sh\n", "uid 0"),
    ],
)
def test_what_usermod_and_pam_take_for_another_account_stays(etc: OwnEtc, kept: Path, wrong: str, why: str) -> None:
    """Closing would be said and come to nothing, or change what it shouldn't: of two lines the first counts."""
    name, old, new = wrong.split(" ")
    path = etc.folder / name.removesuffix(":")
    lines = path.read_text().splitlines(keepends=True)
    path.write_text(
        f"{new}{''.join(lines)}"
        if old == "^"
        else "".join(each.replace(old, new) if each.startswith("alice:") else each for each in lines)
    )
    before = (etc.folder / "shadow").read_bytes()
    (result,) = etc.call(lambda: _action(kept).apply(ALICE))
    assert why in result.problem
    assert (etc.folder / "shadow").read_bytes() == before


@pytest.mark.root
def test_what_ends_sessions_is_missed_only_where_it_is_wanted(etc: OwnEtc, kept: Path, tmp_path: Path) -> None:
    """A small system has no pkill."""
    for name in ("usermod", "passwd"):
        (tmp_path / name).symlink_to(f"/usr/sbin/{name}" if name == "usermod" else f"/usr/bin/{name}")
    tools = Tools(path=str(tmp_path))
    etc.call(_action(kept, tools).prepare)
    with pytest.raises(ActionError, match="pkill: not found"):
        etc.call(_action(kept, tools, ends_sessions=True).prepare)


def test_sessions_end_on_macos(tmp_path: Path, kept: Path) -> None:
    """By the uid, and nobody else's; and once, when it is closed: what root starts for it later is root's business."""
    tools = install(tmp_path, "pwpolicy", "dscl", "pkill")
    users = {"alice": {"UniqueID": "501", "AuthenticationAuthority": macos_accounts.AUTHORITY}}
    save({"users": users, "processes": ["501", "5010", "501"]}, str(tmp_path / "host"))
    action = DisableAccount(Directory(tools=tools), kept=kept, ends_sessions=True)
    action.prepare()
    assert [each.problem for each in action.apply(ALICE)] == [""]
    assert load(str(tmp_path / "host"))["processes"] == ["5010"]
    save({**load(str(tmp_path / "host")), "processes": ["5010", "501"]}, str(tmp_path / "host"))
    assert [each.problem for each in action.apply(ALICE)] == [""]
    assert load(str(tmp_path / "host"))["processes"] == ["5010", "501"]


def test_sessions_end_on_windows(tmp_path: Path, kept: Path) -> None:
    """By the name."""
    tools = install(tmp_path, "net", "powershell", "taskkill")
    save(
        {"users": {"alice": windows_accounts.user("Alice", "1001")}, "processes": ["al", "alice"]},
        str(tmp_path / "host"),
    )
    action = DisableAccount(LocalUsers(tools=tools), kept=kept, ends_sessions=True)
    action.prepare()
    assert [each.problem for each in action.apply(ALICE)] == [""]
    assert load(str(tmp_path / "host"))["processes"] == ["al"]


@pytest.mark.parametrize("name", ["administrator", "guest", "defaultaccount", "nosuch"])
def test_windows_own_accounts_stay(tmp_path: Path, kept: Path, name: str) -> None:
    """Whatever they are called in the host's language: their numbers are small."""
    action = DisableAccount(LocalUsers(tools=install(tmp_path, "net", "powershell")), kept=kept)
    (result,) = action.apply([Effect(key=action.key(name, ()), target=name)])
    assert "Windows' own" in result.problem or "no account of this host's own" in result.problem


@pytest.mark.parametrize("name", ["daemon", "_www", "nobody", "nosuch"])
def test_macos_own_accounts_stay(tmp_path: Path, kept: Path, name: str) -> None:
    """Those of people begin at 501."""
    action = DisableAccount(Directory(tools=install(tmp_path, "pwpolicy", "dscl")), kept=kept)
    (result,) = action.apply([Effect(key=name, target=name)])
    assert "no person's" in result.problem or "no account of this host's own" in result.problem


def test_a_table_of_another_shape_is_no_empty_one(tmp_path: Path, kept: Path) -> None:
    """A PowerShell that says something else leaves everything as it is, and says so."""
    tools = _tools(tmp_path, powershell="echo '#TYPE Selected'", net="exit 0")
    (result,) = DisableAccount(LocalUsers(tools=tools), kept=kept).apply(ALICE)
    assert result.problem.startswith("powershell: Get-LocalUser: expected Name, Enabled, SID")


def test_dscl_is_read_whatever_it_prints() -> None:
    """Aliases, values with lines of their own, a record without a number."""
    printed = (
        "RecordName: alice alice@example.com\nUniqueID: 501\nAuthenticationAuthority:\n ;ShadowHash;x ;Kerberosv5;;y;\n"
        " ;DisabledUser;\n-\nRecordName:\n carol\n com.example.carol\nUniqueID: 502\n-\nRecordName: bob\n"
    )
    found = dict(accounts_in(printed))
    assert {name: (each.standing.number, each.closed) for name, each in found.items()} == {
        "alice": ("501", True),
        "carol": ("502", False),
        "bob": ("", False),
    }
    assert found["bob"].refusal


def _killed(*_: object) -> bool:
    raise KeyboardInterrupt


_usermod = "/usr/sbin/usermod"
_VIPW = (
    "import fcntl, sys; f = open(sys.argv[1], 'w'); fcntl.lockf(f, fcntl.LOCK_EX); print(flush=True); sys.stdin.read()"
)


def _action(kept: Path, tools: Tools = Tools(), *, ends_sessions: bool = False) -> DisableAccount:
    return DisableAccount(Shadow(tools=tools), kept=kept, ends_sessions=ends_sessions)


def _done(etc: OwnEtc, how: Callable[..., list]) -> None:
    assert [each.problem for each in etc.call(lambda: how(ALICE))] == [""]


def _tools(folder: Path, **programs: str) -> Tools:
    """These programs instead of the host's."""
    for name, text in programs.items():
        (folder / name).write_text(f"#!/bin/sh\n{text}\n")
        (folder / name).chmod(0o755)
    return Tools(path=f"{folder}:{PATH}")


def _write_shadow(etc: OwnEtc, password: str, expires: str) -> None:
    path = etc.folder / "shadow"
    others = [line for line in path.read_text().splitlines() if not line.startswith("alice:")]
    path.write_text("\n".join([*others, f"alice:{password}:20000:0:99999:7::{expires}:"]) + "\n")
