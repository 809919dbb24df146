"""The baseline: what other tools' scripts do, one program started for each address, on a host of its own.

Each keeps its blocks in the same kind of place as one of Thwart's backends does. The commands alone: what such a script
does besides (its own start, a lock, a look whether it is there already) isn't counted.
"""

import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from msgspec import Struct

Command = Sequence[str]
Told = tuple[Command, str]  # a command, and its standard input

HOOKS = ("INPUT", "FORWARD")


class OneFork(Struct, frozen=True, kw_only=True):
    """How one address comes and goes, and how very many get there at once, so that it is measured beside them."""

    begin: Sequence[Told] = ()
    fill: Callable[[Sequence[str]], Sequence[Told]]
    add: Callable[[str], Sequence[Command]]
    remove: Callable[[str], Sequence[Command]]
    most: int = 10_000  # where filling takes too long, or more don't fit
    environment: Mapping[str, str] = {}

    def run(self, command: Command, text: str = "") -> None:
        """Raises CalledProcessError."""
        subprocess.run(
            command,
            input=text,
            text=True,
            check=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", **self.environment},
        )

    def take(self, commands: Sequence[Command]) -> float:
        """Runs them; ms."""
        began = time.perf_counter()
        for command in commands:
            self.run(command)
        return (time.perf_counter() - began) * 1_000


def nft() -> OneFork:
    """An element of a set."""
    chain = "chain {0} {{ type filter hook {0} priority -10; ip saddr @hosts drop; }}\n"
    chains = "".join(chain.format(hook.lower()) for hook in HOOKS)
    table = f"table inet stock {{ set hosts {{ type ipv4_addr; flags timeout; }}\n{chains} }}\n"
    element = ("element", "inet", "stock", "hosts")
    return OneFork(
        begin=[(("nft", "-f", "-"), table)],
        fill=lambda some: [(("nft", "-f", "-"), f"add {' '.join(element)} {{ {', '.join(some)} }}\n")],
        add=lambda each: [("nft", "add", *element, f"{{ {each} timeout 600s }}")],
        remove=lambda each: [("nft", "delete", *element, f"{{ {each} }}")],
    )


def ipset(programs: Path) -> OneFork:
    """An entry of a set that one rule drops."""
    rules = "".join(f"-A {hook} -m set --match-set stock src -j DROP\n" for hook in HOOKS)
    return OneFork(
        begin=[
            (("ipset", "create", "stock", "hash:ip", "timeout", "0"), ""),
            ((str(programs / "iptables-restore"), "--noflush"), f"*filter\n{rules}COMMIT\n"),
        ],
        fill=lambda some: [(("ipset", "restore"), "".join(f"add stock {each}\n" for each in some))],
        add=lambda each: [("ipset", "add", "stock", each, "timeout", "600")],
        remove=lambda each: [("ipset", "del", "stock", each)],
    )


def iptables(programs: Path) -> OneFork:
    """A rule at the head of INPUT and one of FORWARD: it forks twice."""
    program = str(programs / "iptables")

    def filled(some: Sequence[str]) -> str:
        return "".join(f"-I {hook} -s {each} -j DROP\n" for each in some for hook in HOOKS)

    return OneFork(
        fill=lambda some: [((f"{program}-restore", "--noflush"), f"*filter\n{filled(some)}COMMIT\n")],
        add=lambda each: [(program, "-w", "-I", hook, "-s", each, "-j", "DROP") for hook in HOOKS],
        remove=lambda each: [(program, "-w", "-D", hook, "-s", each, "-j", "DROP") for hook in HOOKS],
    )


def route() -> OneFork:
    """A blackhole in the table of routes."""
    return OneFork(
        fill=lambda some: [(("ip", "-batch", "-"), "".join(f"route add blackhole {each}\n" for each in some))],
        add=lambda each: [("ip", "route", "add", "blackhole", each)],
        remove=lambda each: [("ip", "route", "del", "blackhole", each)],
    )


def firewall_cmd(bus: str) -> OneFork:
    """A rich rule, each of which takes longer than the one before it, so that there can't be many."""

    def command(verb: str, each: str) -> Command:
        return ("firewall-cmd", f"--{verb}-rich-rule=rule family=ipv4 source address={each} drop")

    return OneFork(
        fill=lambda some: [(command("add", each), "") for each in some],
        add=lambda each: [command("add", each)],
        remove=lambda each: [command("remove", each)],
        most=10,
        environment={"DBUS_SYSTEM_BUS_ADDRESS": bus},
    )


def hosts_deny(file: Path) -> OneFork:
    """A line at the end of the file, by a shell; when one goes, all others are copied."""
    return OneFork(
        fill=lambda some: [(("tee", "-a", str(file)), "".join(f"ALL: {each}\n" for each in some))],
        add=lambda each: [("sh", "-c", f"echo 'ALL: {each}' >> {file}")],
        remove=lambda each: [("sh", "-c", f"grep -vxF 'ALL: {each}' {file} > {file}.new; cat {file}.new > {file}")],
    )
