"""host-deny and the files of tcp_wrappers that others write, too."""

import fcntl
import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from itertools import count
from pathlib import Path

import pytest

from agent.actions.action import Effect, Result
from agent.actions.catalogue import BUILT_IN
from agent.actions.host_deny.host_deny import ALLOW, DENY, LIBRARY, HostDeny
from agent.actions.tools import whole_file
from shared.errors import ActionError
from shared.settings import ActionsSettings
from tests.unit.a_choosing_host import AChoosingHost

KEY, V6 = "203.0.113.9", "2001:db8::9"
OURS = f"thwart ALL: {KEY}\n"
FOREIGN = (
    b"# caf\xe9\n",
    b"sshd: 198.51.100.7\r\n",
    b"ALL: 198.51.100.8 \\\n  198.51.100.9\n",
    b"thwart ALL: 203.0.113.9, 203.0.113.10\n",
    b"thwart ALL: 203.0.113.09\n",
    b"thwart ALL: 203.0.113.9/32\n",
    b"ALL: 203.0.113.9\n",
    b"\n",
    b"sshd: 198.51.100.10",
)


@pytest.fixture
def etc(tmp_path: Path) -> Path:
    """A folder of the test's own."""
    return tmp_path


@pytest.fixture(params=[DENY, ALLOW])
def file(request: pytest.FixtureRequest) -> str:
    """Each of the two."""
    return str(request.param)


def test_what_others_wrote_stays_as_it_is(etc: Path, file: str) -> None:
    """Byte for byte, also what is no UTF-8, goes on in a second line, or nearly is a line of ours."""
    foreign = b"".join(FOREIGN)
    (etc / file).write_bytes(foreign)
    action = HostDeny(etc=etc, file=file)
    _done(action.apply(_effects(KEY, V6)))
    ours = b"thwart ALL: 203.0.113.9\nthwart ALL: [2001:db8::9]\n".splitlines()
    assert (etc / file).read_bytes() == b"".join(
        line + (b": deny" if file == ALLOW else b"") + b"\n" for line in ours
    ) + foreign
    _done(action.revert(_effects(KEY, V6)))
    assert (etc / file).read_bytes() == foreign


@pytest.mark.root
def test_owner_and_mode_stay(etc: Path) -> None:
    """Who could read it can read it, and nobody else; when it was changed is known to who looks for that."""
    (etc / DENY).touch()
    os.utime(etc / DENY, (0.0, 0.0))
    os.chown(etc / DENY, 1_234, 1_235)
    (etc / DENY).chmod(0o640)
    _done(HostDeny(etc=etc, file=DENY).apply(_effects(KEY)))
    found = (etc / DENY).stat()
    assert (found.st_uid, found.st_gid, found.st_mode & 0o7777) == (1_234, 1_235, 0o640)
    assert found.st_mtime > 0.0


def test_a_new_file_can_be_read_by_all(etc: Path) -> None:
    """Programs look at it after they have given up root."""
    previous = os.umask(0o077)
    try:
        _done(HostDeny(etc=etc, file=DENY).apply(_effects(KEY)))
    finally:
        os.umask(previous)
    assert (etc / DENY).stat().st_mode & 0o7777 == 0o644


def test_a_link_stays_one(etc: Path, tmp_path: Path) -> None:
    """What it leads to is written, wherever that is, and nothing is left beside it."""
    real = tmp_path / "elsewhere" / "denied"
    real.parent.mkdir()
    real.write_text("# somebody else's\n")
    (etc / DENY).symlink_to(real)
    (real.parent / ".denied.thwart").write_text("what a killed run has left")
    _done(HostDeny(etc=etc, file=DENY).apply(_effects(KEY)))
    assert (etc / DENY).is_symlink()
    assert real.read_text() == f"{OURS}# somebody else's\n"
    assert [each.name for each in real.parent.iterdir()] == ["denied"]


@pytest.mark.parametrize(
    "line",
    [
        "ALL: ALL",
        "sshd: ALL",
        "all : all : allow",
        f"sshd : {KEY}",
        "vsftpd, sshd: 198.51.100.7, 203.0.113.",
        "sshd: 203.0.113.0/255.255.255.0",
        "sshd: 203.0.0.0/16",
        "sshd: 203.0.113.?",
        "ALL EXCEPT vsftpd: ALL",
        "sshd: ALL EXCEPT 203.0.113.7",
        "sshd: ALL EXCEPT 203.0.113.0/24 EXCEPT 203.0.113.9",
        "sshd: ALL : spawn (/bin/echo \\: hello) : ALLOW",
        "sshd: \\\n  203.0.113.9",
        "sshd: 203.0.113.77: deny\nsshd: 203.0.113.",
    ],
)
def test_whom_hosts_allow_lets_in_is_not_said_to_be_kept_out(etc: Path, line: str) -> None:
    """The order fails with the file, the line, and what to do; nothing is written."""
    (etc / ALLOW).write_text(f"# first, \\\n  which goes on\n{line}\n")
    (result,) = HostDeny(etc=etc, file=DENY).apply(_effects(KEY))
    assert f"{etc / ALLOW}:{4 if 'deny' in line else 3} lets it in" in result.problem
    assert "host_deny_file" in result.problem
    assert not (etc / DENY).exists()


@pytest.mark.parametrize(
    ("network", "token", "lets_in"),
    [
        ("10.0.0.0/8", "10.", True),
        ("10.1.0.0/16", "10.", True),
        ("10.0.0.0/7", "10.", False),
        ("203.0.113.0/25", "203.0.113.", True),
        ("203.0.112.0/23", "203.0.113.", False),
    ],
)
def test_a_network_that_is_let_in_whole_is_not_said_to_be_kept_out(
    etc: Path, network: str, token: str, lets_in: bool
) -> None:
    """The beginning of addresses is for all networks that begin so, and not for wider ones."""
    (etc / ALLOW).write_text(f"sshd: {token}\n")
    (result,) = HostDeny(etc=etc, file=DENY).apply(_effects(network))
    assert ("lets it in" in result.problem) == lets_in


@pytest.mark.parametrize(
    "line",
    [
        "# ALL: ALL",
        "vsftpd: ALL",
        "ALL EXCEPT sshd: ALL",
        "sshd: 203.0.113.90",
        "sshd: [2001:db8::9]",
        "sshd: ALL EXCEPT 203.0.113.",
        "sshd: ALL: deny",
        "sshd: ALL: twist /bin/echo no",
        f"sshd: {KEY}: deny\nsshd: ALL",
        "sshd: .example.com",
        "sshd: LOCAL, KNOWN",
        "sshd: someone@203.0.113.9",
        "sshd:",
        ":",
        "ALL",
    ],
)
def test_what_lets_in_others_is_no_obstacle(etc: Path, line: str) -> None:
    """Nor what lets in by name: no name is looked up here, which may take its time."""
    (etc / ALLOW).write_text(f"{line}\n")
    action = HostDeny(etc=etc, file=DENY)
    _done(action.apply(_effects(KEY)))
    assert action.inspect() == {KEY: None}


def test_a_line_that_comes_first_and_lets_in_is_noticed(etc: Path, file: str) -> None:
    """What counts is the first line that matches: ours are put before it again."""
    action = HostDeny(etc=etc, file=file)
    _done(action.apply(_effects(KEY)))
    action.inspect()
    (etc / file).write_text(f"sshd: ALL: allow\n{(etc / file).read_text()}")
    assert action.moved()
    assert action.inspect() == {}
    _done(action.apply(_effects(KEY)))
    assert action.inspect() == {KEY: None}


def test_a_line_without_its_end_is_not_relied_on(etc: Path, file: str) -> None:
    """Not every libwrap reads it, but some do: ours is written anew, and somebody else's may let in."""
    action = HostDeny(etc=etc, file=file)
    _done(action.apply(_effects(KEY)))
    whole = (etc / file).read_text()
    (etc / file).write_text(whole.rstrip("\n"))
    assert action.inspect() == {}
    _done(action.apply(_effects(KEY)))
    assert (etc / file).read_text() == whole
    (etc / ALLOW).write_text("ALL: ALL")
    assert action.inspect() == {}


def test_a_host_that_is_let_in_later_is_noticed(etc: Path) -> None:
    """hosts.allow is looked at as well."""
    action = HostDeny(etc=etc, file=DENY)
    _done(action.apply(_effects(KEY, V6)))
    assert action.inspect() == {KEY: None, V6: None}
    (etc / ALLOW).write_text(f"sshd: {KEY}\n")
    assert action.moved()
    assert action.inspect() == {V6: None}


def test_a_system_without_libwrap_says_so(etc: Path) -> None:
    """Before the first attack, and with what is of use instead."""
    with pytest.raises(ActionError, match=r"no program here looks at it \(libwrap\.so\.77: not found\); firewall-drop"):
        HostDeny(etc=etc, file=DENY, library="libwrap.so.77").prepare()


def test_an_sshd_without_libwrap_says_so(etc: Path) -> None:
    """As most distributions have it: a line for it would keep nobody out."""
    sshd = etc / "sshd"
    sshd.write_bytes(b"\x7fELF libcrypto.so.3")
    with pytest.raises(ActionError, match=r"hosts\.deny: .*sshd doesn't look at it; use firewall-drop"):
        HostDeny(etc=etc, file=DENY, sshd=[str(sshd)]).prepare()
    sshd.write_bytes(f"\x7fELF libcrypto.so.3\0{LIBRARY}\0".encode())
    HostDeny(etc=etc, file=DENY, sshd=["/nowhere", str(sshd)]).prepare()


def test_the_settings_name_the_file() -> None:
    """hosts.allow overrules what that lets in itself; `auto` is the system's own."""
    files = {
        said: [each.make(ActionsSettings(host_deny_file=said)).backend for each in BUILT_IN["host-deny"]]
        for said in (ALLOW, DENY, "auto")
    }
    assert files == {ALLOW: [ALLOW, DENY], DENY: [DENY, ALLOW], "auto": [DENY, ALLOW]}
    assert [each.former for each in BUILT_IN["host-deny"]] == [False, True]


async def test_what_is_in_the_file_of_former_settings_goes(etc: Path) -> None:
    """Also what keeps nobody out there, as hosts.allow lets it in."""
    host = AChoosingHost(etc, lambda _: [HostDeny(etc=etc, file=each) for each in (DENY, ALLOW)])
    await host.start()
    await host.do(host.add("o1"), host.add("o2", V6))
    (etc / ALLOW).write_text(f"ALL: {KEY}\n")
    host.settings = ActionsSettings(firewall=ALLOW)
    await host.restart()
    assert (etc / DENY).read_text() == ""
    *ours, theirs = (etc / ALLOW).read_text().splitlines()
    assert (set(ours), theirs) == ({f"thwart ALL: {KEY}: deny", f"thwart ALL: [{V6}]: deny"}, f"ALL: {KEY}")
    assert await host.journal.backends() == {("firewall-drop", ALLOW): True}
    host.close()


def test_what_cannot_be_written_is_told(etc: Path) -> None:
    """In the system's words, for each order."""
    (etc / DENY).mkdir()
    action = HostDeny(etc=etc, file=DENY)
    assert [each.problem for each in action.apply(_effects(KEY, V6))] == [f"{etc / DENY}: Is a directory"] * 2
    assert [each.problem for each in action.revert(_effects(KEY))] == [f"{etc / DENY}: Is a directory"]
    with pytest.raises(ActionError, match="Is a directory"):
        action.inspect()


@pytest.fixture
def locked(etc: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Another process is at it, and doesn't end."""
    monkeypatch.setattr(whole_file, "PATIENCE", 0.05)
    with whole_file.alone(etc):
        yield


@pytest.mark.usefixtures("locked")
def test_two_at_once_wait_for_each_other(etc: Path) -> None:
    """Not for ever: the order is answered, and nothing is written."""
    (result,) = HostDeny(etc=etc, file=DENY).apply(_effects(KEY))
    assert "another process has had it locked for 0.05 s" in result.problem
    assert not (etc / DENY).exists()


def test_nobody_who_may_only_read_keeps_us_waiting(etc: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A local user, or a service that was broken into, may lock the folder and the file for ever: all may open them."""
    monkeypatch.setattr(whole_file, "PATIENCE", 0.05)
    (etc / DENY).touch()
    with ExitStack() as theirs:
        for path in (etc, etc / DENY):
            descriptor = os.open(path, os.O_RDONLY)
            theirs.callback(os.close, descriptor)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        _done(HostDeny(etc=etc, file=DENY).apply(_effects(KEY)))
        with whole_file.alone(etc):
            (lock,) = (each for each in etc.iterdir() if each.name != DENY)
            assert lock.stat().st_mode & 0o7777 == 0o600
    assert [each.name for each in etc.iterdir()] == [DENY]


def test_the_lock_of_a_killed_process_is_free(etc: Path) -> None:
    """And nobody takes one that was taken away while it waited for it: two would have one."""
    (etc / whole_file.LOCK).touch()
    taken = threading.Lock()

    def enter(_: int) -> bool:
        with whole_file.alone(etc):
            was_free = taken.acquire(blocking=False)
            os.sched_yield()
            if was_free:
                taken.release()
            return was_free

    with ThreadPoolExecutor(4) as many:
        assert all(many.map(enter, range(200)))
    assert not list(etc.iterdir())


def test_what_others_write_meanwhile_is_not_lost(etc: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another program adds its line, and takes one of ours, while ours are on their way to the disk."""
    action = HostDeny(etc=etc, file=DENY)
    _done(action.apply(_effects(V6)))
    assert action.inspect() == {V6: None}
    flush, writes = os.fsync, iter((b"ALL: 198.51.100.7\n", b"ALL: 198.51.100.8\n"))

    def meanwhile(descriptor: int) -> None:
        flush(descriptor)
        if line := next(writes, b""):
            (etc / DENY).write_bytes(line)

    monkeypatch.setattr(os, "fsync", meanwhile)
    _done(action.apply(_effects(KEY)))
    assert (etc / DENY).read_text() == f"{OURS}ALL: 198.51.100.8\n"
    assert action.moved()
    assert action.inspect() == {KEY: None}


def test_what_others_append_at_the_last_moment_is_not_lost(etc: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """To the file that isn't there any more a moment later."""
    (etc / DENY).write_text("# first\n")
    put = os.replace

    def append_first(new: Path, real: Path) -> None:
        with (etc / DENY).open("a") as theirs:
            theirs.write("ALL: 198.51.100.7\n")
        put(new, real)

    monkeypatch.setattr(os, "replace", append_first)
    _done(HostDeny(etc=etc, file=DENY).apply(_effects(KEY)))
    assert (etc / DENY).read_text() == f"{OURS}# first\nALL: 198.51.100.7\n"


def test_who_never_stops_writing_is_not_written_over(etc: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The order fails, to be tried again later."""
    flush, numbers = os.fsync, count()

    def meanwhile(descriptor: int) -> None:
        flush(descriptor)
        (etc / DENY).write_text(f"# {next(numbers)}\n")

    monkeypatch.setattr(os, "fsync", meanwhile)
    (result,) = HostDeny(etc=etc, file=DENY).apply(_effects(KEY))
    assert result.problem == f"{etc / DENY}: somebody else goes on changing it"
    assert [each.name for each in etc.iterdir()] == [DENY]
    assert (etc / DENY).read_text().startswith("# ")


def test_nothing_is_written_that_is_there_already(etc: Path) -> None:
    """A redelivered order doesn't even touch the file."""
    action = HostDeny(etc=etc, file=DENY)
    _done(action.apply(_effects(KEY, V6)))
    before = (etc / DENY).stat()
    _done(action.apply(_effects(V6)))
    _done(action.revert(_effects("203.0.113.90")))
    assert (etc / DENY).stat() == before


def test_what_did_not_come_to_be_is_not_done(etc: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file is read again: somebody may have put an older copy back."""
    action = HostDeny(etc=etc, file=DENY)
    monkeypatch.setattr(whole_file, "replace", lambda *_, **__: None)
    assert [each.problem for each in action.apply(_effects(KEY))] == ["somebody else has changed the file"]


@pytest.mark.parametrize(
    ("key", "pattern"),
    [
        (KEY, KEY),
        (V6, f"[{V6}]"),
        ("203.0.113.0/25", "203.0.113.0/255.255.255.128"),
        ("2001:db8::/64", "[2001:db8::]/64"),
    ],
)
def test_lines_are_such_as_every_libwrap_reads(etc: Path, key: str, pattern: str) -> None:
    """IPv6 in brackets, without which it is a list of names; a mask, since FreeBSD's knows no length behind IPv4."""
    _done(HostDeny(etc=etc, file=DENY).apply(_effects(key)))
    assert (etc / DENY).read_text() == f"thwart ALL: {pattern}\n"
    _done(HostDeny(etc=etc, file=ALLOW).apply(_effects(key)))
    assert (etc / ALLOW).read_text() == f"thwart ALL: {pattern}: deny\n"


def _effects(*keys: str) -> list[Effect]:
    return [Effect(key=key, target=key, left=60.0) for key in keys]


def _done(results: list[Result]) -> None:
    assert not [each for each in results if each.problem]
