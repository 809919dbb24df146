#!/usr/bin/python3
"""Keeps an account out by a file that pam_listfile reads, with the handshake of Wazuh 4's stateful scripts.

    <command><name>deny-account</name><executable>deny-account.py</executable>
      <extra_args>/etc/security/denied-users</extra_args></command>
    <active-response> … <target>dstuser</target> … </active-response>

    # /etc/pam.d/sshd
    auth required pam_listfile.so item=user sense=deny file=/etc/security/denied-users onerr=succeed

A script that asks `check_keys` is told to `abort` when its key is in force already, and without a <timeout> what it
does is held until `thwart-agent lift` on that host. Each step is safe twice: after a crash or a reboot the agent says
it again.
"""

import fcntl
import json
import os
import sys
from pathlib import Path

NAME = Path(__file__).name


def main() -> None:
    message = json.loads(sys.stdin.readline())
    parameters = message["parameters"]
    account = parameters["alert"].get("data", {}).get("dstuser", "")
    if not account:
        sys.exit("there is no account in the alert")
    if account == "root":
        sys.exit("root is not to be kept out")
    if not parameters["extra_args"]:
        sys.exit("name the file in <extra_args>")
    if message["command"] == "add" and not may_go_on(account):
        return
    keep(Path(parameters["extra_args"][0]), account, denied=message["command"] == "add")


def may_go_on(account: str) -> bool:
    """Asks whether this key is in force already; the answer is the first message with another command."""
    origin = {"name": NAME, "module": "active-response"}
    asked = {"version": 1, "origin": origin, "command": "check_keys", "parameters": {"keys": [account]}}
    print(json.dumps(asked), flush=True)
    answer = sys.stdin.readline()
    if not answer:
        sys.exit("was not answered")
    return json.loads(answer)["command"] == "continue"


def keep(path: Path, account: str, *, denied: bool) -> None:
    """Puts the account into the file, or takes it out; whole or not at all."""
    with path.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        others = [each for each in (path.read_text().splitlines() if path.exists() else []) if each != account]
        new = path.with_suffix(".new")
        new.write_text("".join(f"{each}\n" for each in [*others, *([account] if denied else [])]))
        os.replace(new, path)


if __name__ == "__main__":
    main()
