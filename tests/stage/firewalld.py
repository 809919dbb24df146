"""A real firewalld on a host of the stage, with a folder for its configuration and a bus of its own."""

import subprocess
from pathlib import Path

from agent.actions.firewalld_drop.firewalld_bus import MAIN, PROPERTIES, RUNTIME_PATH, FirewalldBus
from shared.errors import ActionError, ThwartError
from tests.stage.guard import Guard
from tests.stage.network import Host
from tests.stage.process import Process
from tests.waiting import wait_for

FIREWALLD, DBUS = "/usr/sbin/firewalld", "/usr/bin/dbus-daemon"

# Anybody who gets to the socket may own names, ask and hear: it lies in a test's own folder.
BUS = """\
<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-BUS Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>system</type>
  <listen>unix:path={socket}</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow own="*"/><allow send_destination="*"/><allow receive_sender="*"/>
  </policy>
</busconfig>
"""
# Everything is let in that no other zone drops.
CONFIGURATION = "DefaultZone=trusted\nCleanupOnExit=yes\nFirewallBackend={backend}\nFlushAllOnReload=yes\n"


class PrivateBus:
    """A D-Bus daemon for nobody else."""

    def __init__(self, guard: Guard, folder: Path) -> None:
        """Returns when it can be asked."""
        folder.mkdir()
        socket, configuration = folder / "socket", folder / "bus.conf"
        configuration.write_text(BUS.format(socket=socket))
        self.address = f"unix:path={socket}"
        command = [DBUS, f"--config-file={configuration}", "--nofork", "--nopidfile", "--nosyslog"]
        self.process = Process(guard, command, folder / "bus.out")
        wait_for(socket.exists)


class Firewalld:
    """In force on `host` from the start to the end, with everything else in the default zone let in."""

    def __init__(self, guard: Guard, host: Host, folder: Path, *, backend: str = "nftables") -> None:
        """Returns when it is running."""
        self.bus = PrivateBus(guard, folder)
        self._guard, self._host, self._folder = guard, host, folder
        self.configuration = folder / "firewalld"
        self.configuration.mkdir()
        (self.configuration / "firewalld.conf").write_text(CONFIGURATION.format(backend=backend))
        self._environment, self._bus = {"DBUS_SYSTEM_BUS_ADDRESS": self.bus.address}, self.asked()
        self.start()

    def start(self) -> None:
        """As at boot: whatever was in the runtime configuration alone is forgotten."""
        log = ["--log-target", "file", "--log-file", str(self._folder / "firewalld.log")]
        command = [FIREWALLD, "--nofork", "--nopid", "--system-config", str(self.configuration), *log]
        self.process = Process(
            self._guard, [*self._host.inside, *command], self._folder / "firewalld.out", self._environment
        )
        wait_for(self._is_running, within=20)

    def stop(self) -> None:
        """As `systemctl stop` does."""
        self.process.stop()

    def command(self, *arguments: str) -> str:
        """What `firewall-cmd` prints, which takes 0.1 s to start. Raises ThwartError with its words."""
        done = subprocess.run(
            ["firewall-cmd", *arguments],
            env={"PATH": "/usr/bin:/usr/sbin:/bin", **self._environment},
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
        )
        if done.returncode:
            raise ThwartError(f"firewall-cmd {' '.join(arguments)}: {done.stderr.strip()}")
        return done.stdout

    def asked(self) -> FirewalldBus:
        """A connection of one's own."""
        return FirewalldBus(self.bus.address)

    def reload(self) -> None:
        """As `firewall-cmd --reload`: whatever is in the runtime configuration alone is forgotten."""
        self._bus.ask(MAIN, "reload")

    def _is_running(self) -> bool:
        assert self.process.running, self.process.last_words()
        try:
            return bool(self._bus.ask(PROPERTIES, "Get", "ss", MAIN, "state", path=RUNTIME_PATH)[1] == "RUNNING")
        except ActionError:
            return False
