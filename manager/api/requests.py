"""What requests hold: bodies, read no further than the limit and as JSON of a known shape, and queries."""

from typing import TypeVar

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request

from manager.api.bodies.body import Body, sentence

LARGEST_BODY = 64 * 1024  # bytes

Kind = TypeVar("Kind", bound=Body)


async def read(request: Request, kind: type[Kind], largest: int = LARGEST_BODY) -> Kind:
    """The request's body as `kind`. Raises HTTPException for one that is too large, or not that."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > largest:
            raise HTTPException(413, f"the body is over {largest} bytes")
    try:
        return msgspec.json.decode(bytes(body), type=kind)
    except msgspec.ValidationError as error:
        raise HTTPException(400, sentence(error)) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise HTTPException(400, f"the body is not JSON: {error}") from error


def query(request: Request, kind: type[Kind]) -> Kind:
    """The request's query as `kind`. Raises HTTPException for one that is not that."""
    try:
        return msgspec.convert(dict(request.query_params), kind, strict=False)
    except msgspec.ValidationError as error:
        raise HTTPException(400, sentence(error)) from error
