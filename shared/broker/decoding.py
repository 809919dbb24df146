"""What others wrote into a message's frame, made harmless: importing this mends pika's decoder for the process."""

from typing import Any

import pika.data

SHORT_STRING = 255  # bytes of a routing key, type or id


def text(value: object) -> str:
    """What a sender wrote as text; pika hands out bytes when it is not UTF-8. It still fits into a short string."""
    if isinstance(value, bytes):
        return value.decode("ascii", "backslashreplace")[:SHORT_STRING]
    return str(value or "")


def _decode_value(encoded: bytes, offset: int) -> tuple[Any, int]:
    """pika's, but that a date or number that Python can't hold is None.

    pika raises in the middle of its input, which ends the connection; the broker delivers the message again on the
    next one, and so for ever.
    """
    try:
        value, after = _PIKA_DECODES(encoded, offset)
        return value, after
    except (ValueError, OverflowError, OSError):
        return None, offset + 1 + _WIDTHS[encoded[offset : offset + 1]]


_PIKA_DECODES = pika.data.decode_value
_WIDTHS = {b"T": 8, b"d": 8, b"f": 4}  # bytes that these kinds of value take; no other kind can fail that way
pika.data.decode_value = _decode_value
