"""Logs: a sentence for people and fields for machines; readable on a terminal, one JSON object a line otherwise.

No password of a URL gets into one, whoever wrote it and wherever in the fields it is. A line that can't be printed is
lost and ends nothing.
"""

import logging
import sys
from collections.abc import Mapping
from contextlib import suppress
from io import TextIOBase
from typing import Any, TextIO, cast

import structlog

from shared.redaction import MARK, PASSWORD
from shared.settings import LogSettings


def configure(settings: LogSettings) -> None:
    """Sends everything that is logged to standard error. Call once, first thing in a daemon."""
    level = logging.getLevelNamesMapping()[settings.level.upper()]
    text = settings.format == "text" or (settings.format == "auto" and sys.stderr.isatty())
    render = structlog.dev.ConsoleRenderer() if text else structlog.processors.JSONRenderer(ensure_ascii=True)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            _without_passwords,
            render,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(cast(TextIO, _Lenient(sys.stderr))),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(levelname)s %(name)s %(message)s")
    logging.getLogger("pika").setLevel(logging.CRITICAL)  # shared.broker says the same once, and in our words


class _Lenient(TextIOBase):
    """A stream, as far as it takes anything: the disk may be full that it goes to, its terminal or reader gone."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        with suppress(OSError):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with suppress(OSError):
            self._stream.flush()


def _without_passwords(_: Any, __: str, event: Any) -> Mapping[str, Any]:
    return {name: _clean(value) for name, value in event.items()}


def _clean(value: Any) -> Any:
    if isinstance(value, str):
        return PASSWORD.sub(rf"\g<before>{MARK}\g<after>", value) if "://" in value else value
    if isinstance(value, list | tuple):
        return [_clean(each) for each in value]
    return {key: _clean(each) for key, each in value.items()} if isinstance(value, dict) else value
