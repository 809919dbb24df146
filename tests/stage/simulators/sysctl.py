"""A simulated sysctl(8) of FreeBSD: of a host with ipfw it knows whether that is enabled.

From the manual page: `-n` shows values without names, `name=value` sets one. An unknown name is told on standard error,
with exit code 1, and the others are shown all the same.
"""

import sys

from tests.stage.simulators.host import fail, load, options, save
from tests.stage.simulators.ipfw import SWITCHES, of


def main(arguments: list[str]) -> None:
    """Does what they say to the host, and exits."""
    try:
        found, names = options(arguments, "nq")
    except ValueError as error:
        fail(f"sysctl: {error}\nusage: sysctl [-bdehiNnoTtqWx] [ -B <bufsize> ] [-f filename] name[=value] ...", 1)
    state = load()
    kept, code = of(state), 0
    for each in names:
        name, sets, value = each.partition("=")
        if name not in SWITCHES or not kept["loaded"]:
            sys.stderr.write(f"sysctl: unknown oid '{name}'\n")
            code = 1
            continue
        before = kept["enabled"][name]
        if sets:
            kept["enabled"][name] = int(value)
        told = f"{before} -> {kept['enabled'][name]}" if sets else f"{before}"
        print(told if ("n", "") in found else f"{name}: {told}")
    save(state)
    sys.exit(code)
