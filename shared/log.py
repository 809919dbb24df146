"""Logs: a sentence for people and fields for machines; readable on a terminal, one JSON object a line otherwise."""

import logging
import sys

import structlog

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
            render,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(levelname)s %(name)s %(message)s")
    logging.getLogger("pika").setLevel(logging.CRITICAL)  # shared.broker says the same once, and in our words
