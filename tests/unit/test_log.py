"""What the daemons log: JSON where nobody reads along, and never a password."""

import json
import os
import pty
import re
import subprocess
import sys

import pytest

SECRET = "Pl4nted,Zq/x"
LOG = """
import structlog
from shared import log
from shared.settings import LogSettings
log.configure(LogSettings(level={level!r}, format={format!r}))
url = "amqp://thwart:{secret}@broker:5672/"
said = structlog.get_logger()
said.info("connecting to " + url, action="connecting", order_id="abc", urls=[url], more=dict(url=url))
try:
    raise ValueError(url)
except ValueError:
    said.exception("it failed", action="failed", error=url)
"""


def test_a_full_disk_under_the_log_ends_nothing():
    """Nor does a terminal that is closed, or a reader that is gone: a daemon goes on, and that line is lost."""
    code = LOG.format(level="info", format="json", secret=SECRET) + "print('went on', flush=True)\nos._exit(0)\n"
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-c", "import os\n" + code], stdout=subprocess.PIPE, stderr=full, text=True
        )
    assert (done.stdout, done.returncode) == ("went on\n", 0)


def said(**settings: str) -> str:
    """What is logged to a pipe."""
    code = LOG.format(**{"level": "info", "format": "auto", "secret": SECRET, **settings})
    done = subprocess.run([sys.executable, "-c", code], env=os.environ, capture_output=True, text=True, check=True)
    return done.stderr


def test_lines_are_for_people_on_a_terminal():
    """The sentence first, its fields behind it, and no JSON."""
    ours, theirs = pty.openpty()
    code = LOG.format(level="info", format="auto", secret=SECRET)
    subprocess.run([sys.executable, "-c", code], stderr=theirs, check=True)
    os.close(theirs)
    first = re.sub(r"\x1b\[[0-9;]*m", "", os.read(ours, 64 * 1024).decode()).splitlines()[0]
    os.close(ours)
    assert "connecting to amqp://thwart:***@broker:5672/" in first
    assert "order_id=abc" in first
    assert "{" not in first.partition("connecting")[0]


@pytest.mark.parametrize("format_", ["auto", "json", "text"])
def test_no_password_of_a_url_is_logged(format_):
    """Not in the sentence, in no field however deep, and in no traceback."""
    text = said(format=format_)
    assert SECRET not in text and "Pl4nted" not in text
    assert "amqp://thwart:***@broker:5672/" in text


def test_lines_are_json_where_nobody_reads_along():
    """One object a line, with a level and an instant; `[log] format` and `level` change that."""
    first, second = map(json.loads, said().splitlines())
    assert (first["order_id"], first["level"], second["level"]) == ("abc", "info", "error")
    assert first["timestamp"].endswith("Z")
    assert "connecting" not in said(level="warning")
    assert not said(format="text").startswith("{")
