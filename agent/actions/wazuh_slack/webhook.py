"""The webhook: JSON is posted to a URL that is a secret in a file. The only module that imports urllib3.

The rules it keeps: a post takes a bounded time, whatever the server does, and nothing that is said about it, in an
answer or in a log, has more of the URL than its host. A server that is busy (429, 503 with Retry-After, RFC 9110
section 10.2.3) is asked again when it says so, if that is within the time; a redirection is not followed. One that was
told and doesn't answer in time is not told again: it may have taken it.
"""

import os
import re
import ssl
import threading
from collections.abc import Callable, Sequence
from functools import partial
from http import HTTPStatus
from http.client import HTTPException
from pathlib import Path
from socket import SHUT_RDWR, socket
from stat import S_IROTH
from urllib.parse import unquote

import tenacity
from msgspec import Struct
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError
from urllib3.response import BaseHTTPResponse
from urllib3.util import Retry, Url, make_headers, parse_url

from shared.errors import ActionError
from shared.redaction import Redactor

AGAIN = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS, *range(500, 600)})
HEADERS = {"Content-Type": "application/json", "User-Agent": "thwart-agent"}
LONGEST = 64 * 1024  # bytes of an answer that are read
WORDS = 200  # characters of it that are passed on
WRONG = (HTTPError, HTTPException, OSError, ValueError)  # ValueError: it was cut while it was read
SCHEMES = ("https", "http")
PROXY_SCHEMES = ("http",)  # nothing here speaks TLS to a proxy, and a login must not go to it in the clear
STOPPING = "the agent is stopping"
ADDRESSES = 4  # of a host that are tried within the time for one answer
LONGEST_PAUSE = 15.0  # s between two tries, unless the server asks for more

_BETWEEN = re.compile(r"[/?&=;]")  # the parts of a path and of a query


class Patience(Struct, frozen=True, kw_only=True):
    """Seconds."""

    one: float = 10.0  # that a server has for one answer
    whole: float = 60.0  # in which a try may begin
    first_pause: float = 0.5


class _Answer(Struct, frozen=True, kw_only=True):
    """What came of one try: done when `problem` is empty. `after`: the seconds that the server asks for."""

    problem: str = ""
    again: bool = False
    after: float = 0.0


class Webhook:
    """Posts to the URL in `file`, through the HTTP proxy at `proxy` if there is one. From any thread."""

    def __init__(self, *, file: str, ca_file: str = "", proxy: str = "", patience: Patience | None = None) -> None:
        self._file, self._ca_file, self._proxy = Path(file), ca_file, proxy
        self._patience = patience or Patience()
        self._stopped = threading.Event()
        self._cuts: set[Callable[[], None]] = set()  # of what is under way

    def is_there(self) -> bool:
        """Whether this host has one. Where nobody may look there is none."""
        return os.path.exists(self._file)

    def url(self) -> str:
        """What is in the file just now. Raises ActionError."""
        try:
            if self._file.stat().st_mode & S_IROTH:
                raise ActionError(f"anybody can read {self._file}, and it is a secret: chmod o-r {self._file}")
            return checked(self._file.read_text().strip(), str(self._file))
        except FileNotFoundError:
            raise ActionError(f"no webhook: write its URL into {self._file}") from None
        except (OSError, UnicodeDecodeError) as error:
            raise ActionError(f"{self._file}: {getattr(error, 'strerror', None) or 'not a text'}") from error

    def post(self, body: bytes, url: str) -> None:
        """Returns when the server has taken it. Raises ActionError with what it said last."""
        pause = tenacity.wait_random_exponential(multiplier=self._patience.first_pause, max=LONGEST_PAUSE)
        attempts = tenacity.Retrying(
            retry=tenacity.retry_if_result(lambda answer: answer.again),
            wait=lambda state: max(pause(state), _answer(state).after),
            stop=tenacity.stop_before_delay(self._patience.whole) | tenacity.stop_when_event_set(self._stopped),
            sleep=tenacity.sleep_using_event(self._stopped),
            retry_error_callback=_answer,
        )
        answer = attempts(self._try, parse_url(url), body)
        if answer.problem:
            raise ActionError(answer.problem)

    def stop(self) -> None:
        """Whoever waits for another try, or for an answer, gives up."""
        self._stopped.set()
        for cut in list(self._cuts):
            cut()

    def _try(self, url: Url, body: bytes) -> _Answer:
        connection, late, posted = self._connection(url), threading.Event(), False
        cut = partial(_cut, connection, late)
        clock = threading.Timer(self._patience.one, cut)
        clock.daemon = True
        self._cuts.add(cut)
        clock.start()
        try:
            if self._stopped.is_set():  # looked at when `stop` can cut it
                return _Answer(problem=STOPPING)
            _connect(connection, late)
            posted = True
            return _asked(connection, late, url, body)
        except WRONG as error:
            if self._stopped.is_set():  # it was `stop` that cut it
                return _Answer(problem=STOPPING)
            if late.is_set() or isinstance(error, TimeoutError):
                return self._too_late(url, posted)
            deceived = isinstance(error, ssl.SSLCertVerificationError)
            return _Answer(problem=f"{url.host}: {_plainly(url, _why(error))}", again=not deceived)
        finally:
            clock.cancel()
            self._cuts.discard(cut)
            connection.close()

    def _too_late(self, url: Url, posted: bool) -> _Answer:
        unknown = ", and nobody knows whether it was taken" if posted else ""
        problem = f"{url.host}: had not answered within {self._patience.one:g} s{unknown}"
        return _Answer(problem=problem, again=not posted)

    def _connection(self, url: Url) -> HTTPConnection:
        """Not connected yet. A proxy is asked for a tunnel, so that it reads nothing of what is https."""
        first = parse_url(checked(self._proxy, "actions.webhook_proxy", PROXY_SCHEMES)) if self._proxy else url
        host, limit = _plain(first.host), self._patience.one
        if url.scheme == "http":
            connection = _Connection(host, first.port, timeout=limit)
        else:
            connection = _TlsConnection(host, first.port, timeout=limit, ssl_context=self._trusted())
        if self._proxy:
            auth = unquote(first.auth or "", encoding="latin-1")  # the header's own
            login = make_headers(proxy_basic_auth=auth) if auth else {}
            connection.set_tunnel(_plain(url.host), url.port or connection.default_port, login)
        return connection

    def _trusted(self) -> ssl.SSLContext:
        try:
            return ssl.create_default_context(cafile=self._ca_file or None)
        except OSError as error:
            raise ActionError(f"{self._ca_file}: {error.strerror or error}") from error


def checked(url: str, where: str, schemes: Sequence[str] = SCHEMES) -> str:
    """`url`, if something can be posted there. Raises ActionError without it: it may be a misspelt secret."""
    begins = f"it begins with {schemes[0]}://"
    try:
        parsed = parse_url(url)
    except HTTPError:
        parsed = Url()
    if parsed.scheme not in SCHEMES or not parsed.host or not url.isprintable() or " " in url:
        raise ActionError(f"{where}: no URL; {begins} and is one line")
    if parsed.scheme not in schemes:
        raise ActionError(f"{where}: {begins}")
    return url


class _Connection(HTTPConnection):
    """Gives each address of its host a part of the time: one may lead nowhere. What is said then has the whole."""

    def _new_conn(self) -> socket:
        whole, self.timeout = self.timeout, (self.timeout or 0.0) / ADDRESSES
        try:
            found = super()._new_conn()
        finally:
            self.timeout = whole
        found.settimeout(whole)
        return found


class _TlsConnection(_Connection, HTTPSConnection):
    """The same, with TLS."""


def _connect(connection: HTTPConnection, late: threading.Event) -> None:
    """Up to where nothing was posted yet. Raises TimeoutError."""
    connection.connect()
    if late.is_set():  # a resolver can't be cut, and nobody would cut what comes now
        raise TimeoutError


def _asked(connection: HTTPConnection, late: threading.Event, url: Url, body: bytes) -> _Answer:
    """What it answers. Of a server that has taken it nothing more is read: what comes may have no end."""
    connection.request("POST", url.request_uri, body, HEADERS, preload_content=False)
    response = connection.getresponse()
    if late.is_set():  # what was cut may look like the end
        raise TimeoutError
    if response.status in range(200, 300):
        return _Answer()
    return _judged(url, response.status, _beginning(response), response.headers.get("Retry-After", ""))


def _beginning(response: BaseHTTPResponse) -> bytes:
    """Of what a server has to say; what it has answered stands without it."""
    try:
        return response.read(LONGEST)
    except WRONG:
        return b""


def _judged(url: Url, status: int, body: bytes, retry_after: str) -> _Answer:
    said = _plainly(url, body.decode(errors="replace"))
    problem = f"{url.host}: HTTP {status}{f': {said}' if said else ''}"
    after = _seconds(retry_after)
    asked = f"; it asks for {after:.0f} s of patience" if after else ""
    return _Answer(problem=problem + asked, again=status in AGAIN, after=after)


def _plain(host: str | None) -> str:
    return (host or "").strip("[]")


def _seconds(retry_after: str) -> float:
    """What the header asks for: seconds, or a date. Nothing when it is neither."""
    try:
        return Retry().parse_retry_after(retry_after)
    except (HTTPError, ValueError, OverflowError):
        return 0.0


def _cut(connection: HTTPConnection, late: threading.Event) -> None:
    """Ends a connection over which something is still read. Past the TLS layer, which isn't for two threads."""
    late.set()
    if isinstance(connection.sock, socket):
        try:
            socket.shutdown(connection.sock, SHUT_RDWR)
        except OSError:  # it has ended
            return


def _answer(state: tenacity.RetryCallState) -> _Answer:
    """What came of the last try."""
    answer: _Answer = state.outcome.result() if state.outcome else _Answer()
    return answer


def _why(error: Exception) -> str:
    """In the words of whatever is at the bottom of it."""
    while cause := error.__cause__ or error.__context__:
        if not isinstance(cause, Exception):
            break
        error = cause
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def _plainly(url: Url, text: str) -> str:
    """The beginning of it, in one line that does nothing to a terminal. Servers say what they were asked for: what is
    secret is taken out first, because of a secret that is cut too much is left.
    """
    redactor = Redactor()
    redactor.learn([url.request_uri, url.auth or "", *_BETWEEN.split(url.request_uri)])
    words = " ".join(redactor.once_more(text).split())[:WORDS]
    return "".join(letter if letter.isprintable() else "?" for letter in words)
