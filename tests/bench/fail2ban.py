"""The baseline: fail2ban as Debian ships it, with its own filter for sshd, on a host and in a folder of its own.

It puts the same element into the same set as Thwart does, so that one watcher judges both.
"""

import re
import shutil
from pathlib import Path

from agent.actions.firewall_drop import sets
from tests.bench.attack import FAILURES
from tests.stage.guard import Guard
from tests.stage.network import Host
from tests.stage.process import Process
from tests.waiting import wait_for

SERVER = shutil.which("fail2ban-server")
FILTERS = Path("/etc/fail2ban/filter.d")
CONF = """\
[Definition]
loglevel = INFO
dbfile = {folder}/fail2ban.sqlite3
dbpurgeage = 1d
"""
JAIL = """\
[sshd]
enabled = true
filter = sshd
backend = auto
logpath = {log}
maxretry = {failures}
findtime = 120
bantime = 600
usedns = no
action = element
"""
ACTION = """\
[Definition]
actionstart = nft -f {folder}/prepare.nft
actionban = nft add element inet thwart hosts4 {{ <ip> timeout <bantime>s }}
actionunban = nft delete element inet thwart hosts4 {{ <ip> }}
"""


class Fail2ban:
    """Follows `log`, which exists, until it is killed."""

    def __init__(self, guard: Guard, host: Host, folder: Path, log: Path) -> None:
        """Returns when it follows. Raises AssertionError, with its last words, when it doesn't."""
        assert SERVER, "fail2ban isn't installed"
        shutil.copytree(FILTERS, folder / "filter.d")
        (folder / "action.d").mkdir()
        files = {"fail2ban.conf": CONF, "jail.conf": JAIL, "action.d/element.conf": ACTION}
        for name, text in files.items():
            (folder / name).write_text(text.format(folder=folder, log=log, failures=FAILURES))
        (folder / "prepare.nft").write_text(sets.declared(()))
        options = ["-c", folder, "-s", folder / "socket", "-p", folder / "pid", "--logtarget", "STDOUT"]
        command = [SERVER, "-f", *map(str, options), "--syslogsocket", "none", "start"]
        self._process = Process(guard, [*host.inside, *command], folder / "log")
        wait_for(self._follows, within=20)

    @property
    def backend(self) -> str:
        """How it follows the file: pyinotify, or polling."""
        found = re.search(r"Jail 'sshd' uses (\w+)", self._process.log.read_text())
        return found[1] if found else "unknown"

    def kill(self) -> None:
        """SIGKILL: in good order it would lift its blocks one by one first."""
        self._process.kill()

    def _follows(self) -> bool:
        assert self._process.running, f"fail2ban ended: {self._process.last_words()}"
        return "Jail 'sshd' started" in self._process.log.read_text()
