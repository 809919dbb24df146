"""Windows' netsh, as far as it keeps rules of the firewall and routes.

From Microsoft's pages on `netsh advfirewall firewall` and `netsh interface ipv4`.

What can't be done is said on standard output, and the exit code is 1. Two rules may have one name; `set` and `delete`
mean both. A rule that names no address is for everybody. `-f FILE` carries out a line after the other, whatever becomes
of each. Names of parameters are read without regard to case, as is everything that is no name of a rule.
"""

import sys

from tests.stage.simulators import host, windows_firewall, windows_routes
from tests.stage.simulators.windows import RefusedError

USAGE = "The following command was not found: {}."
CONTEXTS = {
    ("advfirewall", "firewall", "add", "rule"): windows_firewall.add,
    ("advfirewall", "firewall", "set", "rule"): windows_firewall.change,
    ("advfirewall", "firewall", "delete", "rule"): windows_firewall.delete,
    ("advfirewall", "firewall", "show", "rule"): windows_firewall.show,
    ("advfirewall", "show", "currentprofile"): windows_firewall.show_state,
    ("advfirewall", "set", "currentprofile"): windows_firewall.set_state,
    ("interface", "ipv4", "add", "route"): windows_routes.add,
    ("interface", "ipv6", "add", "route"): windows_routes.add,
    ("interface", "ipv4", "delete", "route"): windows_routes.delete,
    ("interface", "ipv6", "delete", "route"): windows_routes.delete,
    ("interface", "ipv4", "show", "route"): windows_routes.show,
    ("interface", "ipv6", "show", "route"): windows_routes.show,
}


def main(arguments: list[str]) -> None:
    state = host.load()
    if arguments[:1] == ["-f"] and len(arguments) == 2:
        with open(arguments[1], encoding="ascii") as script:
            codes = [_carried_out(line.split(), state) for line in script if line.strip()]
    else:
        codes = [_carried_out(arguments, state)]
    host.save(state)
    sys.exit(max(codes, default=0))


def _carried_out(words: list[str], state: host.State) -> int:
    for length in (4, 3):
        do = CONTEXTS.get(tuple(each.lower() for each in words[:length]))
        if do is not None:
            try:
                _print(do(words[1].lower(), words[length:], state))
            except RefusedError as error:
                _print(f"\n{error}\n")
                return 1
            return 0
    _print(USAGE.format(" ".join(words)))
    return 1


def _print(text: str) -> None:
    sys.stdout.write(text.replace("\n", "\r\n") + "\r\n")
