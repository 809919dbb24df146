"""The caller's side of the HTTP API: one call, one answer of a known shape, or an ApiError with its sentence."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

import httpx
import msgspec
import tenacity
from msgspec import Struct

from manager.api import tokens
from manager.api.bodies.body import Problem
from shared import checkup
from shared.checkup import Checkup
from shared.errors import ApiError, SettingsError, Unreachable

LIMIT = 10.0  # s for one try of a call
SILENCE = 15.0  # s in which a stream says at least that nothing happens
TRIES = 3  # of a request that got no answer: its request id makes it safe to send again

Answer = TypeVar("Answer", bound=Struct)


def request_id() -> str:
    """What makes a repeated request the same request."""
    return secrets.token_urlsafe(16)


class Client:
    """Calls the API at `url` with the first token in `token_file`. Raises SettingsError when that can't be read.

    With a `limit` (s) of its own a call is tried once: whoever sets one waits no longer.
    """

    def __init__(self, url: str, token_file: Path, *, limit: float | None = None) -> None:
        headers = {"Authorization": f"Bearer {tokens.first(token_file)}"}
        try:
            if httpx.URL(url).scheme not in ("http", "https"):
                raise ValueError("another scheme")  # httpx would find out only when it connects
            self._http = httpx.Client(base_url=url, headers=headers, timeout=limit or LIMIT, trust_env=False)
        except (httpx.InvalidURL, ValueError) as error:
            raise SettingsError(f"{url!r} is no address of an API; write http://127.0.0.1:9460") from error
        self._url, self._token_file = url, token_file
        self._tries = TRIES if limit is None else 1

    def get(self, path: str, kind: type[Answer], **query: Any) -> Answer:
        """Raises ApiError, Unreachable."""
        return self._answer(kind, "GET", path, params=_given(query))

    def text(self, path: str) -> str:
        """What is answered, as it is. Raises ApiError, Unreachable."""
        response = self._call("GET", path)
        if response.status_code in (401, 404):
            self._read(Struct, response)
        return response.text

    def post(self, path: str, body: Struct, kind: type[Answer]) -> Answer:
        """Sends a request that carries a request id, again if no answer comes. Raises ApiError, Unreachable."""
        return self._answer(kind, "POST", path, content=msgspec.json.encode(body))

    def delete(self, path: str, kind: type[Answer], **query: Any) -> Answer:
        """Takes something away. Raises ApiError, Unreachable."""
        return self._answer(kind, "DELETE", path, params=_given(query))

    @contextmanager
    def listen(self, path: str, **query: Any) -> Iterator[Iterator[bytes]]:
        """The lines of a stream, as they come; empty ones too. Raises ApiError; Unreachable also when it breaks off."""
        patience = httpx.Timeout(LIMIT, read=SILENCE)
        try:
            with self._http.stream("GET", path, params=_given(query), timeout=patience) as response:
                if not response.is_success:
                    response.read()
                    self._read(Struct, response)
                yield _lines(response.iter_bytes())
        except httpx.HTTPError as error:
            raise self._unreachable(error) from error

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._http.close()

    def _answer(self, kind: type[Answer], method: str, path: str, **request: Any) -> Answer:
        return self._read(kind, self._call(method, path, **request))

    def _read(self, kind: type[Answer], response: httpx.Response) -> Answer:
        try:
            if response.is_success:
                return msgspec.json.decode(response.content, type=kind)
            if response.status_code == 401:
                raise ApiError(
                    f"the manager at {self._url} doesn't know the token in {self._token_file}; "
                    "name another file with --token-file"
                )
            raise ApiError(msgspec.json.decode(response.content, type=Problem).error)
        except msgspec.DecodeError as error:
            raise ApiError(
                f"{self._url} answers {response.status_code}, but not as the API; is it this port?"
            ) from error

    def _call(self, method: str, path: str, **request: Any) -> httpx.Response:
        attempts = tenacity.Retrying(
            stop=tenacity.stop_after_attempt(self._tries),
            wait=tenacity.wait_exponential(multiplier=0.1, max=1.0),
            retry=tenacity.retry_if_exception(_may_pass),
            reraise=True,
        )
        try:
            response: httpx.Response = attempts(self._http.request, method, path, **request)
            return response
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise self._unreachable(error) from error

    def _unreachable(self, error: Exception) -> Unreachable:
        return Unreachable(f"no manager answers at {self._url}: {error or repr(error)}; is it running? see --api")


def _given(query: dict[str, Any]) -> dict[str, Any]:
    """Without what was left out. What was left empty goes along, to be refused: it means neither nothing nor all."""
    return {name: value for name, value in query.items() if value is not None}


def _lines(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Whole lines. Only a newline ends one: httpx's own would also break at what Unicode calls a line's end."""
    rest = b""
    for chunk in chunks:
        *whole, rest = (rest + chunk).split(b"\n")
        yield from whole


def looked_at(url: str) -> Checkup:
    """How the manager at `url` is; no token is needed. Raises Unreachable, ApiError, SettingsError."""

    def get(path: str) -> bytes:
        try:
            return httpx.get(f"{url.rstrip('/')}{path}", timeout=checkup.PATIENCE, trust_env=False).content
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            raise Unreachable(f"no manager answers at {url}: {error}; is it running? see --api") from error
        except httpx.TimeoutException as error:
            raise TimeoutError(str(error)) from error
        except (httpx.NetworkError, httpx.RemoteProtocolError) as error:
            raise Unreachable(
                f"no manager answers at {url}: who listens there hung up, or speaks another protocol; if it is this "
                "port, try again, else see --api"
            ) from error
        except (httpx.UnsupportedProtocol, httpx.InvalidURL) as error:
            raise SettingsError(f"{url!r} is no address of an API; write http://127.0.0.1:9460") from error

    try:
        return checkup.ask(get)
    except ValueError as error:
        raise ApiError(f"{url} answers, but not as the API; is it this port?") from error


def _may_pass(error: BaseException) -> bool:
    """A connection that broke, and not a port where nobody listens."""
    return isinstance(error, httpx.TransportError) and not isinstance(error, httpx.ConnectError)
