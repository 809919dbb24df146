"""A simulated service(8), as of FreeBSD 14, with the rc.d scripts that it runs.

From the manual pages service(8) and rc.subr(8): the usage, `status`, that what isn't enabled in rc.conf(5) wants `one`
before the verb. From /usr/sbin/service and /etc/rc.subr: the words, and 1 as exit code of all that fails.
"""

import sys

from tests.stage.simulators import rc
from tests.stage.simulators.host import fail, load, options, save

USAGE = "Usage:\nservice [-j <jail name or id>] [-v] [-E var=value] <rc.d script> start|stop|etc."
VERBS = ("start", "stop", "restart", "rcvar", "enable", "disable", "delete", "enabled", "describe", "extracommands")


def main(arguments: list[str]) -> None:
    """Does what they say to the host, and exits."""
    try:
        _, rest = options(arguments, "j:vE:")
    except ValueError as error:
        fail(f"service: {error}\n{USAGE}", 1)
    if len(rest) < 2:
        fail(USAGE, 1)
    state = load()
    name, verb = rest[0], rest[1]
    if name not in rc.known(state):
        places = "/etc/rc.d or the local startup\ndirectories (/usr/local/etc/rc.d)"
        fail(f"{name} does not exist in {places}, or is not executable", 1)
    code = _run(name, rc.service(state, name), verb)
    save(state)
    sys.exit(code)


def _run(name: str, kept: dict[str, object], verb: str) -> int:
    plain = verb.removeprefix("one")
    if plain not in (*VERBS, "status"):
        fail(f"/usr/local/etc/rc.d/{name}: unknown directive '{verb}'.", 1)
    if plain == "status":
        pid = rc.runs(kept)
        print(f"{name} is running as pid {pid}." if pid else f"{name} is not running.")
        return 0 if pid else 1
    if not kept["enabled"] and plain == verb:
        variable = f"{name.replace('-', '_')}_enable to YES in /etc/rc.conf"
        fail(f"Cannot '{verb}' {name}. Set {variable} or use 'one{verb}' instead of '{verb}'.", 1)
    if plain in ("stop", "restart"):
        print(f"Stopping {name}." if rc.runs(kept) else f"{name} not running? (check /var/run/{name}.pid).")
        rc.stop(kept)
    if plain in ("start", "restart"):
        print(f"Starting {name}.")
        rc.start(kept)
    return 0
