"""A Debian of `tests.stage.debian` with systemd as its process 1, in namespaces and a root of its own.

    machine = Booted(guard, debian.kept("trixie", *PACKAGES), tmp_path / "machine")
    machine.run("systemctl", "start", "something")

systemd sets up the machine that it finds: it empties /tmp and writes /proc/sys. So it finds nothing of this one. Its
root is a copy that goes with it, /proc/sys and /sys are read-only, the devices are its own few, and it has no right to
load modules, set the clock or open a disk. The script refuses to start it when it sees anything else.
"""

import os
import secrets
import subprocess
from collections.abc import Mapping
from pathlib import Path

from shared.errors import ThwartError
from tests.stage import cgroups
from tests.stage.guard import Guard
from tests.stage.process import Process
from tests.waiting import wait_for

PACKAGES = ("systemd", "python3", "nftables")  # in one order, so that all share one root
BOOTED = 60.0  # s; it takes 0.4
_RIGHTS = "-sys_module,-sys_time,-sys_rawio,-sys_boot,-syslog,-mknod"
_OWN = ("setpriv", f"--bounding-set={_RIGHTS}", "env", "-i", "container=thwart", "PATH=/usr/sbin:/usr/bin:/sbin:/bin")
_NAMESPACES = ("--mount", "--pid", "--uts", "--ipc", "--cgroup", "--net")
# What is for real machines, or would change this one; and timers, which start things at a time of their own.
_MASKED = """systemd-tmpfiles-setup.service systemd-tmpfiles-setup-dev.service systemd-tmpfiles-setup-dev-early.service
systemd-tmpfiles-clean.service systemd-tmpfiles-clean.timer systemd-sysctl.service systemd-binfmt.service
systemd-modules-load.service systemd-udevd.service systemd-udevd-control.socket systemd-udevd-kernel.socket
systemd-udev-trigger.service systemd-udev-settle.service systemd-remount-fs.service systemd-logind.service getty.target
sys-fs-fuse-connections.mount apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer
e2scrub_all.timer fstrim.timer"""
# $0 is a folder, $1 the Debian, then pairs: a folder and where it is shown, read-only.
_BEGIN = """
echo $$ >"$CGROUP/cgroup.procs"
exec unshare $NAMESPACES --fork --kill-child sh -euc "$PREPARE" "$0" "$@"
"""
_PREPARE = """
ip link set lo up
mount -t tmpfs tmpfs "$0"
mkdir "$0/upper" "$0/work" "$0/root"
mount -t overlay -o "lowerdir=$1,upperdir=$0/upper,workdir=$0/work" overlay "$0/root"
cd "$0/root"
shift
while [ $# -gt 0 ]; do
  mkdir -p ".$2"
  mount --bind "$1" ".$2"
  mount -o remount,bind,ro ".$2"
  shift 2
done
mount -t proc proc proc
mount --bind proc/sys proc/sys
mount -o remount,bind,ro proc/sys
mount -t sysfs -o ro sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
for each in dev run tmp; do mount -t tmpfs -o mode=755 tmpfs $each; done
chmod 1777 tmp
mkdir dev/pts dev/shm
mount -t devpts -o newinstance,ptmxmode=0666 devpts dev/pts
for each in null:3 zero:5 full:7 random:8 urandom:9; do mknod -m 666 dev/${each%:*} c 1 ${each#*:}; done
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
for each in $MASKED; do ln -sf /dev/null etc/systemd/system/$each; done
mkdir .old
pivot_root . .old
exec chroot . sh -euc "$ALONE" $OWN
"""
_ALONE = """
umount -l /.old
rmdir /.old
while read -r _ _ _ _ at how _; do
  case "$at $how" in
  "/ "* | "/proc "* | "/sys/fs/cgroup "* | "/dev "* | "/dev/pts "* | "/run "* | "/tmp "* | *" ro,"*) ;;
  *) echo "refused to start systemd: $at is not its own" && exit 1 ;;
  esac
done </proc/self/mountinfo
exec "$0" "$@" /lib/systemd/systemd --unit=multi-user.target
"""


class Booted:
    """Its processes, its root and what it wrote end with its guard."""

    def __init__(
        self,
        guard: Guard,
        root: Path,
        folder: Path,
        *,
        network: Path | None = None,
        shown: Mapping[Path, str] | None = None,
    ) -> None:
        """Returns when it is up. `folder` is made, for its log and its mounts.

        `network` is the file of the namespace that it is in; without one it has loopback alone. `shown` are folders of
        this machine and where they are, read-only, in there. Raises AssertionError with its last words.
        """
        folder.mkdir()
        (folder / "machine").mkdir()
        self.cgroup = _cgroups() / f"thwart-{secrets.token_hex(4)}"
        guard.cgroup(self.cgroup)
        self.cgroup.mkdir()
        within = ["nsenter", f"--net={network}", "--"] if network else []
        pairs = [str(each) for pair in (shown or {}).items() for each in pair]
        command = [*within, "sh", "-euc", _BEGIN, str(folder / "machine"), str(root), *pairs]
        words = {
            "CGROUP": str(self.cgroup),
            "NAMESPACES": " ".join(each for each in _NAMESPACES if not network or each != "--net"),
            "PREPARE": _PREPARE,
            "MASKED": " ".join(_MASKED.split()),
            "ALONE": _ALONE,
            "OWN": " ".join(_OWN),
        }
        self._process = Process(guard, command, folder / "log", words)
        self.pid = wait_for(self._first, BOOTED)
        wait_for(self._up, BOOTED, 0.05)

    def run(self, *command: str, text: str = "", within: float = 60.0) -> str:
        """What `command` prints in there, as root. Raises ThwartError with its words when it fails."""
        done = subprocess.run(
            [*self.inside, *command], input=text, capture_output=True, text=True, check=False, timeout=within
        )
        if done.returncode:
            raise ThwartError(f"{' '.join(command)}: {done.stdout[-2_000:]}{done.stderr[-4_000:].strip()}")
        return done.stdout

    @property
    def inside(self) -> tuple[str, ...]:
        """What goes before a command to run it in there."""
        return ("nsenter", "--target", str(self.pid), *_NAMESPACES, "--root", "--wd", "--", *_OWN, "HOME=/root")

    def file(self, path: str) -> Path:
        """How a file in there, by its absolute path, is called out here; links are followed out here."""
        return Path(f"/proc/{self.pid}/root{path}")

    def shows(self, unit: str, *properties: str) -> list[str]:
        """What `systemctl show` says of these, in their order."""
        said = self.run("systemctl", "show", unit, f"--property={','.join(properties)}").splitlines()
        values = dict(line.split("=", 1) for line in said)
        return [values[each] for each in properties]

    def _first(self) -> int | None:
        """Its process 1, once that is systemd and so is in its own root; by its pid out here."""
        assert self._process.running, f"it did not boot: {self._process.last_words()}"
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text().split()
        first = int(children[0]) if children else None
        return first if first and _program(first) == "systemd" else None

    def _up(self) -> bool:
        assert self._process.running, f"it ended: {self._process.last_words()}"
        asked = subprocess.run(
            [*self.inside, "systemctl", "is-system-running"], capture_output=True, text=True, check=False, timeout=30
        )
        return asked.stdout.strip() in ("running", "degraded")


def _program(pid: int) -> str:
    try:
        return Path(os.readlink(f"/proc/{pid}/exe")).name
    except OSError:
        return ""


def _cgroups() -> Path:
    """Where the unified hierarchy of control groups is; systemd needs a part of it. Raises ThwartError."""
    found = cgroups.trees("cgroup2")
    if not found:
        raise ThwartError("no cgroup2 is mounted: mount -t cgroup2 cgroup2 /sys/fs/cgroup")
    return found[0]
