"""Subjects of the contract in iptables' filter table, with the programs of one variant: iptables-nft or -legacy."""

import re
import subprocess
from pathlib import Path

import pytest

from agent.actions.action import Action
from agent.actions.firewall_drop.ipset import Ipset
from agent.actions.firewall_drop.iptables import Iptables
from agent.actions.tools.lookout import EVERY, Lookout
from agent.actions.tools.tool import Tools
from agent.contract.addresses import hosts
from agent.contract.subject import Stopwatch
from shared.errors import ThwartError
from shared.targets import parse_network, text_of
from tests.contract.subject import EXAMPLES, There
from tests.stage.network import Host
from tests.waiting import wait_for

VARIANTS = {"nft": Path("/usr/sbin/xtables-nft-multi"), "legacy": Path("/usr/sbin/xtables-legacy-multi")}
PROGRAMS = ("iptables", "iptables-restore", "ip6tables", "ip6tables-restore")
EMPTY = "*filter\n:INPUT ACCEPT\n:FORWARD ACCEPT\n:OUTPUT ACCEPT\nCOMMIT\n"
RULE = re.compile(r"-A thwart -s (\S+) -j DROP")
SET_RULE = "-A thwart-set -m set --match-set thwart{} src -j DROP"


def programs_of(variant: str, folder: Path) -> Path:
    """A folder in which `iptables` and the others are that variant's."""
    folder.mkdir(exist_ok=True)
    for each in (*PROGRAMS, "iptables-save", "ip6tables-save"):
        (folder / each).symlink_to(VARIANTS[variant])
    (folder / "ipset").symlink_to("/usr/sbin/ipset")
    return folder


def skip_without_legacy(host: Host) -> None:
    """Newer kernels are made without iptables-legacy's own tables."""
    try:
        host.run(str(VARIANTS["legacy"]), "iptables", "-S")
    except ThwartError as error:
        pytest.skip(str(error))


class InFilter:
    """The action in the kernel of a host of the stage, prepared, with nothing in force."""

    def __init__(self, host: Host, make: type[Iptables | Ipset], programs: Path, every: float = EVERY) -> None:
        """`every` so many seconds of its clock the action looks whether others have changed anything."""
        self.tools = Tools(path=str(programs))
        self.programs = PROGRAMS if make is Iptables else ("ipset", *PROGRAMS)
        self.examples, self.many = EXAMPLES, hosts(1_000)
        self._host, self._make, self._folder, self._every, self._clock = host, make, programs, every, Stopwatch()
        self._made: list[There] = []
        self.there = self.made(self.tools)
        self.action: Action = self.there
        self.action.prepare()

    def made(self, tools: Tools) -> There:
        lookout = Lookout(self._every, self._clock)
        self._made.append(There(self._host, lambda: self._make(tools=tools, lookout=lookout)))
        return self._made[-1]

    def restarted(self) -> Action:
        return self.made(self.tools)

    def later(self) -> None:
        self._clock.now += self._every

    def ends(self, key: str, left: float) -> None:
        wait_for(lambda: key not in self.seen(), within=left + 3)

    def run(self, program: str, *arguments: str, text: str = "") -> str:
        """What one of the variant's programs prints on the host."""

        def there() -> str:
            command = [str(self._folder / program), *arguments]
            return subprocess.run(command, input=text, capture_output=True, text=True, check=True).stdout

        return self.there.call(there)

    def flush(self) -> None:
        """All of iptables, and the sets with their rules."""
        for each in ("iptables-restore", "ip6tables-restore"):
            self.run(each, text=EMPTY)
        wait_for(self._without_sets)

    def seen(self) -> set[str]:
        """As iptables-save and `ipset list` tell it: what a rule drops that packets come to before any other."""
        return {text_of(parse_network(each)) for version in (4, 6) for each in self._dropped(version)}

    def rules(self, version: int) -> list[str]:
        """The filter table's, in order."""
        saved = self.run("iptables-save" if version == 4 else "ip6tables-save", "-t", "filter").splitlines()
        return [line for line in saved if line.startswith("-A ")]

    def _without_sets(self) -> bool:
        """A set is in use until the kernel has cleared its rule away, which may be a moment after the rule is gone."""
        try:
            self.run("ipset", "destroy")
        except subprocess.CalledProcessError:
            return False
        return True

    def _dropped(self, version: int) -> list[str]:
        rules = self.rules(version)
        chain = "thwart" if self._make is Iptables else "thwart-set"
        if not all(_first(hook, rules) == f"-A {hook} -j {chain}" for hook in ("INPUT", "FORWARD")):
            return []
        if self._make is Iptables:
            return [found[1] for found in map(RULE.fullmatch, rules) if found]
        return self._members(version) if SET_RULE.format(version) in rules else []

    def _members(self, version: int) -> list[str]:
        _, _, members = self.run("ipset", "list", f"thwart{version}").partition("Members:\n")
        return [line.split()[0] for line in members.splitlines()]

    def close(self) -> None:
        """Leaves the host as it was found."""
        self.flush()
        for each in self._made:
            each.close()


def _first(hook: str, rules: list[str]) -> str:
    return next((rule for rule in rules if rule.startswith(f"-A {hook} ")), "")
