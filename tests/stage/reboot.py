"""What a process sees after a reboot: another boot id, and a boot clock that has begun anew. Both are the kernel's own.

The firewall that a reboot empties is the test's to empty, and the wall clock is `wrong_clock`'s.
"""

import time
from pathlib import Path
from uuid import uuid4

BOOT_ID = "/proc/sys/kernel/random/boot_id"
SINCE = 20.0  # s that the boot clock shows at first
INTO_IT = f'mount --bind "$0" {BOOT_ID} && exec "$@"'


def rebooted(folder: Path) -> tuple[str, ...]:
    """The beginning of a command that runs the rest of it as if the host had been booted a moment ago."""
    boot_id = folder / "boot_id"
    boot_id.write_text(f"{uuid4()}\n")
    back = int(time.clock_gettime(time.CLOCK_BOOTTIME) - SINCE)
    namespaces = ("unshare", "--mount", "--time", "--boottime", f"-{back}", "--fork", "--kill-child")
    return (*namespaces, "sh", "-c", INTO_IT, str(boot_id))
