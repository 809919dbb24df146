"""An operator's day as README shows it: recorded from a real run, on the stage that the demo stands on.

`python -m tests.stage.walk` plays it and writes it into README.md, between two marks. What is typed there was run, and
what is printed there was printed; only paths are changed to where these files lie on a host of the reader's.
"""

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import tempfile
import termios
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from manager.api.bodies.allow import AllowListing
from manager.api.bodies.blocks import Blocks
from manager.correlation import ruleset
from manager.ledger.views import OrderStory
from shared import log
from shared.settings import LogSettings
from tests.stage.attacker import NOBODY, Attack
from tests.stage.fleet import COMMANDS, SAMPLE, Fleet
from tests.stage.guard import Guard
from tests.stage.probe import Listener, reaches
from tests.waiting import wait_for

README = Path(__file__).parents[2] / "README.md"
BEGIN, END = "<!-- recorded by tests/stage/walk.py -->\n", "<!-- end of the record -->\n"
OSSEC_CONF, RULES = SAMPLE / "wazuh-manager.conf", SAMPLE / "local_rules.xml"
COLUMNS, LINES = 160, 50  # nothing is folded, wherever this checkout lies
ATTACKER, BACKUP = "203.0.113.66", "203.0.113.67"
BLOCKED = 60.0  # s for an attack to be answered with a block
DIFFERS = re.compile(
    r"\b[0-9a-f]{12,}\b|\d+ (?:h|min|s)\b(?: \d+ (?:min|s)\b)?|\d[\d:.T+-]*|\b(?:manager1|web1|web2)\b"
)
CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\r")


class Walk:
    """Types commands on the manager's host, in a terminal, and keeps what was typed and printed, as Markdown."""

    def __init__(self, guard: Guard, folder: Path) -> None:
        self.fleet = Fleet(guard, folder, ossec_conf=OSSEC_CONF, rules=RULES)
        self._names = {
            str(OSSEC_CONF): "/var/ossec/etc/ossec.conf",
            str(RULES): "/etc/thwart/rules/local_rules.xml",
            str(self.fleet.web1_log): "/var/log/auth.log",
            f"{Path(ruleset.__file__).parents[1] / 'ruleset'}": "ruleset",
        }
        self.text = ""

    def says(self, words: str) -> None:
        """A paragraph."""
        self.text += f"{words}\n\n"

    def types(self, line: str, *, stdin: str = "") -> str:
        """Runs the `thwart …` in `line`; what it printed. What stands behind it may be `| tail -N` or `| grep WORD`."""
        typed, _, narrowed = line[line.index("thwart ") :].partition(" | ")
        paths = {shown: path for path, shown in self._names.items()}
        command, *arguments = (paths.get(word, word) for word in typed.split())
        printed = self._in_terminal([str(COMMANDS / command), *arguments], stdin)
        for path, shown in self._names.items():
            printed = printed.replace(path, shown)
        lines = [each.rstrip() for each in printed.strip().splitlines()]
        shown = "\n".join(_narrowed(lines, narrowed))
        self.text += f"```console\n$ {line}\n{shown}\n```\n\n"
        return printed

    def _in_terminal(self, command: Sequence[str], stdin: str) -> str:
        ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
        token = self.fleet.manager.folder / "state" / "api.token"
        here = {"THWART_API_TOKEN_FILE": str(token), "NO_COLOR": "1", "TERM": "xterm", "COLUMNS": str(COLUMNS)}
        with tempfile.TemporaryFile("w+") as given:
            given.write(stdin)
            given.seek(0)
            process = subprocess.Popen(
                [*self.fleet.hosts["manager1"].inside, *command],
                stdin=given if stdin else subprocess.DEVNULL,
                stdout=theirs,
                stderr=theirs,
                env={**os.environ, **here},
            )
            os.close(theirs)
            printed = _all_of(ours)
            process.wait(30)
        return CONTROL.sub("", printed)

    def attacked_from(self, source: str, users: Sequence[str], until_blocked: bool = True) -> None:
        """A real ssh client guesses on web1 until its address is blocked there, or a few times."""
        fleet = self.fleet
        attack = Attack(fleet.attacker, source, fleet.hosts["web1"].address, users, most=20 if until_blocked else 3)
        if until_blocked:
            assert attack.until(lambda: source in self._blocked(), BLOCKED), f"{source} was not blocked"
        else:
            wait_for(lambda: attack.attempts == 3, BLOCKED)
            attack.stop()

    def lines_of(self, source: str) -> str:
        """What sshd logged of that address."""
        return "".join(each for each in self.fleet.web1_log.read_text().splitlines(True) if source in each)

    def fired_by(self, source: str) -> str:
        """The line that made the manager order a block of that address."""
        (block,) = (each for each in self.fleet.api("/v1/blocks", Blocks).blocks if each.target == source)
        story = self.fleet.api(f"/v1/orders/{block.holders[0].order_id}", OrderStory)
        assert story.alert
        return story.alert.full_log

    def _blocked(self) -> set[str]:
        return {each.target for each in self.fleet.api("/v1/blocks", Blocks).blocks}


def play(guard: Guard, folder: Path) -> str:
    """The whole walk; what was recorded. Raises AssertionError where something did not really happen."""
    walk = Walk(guard, folder)
    try:
        walk.fleet.start()
        _check(walk)
        _explain(walk)
        _go_further(walk)
        _put_right(walk)
    finally:
        walk.fleet.close()
    return walk.text


def _check(walk: Walk) -> None:
    walk.says("You come with the `ossec.conf` of your Wazuh manager. What will it do here, and what won't it?")
    printed = walk.types("thwart check-config /var/ossec/etc/ossec.conf --rules /etc/thwart/rules/local_rules.xml")
    assert "0 errors" in printed, printed


def _explain(walk: Walk) -> None:
    walk.says("Somebody attacks the ssh server of `web1`. Why was it blocked, line by line? Here is the last of them:")
    walk.attacked_from(ATTACKER, NOBODY)
    lines, fired = walk.lines_of(ATTACKER).splitlines(True), walk.fired_by(ATTACKER)
    printed = walk.types(
        f"grep {ATTACKER} /var/log/auth.log | thwart explain | tail -36",
        stdin="".join(lines[: lines.index(f"{fired}\n") + 1]),
    )
    assert f"firewall-drop {ATTACKER}" in printed, printed


def _go_further(walk: Walk) -> None:
    walk.says("Nothing of `web1` shall go to that address either, for a day. Can it do that, and by what? Then do it:")
    assert "route-null" in walk.types("thwart agents show web1 | grep route-null")
    walk.types(f"thwart order route-null {ATTACKER} --agent web1 --for 1d --reason scanner")
    assert f"blackhole {ATTACKER}" in walk.fleet.hosts["web1"].run("ip", "route", "show", "table", "all")


def _put_right(walk: Walk) -> None:
    walk.says("Then the backup doesn't run. Is its host blocked, and why?")
    walk.attacked_from(BACKUP, ("root",))
    listener = Listener(walk.fleet.hosts["web1"])
    assert not reaches(walk.fleet.attacker, BACKUP, listener), f"{BACKUP} gets through"
    printed = walk.types(f"thwart blocks show {BACKUP}")
    order = re.search(r"\b[0-9a-f]{12}\b", printed)
    assert order, printed
    walk.types(f"thwart orders show {order.group()}")
    walk.says("A job with an old password. It is let in again, and kept from being blocked until that is changed:")
    walk.types(f"thwart unblock {BACKUP} --keep 1h")
    wait_for(lambda: reaches(walk.fleet.attacker, BACKUP, listener), BLOCKED)
    walk.attacked_from(BACKUP, ("root",), until_blocked=False)
    assert reaches(walk.fleet.attacker, BACKUP, listener), f"{BACKUP} is blocked again"
    walk.types("thwart blocks")
    wait_for(lambda: not walk.fleet.api("/v1/allow", AllowListing).behind, BLOCKED)
    walk.types("thwart allow list")


def _narrowed(lines: Sequence[str], how: str) -> Sequence[str]:
    program, _, word = how.partition(" ")
    if program == "grep":
        return [each for each in lines if word in each]
    return lines[-int(word.lstrip("-") or 0) :]


def _all_of(terminal: int) -> str:
    read = b""
    try:
        while some := os.read(terminal, 65_536):
            read += some
    except OSError:
        pass  # how Linux says that nobody has the other end open any more
    os.close(terminal)
    return read.decode()


def written_into(readme: str, record: str) -> str:
    """`readme` with `record` between its marks."""
    before, _, rest = readme.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{record}{END}{after}"


def recorded(readme: str) -> str:
    """What is between the marks of `readme`."""
    return readme.partition(BEGIN)[2].partition(END)[0].lstrip("\n")


def unchanging(record: str) -> list[tuple[str, Counter[str]]]:
    """Each command of a record with the words that were printed, without what differs from run to run."""
    typed = re.findall(r"```console\n\$ (.*)\n([^`]*(?:`[^`]+`[^`]*)*?)```", record)
    return [(DIFFERS.sub("#", command), Counter(DIFFERS.sub("#", printed).split())) for command, printed in typed]


def main() -> int:
    """Plays it and writes README.md."""
    log.configure(LogSettings(level="error", format="text"))
    with Guard() as guard:
        record = play(guard, Path(tempfile.mkdtemp(prefix="thwart-")))
    README.write_text(written_into(README.read_text(), record))
    return 0


if __name__ == "__main__":
    sys.exit(main())
