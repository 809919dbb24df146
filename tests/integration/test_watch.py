"""`thwart orders watch`: plain lines elsewhere than on a terminal, a view that fits a narrow one, and a clean end."""

import asyncio
import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import termios
from contextlib import suppress

import pytest

from tests.integration.a_manager_daemon import ATTACKER, THWART
from tests.integration.test_events import listening
from tests.waiting import eventually

pytestmark = pytest.mark.broker
COLUMNS = 40


async def test_elsewhere_than_on_a_terminal_it_is_a_line_for_each_change(manager, web1, tmp_path):
    """Order, answer and counts come as plain lines, over a restart of the manager; Ctrl-C ends it with 0."""
    with listening(manager, tmp_path, "orders", "watch") as watching:
        await eventually(lambda: "no orders" in watching.out)
        await asyncio.to_thread(manager.thwart, "block", ATTACKER, "--no-wait")
        order = await web1.order("web1")
        await web1.answer(order, "web1")
        await eventually(lambda: f"applied {order.id[:12]} {ATTACKER} on web1" in watching.out)
        await eventually(lambda: "1 applied" in watching.out)
        await asyncio.to_thread(manager.stop)
        await eventually(lambda: "the manager is away" in watching.out)
        await asyncio.to_thread(manager.start)
        again = watching.out.count("order ")

        async def heard() -> bool:
            await asyncio.to_thread(manager.thwart, "block", "203.0.113.10", "--no-wait")
            return watching.out.count("order ") > again

        await eventually(heard, within=15)
        assert watching.interrupt() == 0
        assert (watching.err, "\x1b" in watching.out) == ("", False)


async def test_on_a_narrow_terminal_no_line_is_too_long(manager, web1):
    """Forty columns show target and state in colour, and the terminal is given back as it was."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 20, COLUMNS, 0, 0))
    os.set_blocking(master, False)
    here = {"THWART_API_URL": manager.url, "THWART_API_TOKEN_FILE": str(manager.folder / "state" / "api.token")}
    environment = {**os.environ, **here, "TERM": "xterm-256color"}
    for name in ("COLUMNS", "LINES"):  # they would be believed more than the terminal
        environment.pop(name, None)
    shown = bytearray()

    def seen(words: bytes) -> bool:
        with suppress(BlockingIOError):
            shown.extend(os.read(master, 65_536))
        return words in shown

    command = [str(THWART), "orders", "watch"]
    with subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave, env=environment) as process:  # noqa: ASYNC220
        try:
            await eventually(lambda: seen(b"no orders yet"))
            await asyncio.to_thread(manager.thwart, "block", ATTACKER, "--no-wait")
            await web1.answer(await web1.order("web1"), "web1")
            await eventually(lambda: seen(b"1 applied"))
            process.send_signal(signal.SIGINT)
            assert await asyncio.to_thread(process.wait, 5) == 0
        finally:
            process.kill()
    assert seen(b"\x1b[?1049l"), "the screen that was there is back"
    assert b"\x1b[32m" in shown
    lines = re.sub(r"\x1b\[[?0-9;]*[A-Za-z]", "", shown.decode().replace("\x1b[H", "\n")).splitlines()
    assert max(map(len, lines)) <= COLUMNS
    assert any(re.match(rf"{ATTACKER} +applied ", line) for line in lines), "neither is cut nor wrapped"
    assert any(re.match(r"[0-9:]{8} applied .*…$", line.strip()) for line in lines), "a change is one line"
    assert "Traceback" not in shown.decode()
    os.close(master)
    os.close(slave)
