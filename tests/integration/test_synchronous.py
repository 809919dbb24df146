"""What is written down is on the disk, not only in the kernel's memory: seen in the system calls of a real process."""

import re
import subprocess
import sys
from pathlib import Path

PROGRAM = """
import sys
from pathlib import Path
from shared.store import Store

store = Store(Path(sys.argv[1]), "CREATE TABLE IF NOT EXISTS things (name TEXT);")
store.run_now(lambda connection: connection.execute("INSERT INTO things VALUES ('before')"))
print("begun", flush=True)
store.run_now(lambda connection: connection.execute("INSERT INTO things VALUES ('this')"))
print("committed", flush=True)
"""
CALL = re.compile(r"(?P<name>\w+)\((?P<fd>\d+)(?:<(?P<path>[^>]*)>)?")


def test_a_commit_is_synced_before_it_returns(tmp_path: Path) -> None:
    """After the last write to the write-ahead log there is a sync of it, and only then `run` returns."""
    trace, database = tmp_path / "trace", tmp_path / "store.db"
    calls = "trace=write,pwrite64,fdatasync,fsync"
    command = ["strace", "-f", "-y", "-e", calls, "-o", str(trace), sys.executable, "-c", PROGRAM, str(database)]
    subprocess.run(command, check=True, timeout=60, stdout=subprocess.DEVNULL)
    log = f"{database}-wal"
    lines = trace.read_text().splitlines()
    (begun,) = [number for number, line in enumerate(lines) if '"begun' in line]
    (committed,) = [number for number, line in enumerate(lines) if '"committed' in line]
    found = [found for line in lines[begun:committed] if (found := CALL.search(line)) and found["path"] == log]
    names = [each["name"] for each in found]
    assert "pwrite64" in names, f"nothing was written to {log}"
    assert names[-1] in ("fdatasync", "fsync"), f"written and not synced: {names}"
