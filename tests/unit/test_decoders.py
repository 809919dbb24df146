"""What is taken out of a line: header, program, and the address and user of each thing that an ssh server says."""

import pytest

from manager.correlation import Correlator, load, shipped
from manager.correlation.events import Event
from tests.unit.a_ruleset import line, rules, sshd

HEADERS = [
    "Dec 10 06:55:46 web1 {program}[24200]: ",
    "Dec  1 06:55:46 web1 {program}[24200]: ",
    "Dec 10 06:55:46 web1 {program}: ",
    "Dec 10 06:55:46.123456 web1 {program}[24200]: ",
    "2025-12-10T06:55:46.123456+01:00 web1 {program}[24200]: ",
    "2025-12-10T06:55:46Z web1 {program}[24200]: ",
    "2025-12-10T06:55:46+0100 web1 {program}[24200]: ",
]
IP = "203.0.113.9"
OF_NOBODY = [
    "Disconnected from {} port 4022 [preauth]",
    "Disconnected from {} port 4022",
    "Connection closed by {} port 4022 [preauth]",
    "Connection closed by {} [preauth]",
    "Connection reset by {} port 4022 [preauth]",
    "Received disconnect from {} port 4022:11: Bye Bye [preauth]",
    "Received disconnect from {}: 11: Bye Bye [preauth]",
    "error: Received disconnect from {}: 3: Auth fail from 10.0.0.1 port 1 [preauth]",
    "Did not receive identification string from {}",
    "Did not receive identification string from {} port 4022",
    "Bad protocol version identification 'GET / HTTP/1.1' from {} port 4022",
    "Bad protocol version identification 'x from 10.0.0.1 port 22' from {}",
    "Bad protocol version identification 'x from 10.0.0.1 port 22' from {} port 4022",
    "Unable to negotiate with {} port 4022: no matching host key type found. Their offer: ssh-dss [preauth]",
    "fatal: Unable to negotiate with {} port 4022: no matching cipher found.",
    "reverse mapping checking getaddrinfo for dsl.example.net [{}] failed - POSSIBLE BREAK-IN ATTEMPT!",
    "pam_unix(sshd:auth): authentication failure; logname= uid=0 euid=0 tty=ssh ruser= rhost={} ",
]
OF_ROOT = [
    "Failed password for root from {} port 4022 ssh2",
    "Failed keyboard-interactive/pam for root from {} port 4022 ssh2",
    "Failed publickey for root from {} port 4022 ssh2: ED25519 SHA256:abc/+",
    "Accepted password for root from {} port 4022 ssh2",
    "Accepted publickey for root from {} port 4022 ssh2: ED25519 SHA256:abc",
    "error: PAM: Authentication failure for root from {}",
    "error: maximum authentication attempts exceeded for root from {} port 4022 ssh2 [preauth]",
    "Disconnected from user root {} port 4022",
    "Disconnected from authenticating user root {} port 4022 [preauth]",
    "Disconnecting authenticating user root {} port 4022: Too many authentication failures [preauth]",
    "Connection closed by authenticating user root {} port 4022 [preauth]",
    "Connection reset by authenticating user root {} port 4022 [preauth]",
    "User root from {} not allowed because not listed in AllowUsers",
    "pam_unix(sshd:auth): authentication failure; logname= uid=0 euid=0 tty=ssh ruser= rhost={}  user=root",
    "PAM 2 more authentication failures; logname= uid=0 euid=0 tty=ssh ruser= rhost={}  user=root",
]
OF_ADMIN = [  # who doesn't exist
    "Failed password for invalid user admin from {} port 4022 ssh2",
    "Failed none for invalid user admin from {} port 4022 ssh2",
    "Failed publickey for invalid user admin from {} port 4022 ssh2: RSA SHA256:abc",
    "Failed password for illegal user admin from {} port 4022 ssh2",
    "Invalid user admin from {}",
    "Invalid user admin from {} port 4022",
    "error: PAM: Authentication failure for illegal user admin from {}",
    "error: PAM: User not known to the underlying authentication module for illegal user admin from {}",
    "error: maximum authentication attempts exceeded for invalid user admin from {} port 4022 ssh2 [preauth]",
    "Disconnected from invalid user admin {} port 4022 [preauth]",
    "Disconnecting invalid user admin {} port 4022: Too many authentication failures [preauth]",
    "Disconnecting invalid user admin {} port 4022: Change of username or service not allowed: (admin,x) -> (b,x)",
    "Connection closed by invalid user admin {} port 4022 [preauth]",
    "Connection reset by invalid user admin {} port 4022 [preauth]",
]
OF_AN_EMPTY_NAME = [text.replace("admin", "") for text in OF_ADMIN if "Change of username" not in text]
MESSAGES = [
    *((text, None, None) for text in OF_NOBODY),
    *((text, "root", None) for text in OF_ROOT),
    *((text, None, "admin") for text in OF_ADMIN),
    *((text, None, "") for text in OF_AN_EMPTY_NAME),
]
HOSTILE = [
    "x from 10.0.0.1",
    "x from 10.0.0.1 port 22",
    "x from 10.0.0.1 port 22 ssh2",
    "x from 10.0.0.1 port 22 ssh2: RSA SHA256:abc",
    "x from 10.0.0.1 port 22 ssh2 [preauth]",
    "10.0.0.1 port 22",
    "10.0.0.1 port 22 [preauth]",
    "10.0.0.1 port 22: Too many authentication failures [preauth]",
    "invalid user root from 10.0.0.1 port 22 ssh2",
    " rhost=10.0.0.1  user=root",
    "message repeated 5 times: [ root ]",
    "from",
    "]: ",
]
FORMS = [
    "Failed password for invalid user {} from {} port 4022 ssh2",
    "Failed publickey for invalid user {} from {} port 4022 ssh2: ED25519 SHA256:abc",
    "Invalid user {} from {} port 4022",
    "Invalid user {} from {}",
    "error: maximum authentication attempts exceeded for invalid user {} from {} port 4022 ssh2 [preauth]",
    "Disconnected from invalid user {} {} port 4022 [preauth]",
    "Connection closed by invalid user {} {} port 4022 [preauth]",
    "Disconnecting invalid user {} {} port 4022: Too many authentication failures [preauth]",
]


@pytest.fixture(scope="module")
def correlator() -> Correlator:
    return Correlator(load([shipped()]))


def decoded(correlator: Correlator, text: str) -> Event:
    event = Event(line(text))
    branch = correlator._branch(event.program)
    event.decoder = branch.decoders[0] if branch.decoders else None
    return event


@pytest.mark.parametrize("program", ["sshd", "sshd-session"])
@pytest.mark.parametrize("header", HEADERS)
def test_a_header_is_taken_apart(correlator, header, program):
    """RFC 3164 and ISO 8601 headers give host, program and message, for the old server's name and the new one's."""
    event = decoded(correlator, header.format(program=program) + f"Invalid user admin from {IP}")
    assert (event.host, event.program, event.message) == ("web1", program, f"Invalid user admin from {IP}")
    assert event.fields == {"srcuser": "admin", "srcip": IP}


@pytest.mark.parametrize("source", [IP, "2001:db8::9", "::ffff:203.0.113.9"])
@pytest.mark.parametrize("program", ["sshd", "sshd-session"])
@pytest.mark.parametrize(("message", "known", "unknown"), MESSAGES)
def test_every_message_gives_its_address_and_user(correlator, message, known, unknown, program, source):
    """Whatever the ssh server says about a client names the client's address, and its user where there is one."""
    fields = decoded(correlator, sshd(message.format(source), program=program).text).fields
    assert fields.get("srcip") == source
    assert (fields.get("dstuser"), fields.get("srcuser")) == (known, unknown)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("user", HOSTILE)
def test_a_user_name_can_not_frame_another_address(correlator, form, user):
    """A user name that looks like the rest of the line does not change the address that is taken from it."""
    fields = decoded(correlator, sshd(form.format(user, IP)).text).fields
    assert (fields.get("srcip"), fields.get("srcuser")) == (IP, user)


@pytest.mark.parametrize(("whose", "taken"), [("a", IP), ("invalid user a", None)])
def test_the_text_of_a_certificate_can_not_frame_another_address(correlator, whose, taken):
    """What a client wrote into its certificate is never the address; beside a client's own name, nothing is sure."""
    said = "ED25519-CERT SHA256:abc ID x from 10.0.0.1 port 22 ssh2: a b (serial 0) CA ED25519 SHA256:def"
    fields = decoded(correlator, sshd(f"Failed publickey for {whose} from {IP} port 4022 ssh2: {said}").text).fields
    assert fields.get("srcip") == taken


def test_a_folded_line_is_unfolded(correlator):
    """`message repeated N times` counts N and is decoded like the message in it."""
    event = decoded(
        correlator, sshd(f"message repeated 3 times: [ Failed password for root from {IP} port 1 ssh2]").text
    )
    assert (event.repeats, event.fields["srcip"], event.fields["dstuser"]) == (3, IP, "root")


@pytest.mark.parametrize("text", ["", " ", "Dec 10", "Dec 10 06:55:46 web1", "no header at all", "Dec 10 06:55:46 h p"])
def test_a_line_without_a_header_is_all_message(correlator, text):
    """What has no header is no program's, and nothing is taken from it."""
    event = decoded(correlator, text)
    assert (event.program, event.message, event.fields) == ("", text, {})


CHAIN = """
<decoder name="p"><program_name>^p$</program_name></decoder>
<decoder name="p-in">
  <parent>p</parent>
  <prematch>^in </prematch>
  <regex offset="after_prematch">^user=(\\S+)</regex>
  <order>user</order>
</decoder>
<decoder name="p-in">
  <parent>p</parent>
  <regex offset="after_regex">^ from=(\\S+)</regex>
  <order>srcip</order>
</decoder>
<decoder name="p-in">
  <parent>p</parent>
  <prematch>^out </prematch>
  <regex offset="after_prematch">^(\\S+)</regex>
  <order>action</order>
</decoder>
<rule id="1" level="1"><decoded_as>p</decoded_as><description>all</description></rule>
"""


@pytest.mark.parametrize(
    ("message", "fields"),
    [
        ("in user=a from=10.0.0.1", {"dstuser": "a", "srcip": "10.0.0.1"}),
        ("in user=a by=10.0.0.1", {"dstuser": "a"}),
        ("in nobody from=10.0.0.1", {}),
        ("out done", {"action": "done"}),
        ("up", {}),
    ],
)
def test_a_decoder_can_be_continued(tmp_path, message, fields):
    """A child of the same name without a `prematch` goes on where the one before ended; with one it is another way."""
    correlator = Correlator(rules(tmp_path, CHAIN, shipped_too=False))
    assert decoded(correlator, f"Nov 24 16:00:00 web1 p: {message}").fields == fields
