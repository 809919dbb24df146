"""Message <-> msgpack. Whatever can't be decoded is a MessageError; nothing else comes out of `decode`."""

from typing import Any, TypeVar

import msgpack
import msgspec

from shared.errors import MalformedMessage, MessageTooLarge, UnsupportedVersion
from shared.messages import PROTOCOL_VERSION, Alert, Message

CONTENT_TYPE = "application/msgpack"
MAX_BODY = 1024 * 1024  # bytes, either way
MAX_ORDER = MAX_BODY - 4 * 1024  # bytes of an order: written down it has what it left out, and is larger
MAX_HEARTBEAT = 64 * 1024  # bytes of a heartbeat: each agent's latest is kept, in memory and in the ledger

Kind = TypeVar("Kind", bound=Message)

# msgspec looks into a type when it is first used, and two threads that have it do so at once can end the process: a
# segmentation fault was seen under msgspec 0.22. So it looks here, before there is a second thread.
for _each in (*Message.__subclasses__(), Alert):
    msgspec.json.Decoder(_each)


def size(value: Any) -> int:
    """How many bytes `value`, of plain types, takes up in a body."""
    return len(msgpack.packb(value, unicode_errors="backslashreplace"))


def encode(message: Message) -> bytes:
    """The body of `message`. Raises MessageTooLarge over MAX_BODY, so that it fails here and not at the reader."""
    # surrogates and other invalid text were escaped where the text came in; this keeps one slip from stopping a queue
    body: bytes = msgpack.packb(msgspec.to_builtins(message, builtin_types=(bytes,)), unicode_errors="backslashreplace")
    if len(body) > MAX_BODY:
        raise MessageTooLarge(f"{type(message).__name__} of {len(body)} bytes is over the limit of {MAX_BODY}")
    return body


def decode(body: bytes, kind: type[Kind]) -> Kind:
    """The message in `body`. Raises MalformedMessage, UnsupportedVersion or MessageTooLarge."""
    fields = unpack(body)
    check_version(fields)
    try:
        return msgspec.convert(fields, kind)
    except (msgspec.ValidationError, RecursionError) as error:
        raise MalformedMessage(f"not a valid {kind.__name__}: {error}") from error


def unpack(body: bytes) -> dict[str, Any]:
    """The map in `body`, unchecked beyond being one; for reading an id off a message that is otherwise wrong."""
    if len(body) > MAX_BODY:
        raise MessageTooLarge(f"body of {len(body)} bytes is over the limit of {MAX_BODY}")
    try:
        fields = msgpack.unpackb(body, ext_hook=_refuse_extension, timestamp=1)  # 1: Unix seconds as a float
    except (ValueError, TypeError, RecursionError, msgpack.UnpackException) as error:
        raise MalformedMessage(f"not MessagePack: {error}") from error
    if not isinstance(fields, dict):
        raise MalformedMessage(f"a {type(fields).__name__} instead of a map")
    return fields


def _refuse_extension(code: int, data: bytes) -> Any:
    """What isn't plain could be stored here, and not be written again as JSON for a script or the API."""
    raise ValueError(f"extension type {code}, where only plain values are taken")


def check_version(fields: dict[str, Any]) -> None:
    """Raises MalformedMessage without a version, UnsupportedVersion for one that is too new."""
    version = fields.get("v")
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise MalformedMessage("`v`, the protocol version, is missing or not a positive integer")
    if version > PROTOCOL_VERSION:
        raise UnsupportedVersion(f"protocol version {version} is newer than {PROTOCOL_VERSION}; upgrade this program")
