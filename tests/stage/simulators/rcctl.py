"""A simulated rcctl(8), as of OpenBSD 7.4, with the rc.d(8) scripts that it runs.

From the manual pages: the usage, that `check` returns 0 if the daemon is running or 1 if it is not, that names are
those of ksh(1) variables (rc.subr(8)), so that `-` is none. From /usr/sbin/rcctl and rc.subr: the words, and 2 as exit
code for a service that isn't there.
"""

import re
import sys

from tests.stage.simulators import rc
from tests.stage.simulators.host import fail, load, options, save

USAGE = "usage:\trcctl get|getdef|set service | daemon [variable [arguments]]\n\trcctl [-df] action daemon ..."
ACTIONS = ("check", "configtest", "reload", "restart", "start", "stop")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def main(arguments: list[str]) -> None:
    """Does what they say to the host, and exits."""
    try:
        given, rest = options(arguments, "df")
    except ValueError as error:
        fail(f"rcctl: {error}\n{USAGE}", 1)
    if len(rest) < 2 or rest[0] not in ACTIONS:
        fail(USAGE, 1)
    state, action, names = load(), rest[0], rest[1:]
    for name in names:
        if not _NAME.fullmatch(name) or name not in rc.known(state):
            fail(f"rcctl: service {name} does not exist", 2)
    codes = [_run(name, rc.service(state, name), action, forced=("f", "") in given) for name in names]
    save(state)
    sys.exit(max(codes))


def _run(name: str, kept: dict[str, object], action: str, *, forced: bool) -> int:
    if action == "check":
        return _said(name, bool(rc.runs(kept)))
    if action in ("start", "restart") and not (kept["enabled"] or forced):
        fail(f"/etc/rc.d/{name}: need -f to force {action} since {name}_flags=NO", 1)
    if action in ("stop", "restart"):
        rc.stop(kept)
        _said(name, True)
    if action in ("start", "restart"):
        rc.start(kept)
        return _said(name, bool(rc.runs(kept)))
    return 0


def _said(name: str, well: bool) -> int:
    print(f"{name}({'ok' if well else 'failed'})")
    return 0 if well else 1
