"""The webhook against a real HTTP server that answers late, badly, or not at all, and that talks about the secret."""

import logging
import socket
import ssl
import threading
import time
from base64 import b64encode
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import trustme

from agent.actions.wazuh_slack.webhook import Patience, Webhook
from shared.errors import ActionError
from tests.stage.webhook_server import PATH, Answer, ConnectProxy, WebhookServer, drips, goes, hangs, says, writes
from tests.waiting import wait_for

PATIENCE = Patience(one=0.4, whole=3.0, first_pause=0.01)
HASTE = Patience(one=2.0, whole=0.2, first_pause=0.05)
HASTE_AGAIN = Patience(one=0.2, whole=1.0, first_pause=0.01)
SECRETS = [word for word in PATH.split("/") if "secret" in word.lower()]
BODY = b'{"text": "one"}'


@pytest.fixture
def server() -> Iterator[WebhookServer]:
    with WebhookServer() as one:
        yield one


@pytest.fixture
def webhook(tmp_path: Path, server: WebhookServer) -> Webhook:
    return made(tmp_path, server.url)


def made(folder: Path, url: str, ca_file: str = "", patience: Patience = PATIENCE) -> Webhook:
    file = folder / "webhook"
    file.write_text(f"{url}\n")
    file.chmod(0o600)
    return Webhook(file=str(file), ca_file=ca_file, patience=patience)


def pauses(webhook: Webhook) -> list[float]:
    """Between its tries from now on, of which none takes any time."""
    waited: list[float] = []
    webhook._stopped.wait = lambda timeout: bool(waited.append(timeout))  # type: ignore[method-assign, assignment]
    return waited


def problem(webhook: Webhook) -> str:
    with pytest.raises(ActionError) as raised:
        webhook.post(BODY, webhook.url())
    said = str(raised.value)
    assert not [secret for secret in SECRETS if secret in said]
    return said


def test_what_is_posted_is_there(webhook: Webhook, server: WebhookServer) -> None:
    """As JSON, once."""
    webhook.post(BODY, webhook.url())
    assert server.bodies == [{"text": "one"}]


@pytest.mark.parametrize(
    "answer", [says(500), says(502), says(429), says(408), goes], ids=lambda each: each.__qualname__
)
def test_what_may_go_better_is_tried_again(webhook: Webhook, server: WebhookServer, answer: Answer) -> None:
    """Errors of the server, and a connection that it ends without an answer."""
    server.plan(answer)
    webhook.post(BODY, webhook.url())
    assert len(server.bodies) == 2


@pytest.mark.parametrize("answer", [hangs, drips])
def test_what_may_have_been_taken_is_not_posted_again(webhook: Webhook, server: WebhookServer, answer: Answer) -> None:
    """No answer in time says nothing about that, and the channel would hear the same many times."""
    server.plan(answer)
    assert problem(webhook) == "127.0.0.1: had not answered within 0.4 s, and nobody knows whether it was taken"
    assert len(server.bodies) == 1


@contextmanager
def black_hole() -> Iterator[int]:
    """The port of one that answers nobody who wants to connect: too many wait to be let in."""
    with ExitStack() as kept:
        listener = kept.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        with suppress(TimeoutError):
            while True:
                kept.enter_context(socket.create_connection(listener.getsockname(), timeout=0.1))
        yield listener.getsockname()[1]


def test_an_address_that_nobody_answers_at_leaves_time_for_the_next(
    webhook: Webhook, server: WebhookServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Many a host has an IPv6 address that leads nowhere, and it comes first; one try is enough."""
    real, calls = socket.getaddrinfo, []

    def two(host: str, port: int, *words: Any, **more: Any) -> Any:
        calls.append(host)
        return real(host, dead, *words, **more) + real(host, port, *words, **more)

    with black_hole() as dead:
        monkeypatch.setattr(socket, "getaddrinfo", two)
        webhook.post(BODY, webhook.url())
    assert (len(server.bodies), len(calls)) == (1, 1)


def test_who_is_slow_once_connected_has_the_whole_time(tmp_path: Path, server: WebhookServer) -> None:
    """Also a proxy, which has to connect first itself."""
    proxy = ConnectProxy(server.port, slow=0.4)
    file = made(tmp_path, f"http://hooks.invalid{PATH}")._file
    patience = Patience(one=1.2, whole=0.01)
    webhook = Webhook(file=str(file), proxy=f"http://{proxy.address}", patience=patience)
    webhook.post(BODY, webhook.url())
    proxy.close()
    assert len(proxy.asked) == len(server.bodies) == 1


def test_a_connection_that_does_not_come_about_is_tried_again(tmp_path: Path, server: WebhookServer) -> None:
    """Nothing was posted by then."""
    proxy = ConnectProxy(server.port, slow=5.0)
    file = made(tmp_path, f"http://hooks.invalid{PATH}")._file
    webhook = Webhook(file=str(file), proxy=f"http://{proxy.address}", patience=HASTE_AGAIN)
    assert problem(webhook) == "hooks.invalid: had not answered within 0.2 s"
    proxy.close()
    assert len(proxy.asked) > 1
    assert server.bodies == []


def test_a_server_that_is_busy_is_asked_when_it_says_so(webhook: Webhook, server: WebhookServer) -> None:
    """Retry-After in seconds, though our own pause would be far shorter."""
    waited = pauses(webhook)
    server.plan(says(429, Retry_After="1"))
    webhook.post(BODY, webhook.url())
    assert (waited, len(server.bodies)) == ([1.0], 2)


def test_more_patience_than_there_is_isn_t_waited_for(webhook: Webhook, server: WebhookServer) -> None:
    """Nobody is held up for an hour, and the answer says why it is given up."""
    server.plan(says(429, "rate_limited", Retry_After="3600"))
    began = time.monotonic()
    assert problem(webhook) == "127.0.0.1: HTTP 429: rate_limited; it asks for 3600 s of patience"
    assert time.monotonic() - began < 1.0


@pytest.mark.parametrize("header", ["soon", "-1", "Wed, 99 Nov 9999999 00:00:00 GMT", "9" * 400])
def test_a_header_that_is_no_time_is_no_time(webhook: Webhook, server: WebhookServer, header: str) -> None:
    """Whatever it says; it may be given up for it, and stops nothing."""
    server.plan(says(503, Retry_After=header), says(404, "gone"))
    assert problem(webhook).startswith("127.0.0.1: HTTP ")


def test_a_server_that_goes_on_failing_is_given_up(tmp_path: Path, server: WebhookServer) -> None:
    """With its last words, and after few tries: each pause may be twice as long as the one before it."""
    webhook = made(tmp_path, server.url, patience=Patience(one=5.0, whole=10.0, first_pause=0.1))
    waited = pauses(webhook)
    server.plan(*[says(500, "still broken")] * 100)
    assert problem(webhook) == "127.0.0.1: HTTP 500: still broken"
    assert len(server.bodies) == len(waited) + 1 > 1
    assert all(pause <= 0.1 * 2**number for number, pause in enumerate(waited))


@pytest.mark.parametrize("status", [400, 403, 404, 410])
def test_what_will_not_go_better_is_said_at_once(webhook: Webhook, server: WebhookServer, status: int) -> None:
    """With the server's words, in one line that does nothing to a terminal; of the URL the host alone."""
    server.plan(says(status, f"no service\n at \x1b[31m{PATH} ({server.url})"))
    assert problem(webhook).startswith(f"127.0.0.1: HTTP {status}: no service at ?[31m")
    assert len(server.bodies) == 1


def test_a_redirection_is_not_followed(webhook: Webhook, server: WebhookServer) -> None:
    """What goes along may be read by whoever is there."""
    server.plan(says(302, "", Location=server.url))
    assert problem(webhook) == "127.0.0.1: HTTP 302"
    assert len(server.bodies) == 1


def test_an_answer_without_an_end_is_not_read(webhook: Webhook, server: WebhookServer) -> None:
    """Its beginning is enough."""
    server.plan(says(404, "x" * 10_000_000))
    assert len(problem(webhook)) < 300


@pytest.mark.parametrize(
    "lines",
    [
        ("220 mail ready", "", ""),
        ("HTTP/1.1 200 OK", *(f"X-{number}: more" for number in range(200)), "", ""),
        ("HTTP/1.1 " + "9" * 70_000, ""),
        ("HTTP/1.1 200 OK", "X: " + "x" * 70_000, ""),
    ],
    ids=["mail", "headers", "status", "header"],
)
def test_what_is_no_answer_is_said(tmp_path: Path, server: WebhookServer, lines: tuple[str, ...]) -> None:
    """Some other server is there, perhaps; in one line, and the agent lives on."""
    webhook = made(tmp_path, server.url, patience=Patience(one=5.0, whole=0.01))
    server.plan(writes(*lines))
    said = problem(webhook)
    assert said.startswith("127.0.0.1: ")
    assert said.isprintable()


@pytest.mark.parametrize("header", ["Content-Length: 10", "Transfer-Encoding: chunked", "Content-Encoding: gzip"])
def test_what_was_taken_is_not_posted_again(webhook: Webhook, server: WebhookServer, header: str) -> None:
    """However its answer goes on, or doesn't: the channel would hear the same many times."""
    server.plan(writes("HTTP/1.1 200 OK", header, "", "ok"))
    webhook.post(BODY, webhook.url())
    assert len(server.bodies) == 1


def test_a_refusal_stands_without_its_words(webhook: Webhook, server: WebhookServer) -> None:
    """Which don't end."""
    server.plan(writes("HTTP/1.1 404 Gone", "Content-Length: 10", "", "no"))
    assert problem(webhook) == "127.0.0.1: HTTP 404"
    assert len(server.bodies) == 1


def test_half_a_secret_is_taken_out_too(tmp_path: Path, server: WebhookServer) -> None:
    """Where the server's words are cut; and the parts of a query alone."""
    webhook = made(tmp_path, f"{server.url}?token=another-secret")
    server.plan(says(404, f"{'no ' * 63}{PATH}"), says(404, "another-secret is none"))
    assert problem(webhook).removeprefix("127.0.0.1: HTTP 404: ").strip("no /*") == ""
    assert problem(webhook) == "127.0.0.1: HTTP 404: *** is none"


def test_a_resolver_that_is_slow_makes_no_second_message(
    webhook: Webhook, server: WebhookServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It can't be cut; what came too late is not posted, and then it is, once, with a time limit of its own."""
    real, delays = socket.getaddrinfo, [1.5 * PATIENCE.one]

    def slow(*words: Any, **more: Any) -> Any:
        server.over.wait(delays.pop() if delays else 0.0)
        return real(*words, **more)

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    webhook.post(BODY, webhook.url())
    assert len(server.bodies) == 1


def test_nobody_there_is_said_without_the_secret(tmp_path: Path) -> None:
    """Also by the libraries' own logs."""
    records: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: records.append(record.getMessage())  # type: ignore[method-assign]
    logging.getLogger().addHandler(handler)
    try:
        webhook = made(tmp_path, f"http://127.0.0.1:9{PATH}", patience=Patience(one=0.4, whole=0.1, first_pause=0.05))
        assert problem(webhook) == "127.0.0.1: Connection refused"
    finally:
        logging.getLogger().removeHandler(handler)
    assert not [line for line in records if any(secret in line for secret in SECRETS)]


def test_a_stop_ends_the_waiting(tmp_path: Path, server: WebhookServer) -> None:
    """An agent that ends waits for no server."""
    webhook = made(tmp_path, server.url, patience=Patience(one=5.0, whole=60.0, first_pause=30.0))
    server.plan(says(429, Retry_After="30"))
    said: list[str] = []
    thread = threading.Thread(target=lambda: said.append(problem(webhook)))
    thread.start()
    wait_for(lambda: server.bodies)
    webhook.stop()
    thread.join(5.0)
    assert len(said) == 1, "what it says goes by whether it had heard the answer"
    assert problem(webhook) == "the agent is stopping"


def test_a_stop_ends_an_answer_that_does_not_come(tmp_path: Path, server: WebhookServer) -> None:
    """Nor for one that is there and says nothing."""
    webhook = made(tmp_path, server.url, patience=Patience(one=20.0, whole=60.0))
    server.plan(hangs)
    said: list[str] = []
    thread = threading.Thread(target=lambda: said.append(problem(webhook)))
    thread.start()
    wait_for(lambda: server.bodies)
    webhook.stop()
    thread.join(5.0)
    assert said == ["the agent is stopping"], "it is not the server's fault"


def test_tls_is_checked(tmp_path: Path) -> None:
    """By the authority in the settings; a certificate of somebody else's is refused, and nothing was said to him."""
    authority, context = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    with WebhookServer(context) as server:
        trusting = made(tmp_path, server.url, str(tmp_path / "ca.pem"))
        trusting.post(BODY, trusting.url())
        began = time.monotonic()
        assert "certificate verify failed" in problem(made(tmp_path, server.url))
        assert time.monotonic() - began < 1.0, "it was tried again"
        assert "No such file" in problem(made(tmp_path, server.url, str(tmp_path / "none.pem")))
        assert len(server.bodies) == 1


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_proxy_is_asked_for_a_tunnel(tmp_path: Path, scheme: str) -> None:
    """It resolves the name, has its own login, and learns the host's name alone; its refusal is told."""
    authority, context = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("hooks.invalid").configure_cert(context)
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    with WebhookServer(context if scheme == "https" else None) as server:
        proxy = ConnectProxy(server.port)
        file = made(tmp_path, f"{scheme}://hooks.invalid{PATH}")._file
        through = f"http://me:m%40ne@{proxy.address}"
        webhook = Webhook(file=str(file), ca_file=str(tmp_path / "ca.pem"), proxy=through, patience=HASTE)
        webhook.post(BODY, webhook.url())
        assert len(server.bodies) == 1
        proxy.allows = False
        assert problem(webhook) == "hooks.invalid: Tunnel connection failed: 403 Forbidden"
        proxy.close()
    asked = proxy.asked[0]
    assert asked.startswith(f"CONNECT hooks.invalid:{443 if scheme == 'https' else 80} ")
    assert f"Basic {b64encode(b'me:m@ne').decode()}" in asked
    assert not [secret for secret in SECRETS if secret in "".join(proxy.asked)]


@pytest.mark.parametrize(
    ("proxy", "says"),
    [
        ("https://me:mine@proxy:3128", "actions.webhook_proxy: it begins with http://"),
        ("proxy:3128", "actions.webhook_proxy: no URL; it begins with http:// and is one line"),
    ],
)
def test_a_proxy_that_is_not_spoken_to_in_plain_http_is_refused(tmp_path: Path, proxy: str, says: str) -> None:
    """Nobody speaks TLS to it, and a login would go to it in the clear."""
    webhook = Webhook(file=str(made(tmp_path, "https://hooks.invalid/x")._file), proxy=proxy, patience=HASTE)
    assert problem(webhook) == says


@pytest.mark.parametrize(
    "text",
    ["", "hooks.slack.com/s3cret", "ftp://h/s3cret", "https://", "https://h/a b s3cret", "http://[s3cret", "\x00"],
)
def test_what_is_no_url_is_refused_and_not_repeated(tmp_path: Path, text: str) -> None:
    """It may be a secret with a typing error."""
    with pytest.raises(ActionError, match="no URL; it begins with https://") as raised:
        made(tmp_path, text).url()
    assert "s3cret" not in str(raised.value)


def test_a_secret_that_anybody_can_read_is_refused(tmp_path: Path) -> None:
    """With what to do about it."""
    webhook = made(tmp_path, "https://hooks.example/x")
    (tmp_path / "webhook").chmod(0o644)
    with pytest.raises(ActionError, match=f"chmod o-r {tmp_path}/webhook"):
        webhook.url()
    (tmp_path / "webhook").unlink()
    with pytest.raises(ActionError, match=f"no webhook: write its URL into {tmp_path}/webhook"):
        webhook.url()
