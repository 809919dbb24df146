"""`thwart health`: what it says of whoever listens there, and of a manager that keeps something back."""

import socket
import threading

import pytest
from click.testing import CliRunner

from manager.api.bodies.health import Health
from manager.cli import main
from manager.cli.shows.health import notes
from manager.ledger.views import Pause

WELL = Health(
    version="0.1.0",
    broker="connected",
    unsent=0,
    on_hold=0,
    paused=None,
    tripped=(),
    configured_at=0.0,
    configuration_refused="",
)


@pytest.mark.parametrize("last_words", [b"", b"AMQP\x00\x00\x09\x01"])
def test_who_hangs_up_is_no_manager_that_hangs(last_words: bytes) -> None:
    """A broker's port, say: what happened is told, and not that nobody answered in time."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def hang_up() -> None:
            with listener.accept()[0] as caller:
                caller.recv(4096)
                caller.sendall(last_words)

        threading.Thread(target=hang_up).start()
        done = CliRunner().invoke(
            main, ["health", "--api", f"http://127.0.0.1:{listener.getsockname()[1]}"], prog_name="thwart"
        )
    assert (done.exit_code, done.stdout) == (3, "")
    assert "who listens there hung up, or speaks another protocol" in done.stderr
    assert "see --api" in done.stderr


def test_what_is_kept_back_or_refused_is_a_line_each() -> None:
    """All of it for people, with what could steer their terminal taken out; nothing when there is nothing."""
    assert list(notes(WELL)) == []
    health = Health(
        version="0.1.0",
        broker="connected",
        unsent=1,
        on_hold=2,
        paused=Pause(since=1_000_000.0, issuer="ann", reason="audit\x1b[2J"),
        tripped=("sshd", "web"),
        configured_at=0.0,
        configuration_refused="/etc/thwart/ossec.conf:3: it isn't\nwell-formed",
    )
    said = list(notes(health))
    assert said[0].startswith("paused since 1970-01-1")
    assert said[0].endswith("by ann: audit\ufffd[2J; nothing but lifts is sent")
    refused = "the configuration was refused when it was read anew, and the one before is in force: "
    assert said[1:] == [
        "the breaker of sshd has tripped: what is new of it is on hold",
        "the breaker of web has tripped: what is new of it is on hold",
        "2 orders on hold; see `thwart orders --on-hold`",
        "unsent: 1 message that the broker has not confirmed",
        refused + "/etc/thwart/ossec.conf:3: it isn't well-formed",
    ]
