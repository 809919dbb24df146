"""macOS's `pwpolicy`, as far as it disables and enables users: pwpolicy(8).

Without `-n` the search node is used, where a name may be somebody else's: it is refused here. Who isn't root needs an
authenticator (`-a`) and a password.
"""

from tests.stage.simulators import host
from tests.stage.simulators.macos_accounts import DISABLED, NODE, keep, users

VALUED = ("-a", "-p", "-u", "-c", "-n")


def main(arguments: list[str]) -> None:
    said: dict[str, str] = {}
    rest = list(arguments)
    while rest and rest[0] in VALUED:
        if len(rest) < 2:
            host.fail("usage: pwpolicy [-h]", 64)
        said[rest[0]] = rest[1]
        rest = rest[2:]
    if len(rest) != 1 or rest[0] not in ("-disableuser", "-enableuser") or "-u" not in said:
        host.fail("usage: pwpolicy [-h]", 64)
    if said.get("-n") != NODE:
        host.fail(f"Error: unable to open node {said.get('-n', '/Search')}", 1)
    some = users()
    if said["-u"] not in some:
        host.fail(f"Error: unable to find user record for {said['-u']}", 1)
    record = some[said["-u"]]
    authority = record["AuthenticationAuthority"].replace(f" {DISABLED}", "")
    record["AuthenticationAuthority"] = f"{authority} {DISABLED}" if rest[0] == "-disableuser" else authority
    keep(some)
