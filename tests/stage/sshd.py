"""A real sshd on a host of the stage, which logs through a real syslog daemon to a file of the host's own."""

import subprocess
from collections.abc import Sequence
from pathlib import Path

from shared.errors import ThwartError
from tests.stage import enter
from tests.stage.guard import Guard
from tests.stage.network import Host
from tests.stage.process import Process
from tests.waiting import wait_for

PORT = 22
SSHD = "/usr/sbin/sshd"  # it insists on its absolute path
RSYSLOGD = "/usr/sbin/rsyslogd"

# RSYSLOG_FileFormat is the high-precision template: ISO 8601 with microseconds and zone.
RSYSLOG = """\
global(workDirectory="{folder}" localHostname="{host}" net.enableDNS="off")
module(load="imuxsock" SysSock.Use="off")
input(type="imuxsock" Socket="{socket}" CreatePath="off")
module(load="builtin:omfile" Template="RSYSLOG_FileFormat")
auth,authpriv.* action(type="omfile" file="{log}")
"""

# MaxStartups and per-source penalties would refuse an attacker before Thwart does. PAM adds some 2 s to each failure.
CONFIGURATION = """\
Port {port}
HostKey {folder}/host_key
PidFile none
UsePAM no
UseDNS no
StrictModes no
PasswordAuthentication yes
KbdInteractiveAuthentication no
PubkeyAuthentication no
PermitRootLogin no
MaxStartups 500:30:1000
LoginGraceTime 30
"""
WHERE_KNOWN = ("PerSourcePenalties no",)  # OpenSSH 9.8 and later


class Sshd:
    """Listens on port 22 of all the host's addresses; `log` is what an agent follows."""

    def __init__(
        self, guard: Guard, host: Host, folder: Path, *, etc: Path | None = None, first: Sequence[str] = ()
    ) -> None:
        """Starts both daemons; returns when sshd takes connections. `etc` is its /etc if it isn't the machine's; lines
        that come `first` in its configuration count.
        """
        folder.mkdir()
        self._folder, self._host, self._first = folder, host, first
        self.log = folder / "auth.log"
        socket = folder / "log.socket"
        self.log.touch()
        self.syslog = Process(
            guard,
            [*host.inside, RSYSLOGD, "-n", "-f", str(self._rsyslog_conf(socket)), "-i", "NONE"],
            folder / "rsyslog.out",
        )
        wait_for(socket.exists, within=10)
        entering = enter.command(host.path, host.name, syslog=socket, run=["sshd"], etc=etc)
        self.sshd = Process(guard, [*entering, SSHD, "-D", "-f", str(self._sshd_config(entering))], folder / "sshd.out")
        wait_for(self._answers, within=10)

    def stop(self) -> None:
        """Ends both."""
        self.sshd.stop()
        self.syslog.stop()

    def _rsyslog_conf(self, socket: Path) -> Path:
        path = self._folder / "rsyslog.conf"
        path.write_text(RSYSLOG.format(folder=self._folder, host=self._host.name, socket=socket, log=self.log))
        return path

    def _sshd_config(self, entering: tuple[str, ...]) -> Path:
        key, path = self._folder / "host_key", self._folder / "sshd_config"
        _run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)])
        path.write_text("\n".join([*self._first, CONFIGURATION.format(port=PORT, folder=self._folder)]))
        for option in WHERE_KNOWN:
            if not _run([*entering, SSHD, "-t", "-f", str(path), "-o", option.replace(" ", "=")], may_fail=True):
                path.write_text(f"{path.read_text()}{option}\n")
        return path

    def _answers(self) -> bool:
        if not self.sshd.running:
            raise ThwartError(f"sshd did not start: {self.sshd.last_words()}")
        try:
            self._host.connect((self._host.address, PORT), 1.0).close()
        except OSError:
            return False
        return True


def _run(command: list[str], *, may_fail: bool = False) -> int:
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    if done.returncode and not may_fail:
        raise ThwartError(f"{command[0]} ended with {done.returncode}: {done.stderr.strip()}")
    return done.returncode
