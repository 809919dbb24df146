"""A log line is data: whatever a client writes into it, the address is the client's own or none, and so is the rule."""

import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from agent.logs.lines import bounded
from manager.correlation import Correlator, Rule, load, shipped
from manager.correlation.events import Event
from manager.offline.files import MAX_LINE, merged, open_logs
from tests.unit.a_ruleset import line, listen

MEGABYTE = 1_000_000
LONGEST = 0.5  # s; some 10 ms each, on a machine that does nothing else
IP = "203.0.113.9"
FORGED = "10.0.0.1"
SYSLOG = "Nov 24 16:00:00 web1 "
NOISE = "authentication failure; logname= uid=0 euid=0 tty=ssh "
FAILED = "Disconnected: Aborted login (auth failed, 1 attempts in 2 secs)"
CHANGE = "Change of username or service not allowed"
ACCESS = f"{IP} - - [24/Nov/2025:16:00:00 +0000] "

# `{}` is what the client wrote; everything else is the program's
SSHD = [
    f"Failed password for invalid user {{}} from {IP} port 4022 ssh2",
    f"Failed publickey for invalid user {{}} from {IP} port 4022 ssh2: ED25519 SHA256:abc",
    f"Failed publickey for root from {IP} port 4022 ssh2: ED25519-CERT SHA256:abc ID {{}} (serial 0) CA RSA SHA256:d",
    f"Failed publickey for invalid user {{}} from {IP} port 4022 ssh2: ED25519-CERT SHA256:a ID {{}} (serial 0) CA R S",
    f"Postponed keyboard-interactive for invalid user {{}} from {IP} port 4022 ssh2 [preauth]",
    f"Invalid user {{}} from {IP} port 4022",
    f"Invalid user {{}} from {IP}",
    f"error: PAM: Authentication failure for illegal user {{}} from {IP}",
    f"error: maximum authentication attempts exceeded for invalid user {{}} from {IP} port 4022 ssh2 [preauth]",
    f"Disconnected from invalid user {{}} {IP} port 4022 [preauth]",
    f"Connection closed by invalid user {{}} {IP} port 4022 [preauth]",
    f"Connection reset by invalid user {{}} {IP} port 4022 [preauth]",
    f"Disconnecting invalid user {{}} {IP} port 4022: Too many authentication failures [preauth]",
    f"Disconnecting invalid user {{}} {IP} port 4022: {CHANGE}: ({{}},{{}}) -> ({{}},{{}})",
    f"Disconnecting authenticating user root {IP} port 4022: {CHANGE}: (root,{{}}) -> (",
    f"Received disconnect from {IP} port 4022:11: {{}} [preauth]",
    f"Bad protocol version identification '{{}}' from {IP} port 4022",
    f"Bad protocol version identification '{{}}' from {IP}",
    'error: kex_exchange_identification: client sent invalid protocol identifier "{}"',
    f"Unable to negotiate with {IP} port 4022: no matching cipher found. Their offer: {{}} [preauth]",
    f"reverse mapping checking getaddrinfo for {{}} [{IP}] failed - POSSIBLE BREAK-IN ATTEMPT!",
    f"Address {IP} maps to {{}}, but this does not map back to the address.",
    f"pam_unix(sshd:auth): {NOISE}ruser= rhost={IP}  user={{}}",
    f"PAM 2 more authentication failures; logname= uid=0 euid=0 tty=ssh ruser= rhost={IP}  user={{}}",
    "input_userauth_request: invalid user {} [preauth]",
]
OTHERS = [
    f"{SYSLOG}vsftpd[1]: pam_unix(vsftpd:auth): {NOISE}ruser={{}} rhost={IP} ",
    f"{SYSLOG}vsftpd[1]: pam_unix(vsftpd:auth): {NOISE}ruser={{}} rhost={IP}  user={{}}",
    f'{SYSLOG}vsftpd[1]: [{{}}] FAIL LOGIN: Client "{IP}"',
    f'{SYSLOG}vsftpd[1]: [ftp] OK LOGIN: Client "{IP}", anon password "{{}}"',
    f'Mon Nov 24 16:00:00 2025 [pid 1] [{{}}] FAIL LOGIN: Client "{IP}"',
    f"{SYSLOG}proftpd[1]: 192.0.2.1 (x[{IP}]) - USER {{}}: no such user found from x [{IP}] to ::ffff:192.0.2.1:21",
    f"{SYSLOG}postfix/smtpd[1]: warning: unknown[{IP}]: SASL LOGIN authentication failed: {{}}, sasl_username={{}}",
    f"{SYSLOG}dovecot: imap-login: {FAILED}: user=<{{}}>, method=PLAIN, rip={IP}, lip=192.0.2.1, TLS, session=<abc>",
    f"[Mon Nov 24 16:00:00.123456 2025] [auth_basic:error] [pid 1] [client {IP}:5678] AH01618: user {{}} not found: /",
]
WEB = [
    f'{IP} - {{}} [24/Nov/2025:16:00:00 +0000] "GET /a HTTP/1.1" 401 153 "-" "-"',
    f'{ACCESS}"GET /a HTTP/1.1" 404 153 "{{}}" "-"',
    f'{ACCESS}"GET /a HTTP/1.1" 404 153 "-" "{{}}"',
    f'www.example.com:443 {ACCESS}"GET /a HTTP/1.1" 404 153 "{{}}" "{{}}"',
    f'{SYSLOG}nginx: {IP} - {{}} [24/Nov/2025:16:00:00 +0000] "GET /a HTTP/1.1" 401 153 "{{}}" "{{}}"',
]
ASKED = [f'{ACCESS}"GET {{}} HTTP/1.1" 404 153 "-" "-"', f'{ACCESS}"{{}}" 400 153 "-" "-"']

PARENTS = ("5700", "11400")  # where a line is left when too much of it is the client's
FORMS = [*(f"{SYSLOG}sshd[4711]: {said}" for said in SSHD), *OTHERS]
PIECES = [
    *(
        FORGED,
        f" {FORGED} ",
        f" from {FORGED}",
        f" from {FORGED} port 22",
        " port 22",
        " ssh2",
        " ssh2: a b",
        " [preauth]",
    ),
    *(
        f" rhost={FORGED}",
        f" rhost={FORGED} ",
        "  user=root",
        " ruser= ",
        f"rip={FORGED}, ",
        "lip=1.1.1.1",
        ", session=<",
    ),
    *(
        ' HTTP/1.1" 200 1 "',
        f'] OK LOGIN: Client "{FORGED}", anon password "',
        f"({FORGED}[{FORGED}]) - USER ",
        f" [{FORGED}]",
        '"',
        "'",
        "\\",
        "]",
        "[",
        ": ",
        ",",
        " - ",
    ),
    *(
        f": {CHANGE}: (",
        ") -> (",
        " (Login failed): ",
        " (serial 0) CA a b",
        " ID ",
        "invalid user ",
        "Accepted password for x",
    ),
    *("\n", "\r\n", "\0", "\x1b[31m", "\t", "\xff", "\\xff", "\u2028", " ", "  ", "x", "root", "", "; user unknown"),
    *(
        f"[client {FORGED}:1] AH01617: user x",
        "session opened for user root by x",
        f"message repeated 9 times: [ {FORGED} ]",
    ),
]
FORGERIES = [form.replace(IP, FORGED) for form in (*FORMS, *WEB, *ASKED)]
# what would make the rest of a line look like a part of the client's words, and theirs like the line
BROKEN_OFF = [half for form in FORGERIES for half in (form.partition("{}")[2], form.rpartition("{}")[0])]
WORDS = some.one_of(
    some.lists(some.sampled_from(PIECES), max_size=4).map("".join),
    some.builds(
        "{0}{1}{2}".format,
        some.sampled_from(["x", "", "x y"]),
        some.sampled_from(BROKEN_OFF),
        some.sampled_from(["", "x", " x"]),
    ),
    some.sampled_from(FORGERIES),
    some.text(max_size=30),
)


class Reader:
    """Says where one line ends, as if it were the first."""

    def __init__(self) -> None:
        self._correlator = Correlator(load([shipped()]))
        self._seen: list[tuple[Rule, Event]] = []
        listen(self._correlator, self._seen)

    def read(self, text: str) -> tuple[str | None, str | None]:
        """The rule that a line ends at and the address that is taken from it."""
        self._seen.clear()
        self._correlator.forget_everything()
        self._correlator.feed(line(text))
        return (self._seen[-1][0].id, self._seen[-1][1].fields.get("srcip")) if self._seen else (None, None)


@pytest.fixture(scope="module")
def reader():
    return Reader()


def written(form: str, words: list[str]) -> str:
    """The line with a client's words in its gaps, one after the other."""
    given = iter(words)
    return re.sub(r"\{\}", lambda gap: next(given), form)


def by_nginx(words: str) -> str:
    """As nginx writes what a client sent into its access log."""
    return "".join(each if each >= " " and each not in '"\\\x7f' else f"\\x{ord(each):02X}" for each in words)


def by_apache(words: str) -> str:
    """As Apache does."""
    escaped = words.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\t", "\\t")
    return "".join(each if each >= " " else f"\\x{ord(each):02x}" for each in escaped)


def check(reader: Reader, form: str, words: list[str]) -> None:
    """The line is of its own rule and its own address, or of none."""
    rule, address = reader.read(written(form, words))
    assert address in (IP, None, ""), written(form, words)
    assert rule in (reader.read(written(form, ["x"] * 5))[0], None, *PARENTS), written(form, words)


def check_web(reader: Reader, form: str, words: list[str]) -> None:
    """The line has its own address and status, and is an attack only for what was asked for."""
    rule, address = reader.read(written(form, words))
    assert address == IP, written(form, words)
    assert rule in (["31101"] if form in WEB else ["31101", "31102", "31103", "31104", "31105"]), written(form, words)


@pytest.mark.parametrize("form", FORMS)
def test_no_half_of_another_line_frames_another_address(reader, form):
    """A name that makes the line look as if it ended, or began, within the name changes neither rule nor address."""
    for half in (*PIECES, *BROKEN_OFF, *FORGERIES):
        for words in (f"x{half}", half, f"x y{half} z"):
            check(reader, form, [words] * 5)


@settings(max_examples=300, deadline=None)
@given(form=some.sampled_from(FORMS), words=some.lists(WORDS, min_size=5, max_size=5), folded=some.booleans())
def test_no_word_of_a_client_frames_another_address(reader, form, words, folded):
    """Whatever a user, a certificate or a password is called, the line is of its own rule and its own address."""
    if folded:
        form = re.sub(r"(\w\]): (.*)", r"\1: message repeated 2 times: [ \2]", form, count=1, flags=re.DOTALL)
    check(reader, form, words)


@pytest.mark.parametrize("escaped", [by_nginx, by_apache])
@pytest.mark.parametrize("form", [*WEB, *ASKED])
def test_no_piece_of_another_line_frames_another_address(reader, form, escaped):
    """Nor does what a browser says when it makes the line look as if it went on otherwise."""
    for piece in (*PIECES, *BROKEN_OFF, *FORGERIES):
        check_web(reader, form, [escaped(f"/x{piece}")] * 5)


@settings(max_examples=200, deadline=None)
@given(
    form=some.sampled_from([*WEB, *ASKED]),
    words=some.lists(WORDS, min_size=5, max_size=5),
    escaped=some.sampled_from([by_nginx, by_apache]),
)
def test_no_word_of_a_browser_frames_another_address(reader, form, words, escaped):
    """A user, a referrer or a browser changes neither address nor status; what is asked for stays among the web's."""
    check_web(reader, form, [escaped(each) for each in words])


@pytest.mark.parametrize("form", FORMS)
def test_a_line_that_was_cut_within_a_name_frames_nobody(reader, tmp_path, form):
    """Where a line is too long and cut, what a client wrote doesn't become its end, read offline or by an agent."""
    before, _, behind = form.partition("{}")
    halves = [half for half in dict.fromkeys(BROKEN_OFF) if FORGED in half]
    texts = [f"{before}{'x' * (MAX_LINE - len(before) - len(half))}{half}{behind}" for half in halves]
    log = tmp_path / "log"
    log.write_text("\n".join(texts) + "\n")
    for taken in (*(each.text for each in merged(open_logs([str(log)]))), *map(bounded, texts)):
        assert reader.read(taken)[1] in (IP, None, ""), taken[-200:]


@pytest.mark.parametrize("form", [*FORMS, *WEB, *ASKED])
def test_a_megabyte_in_a_line_is_read_in_no_time(reader, form):
    """The time that a line takes grows with its length alone, whatever a client repeats in it a million times."""
    for repeated in ("x", " ", " from 1", "[", "\\\\", "x] ", " 1 port 1", "user=<>", ": ", " ; USER="):
        text = written(form, [repeated * (MEGABYTE // len(repeated)), "x", "x", "x", "x"])
        begun = time.process_time()
        reader.read(text)
        assert time.process_time() - begun < LONGEST, repeated
