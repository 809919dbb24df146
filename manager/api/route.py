"""A route of the API as the module of its noun gives it. `api.Api` asks for the token, and answers errors."""

from collections.abc import Awaitable, Callable

from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response

Answer = tuple[int, Struct] | Response  # a status and the body; or a response of its own, for what is a stream
Handler = Callable[[Request, str], Awaitable[Answer]]  # the last is the name that the request's token stands for


class Route(Struct, frozen=True):
    """A method and a path, and who answers. `{name:path}` in a path takes slashes too."""

    method: str
    path: str
    handler: Handler
