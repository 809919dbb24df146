"""The contract of every action, held against `host-deny` in both of its files, as tcp_wrappers itself reads them."""

import subprocess
from ipaddress import ip_network
from pathlib import Path

import pytest

from agent.actions.action import Action
from agent.actions.host_deny.host_deny import ALLOW, DENY, HostDeny
from agent.contract.action import CulpritContract
from agent.contract.addresses import NetworkContract, hosts
from shared.targets import Network
from tests.contract.subject import EXAMPLES

TCPDMATCH = "tcpdmatch"  # of the package tcpd
_KNOWN: dict[tuple[str, str], str] = {}  # what a line in a file was seen to keep out, once


class Files:
    """A folder with both files, and what tcp_wrappers makes of each line of ours."""

    def __init__(self, folder: Path, file: str) -> None:
        self.folder, self._file = folder, file
        self.action: Action = self.restarted()
        self.examples, self.many = EXAMPLES, hosts(200)
        self.action.prepare()

    def restarted(self) -> Action:
        return HostDeny(etc=self.folder, file=self._file)

    def seen(self) -> set[str]:
        """Each line by itself, since a network's also keeps out who is in it; and none that is overruled."""
        found = {
            kept_out(line, self._file, self.folder / "alone") for line in self._lines() if line.startswith("thwart ")
        }
        overruled = (self.folder / ALLOW).read_text() if self._file == DENY and (self.folder / ALLOW).exists() else ""
        return {key for key in found if not overruled or denied(self.folder, _first(key))}

    def flush(self) -> None:
        (self.folder / self._file).write_text("# somebody else's\n")

    def later(self) -> None:
        """The files tell."""

    def spoil(self, key: str) -> None:
        (self.folder / ALLOW).write_text(f"ALL: {f'[{key}]' if ':' in key else key}\n")

    def _lines(self) -> list[str]:
        path = self.folder / self._file
        return path.read_text().splitlines() if path.exists() else []


class TestHostsDeny(NetworkContract, CulpritContract):
    """As on Linux: what hosts.allow doesn't let in is looked for in hosts.deny."""

    @pytest.fixture
    def subject(self, tmp_path: Path) -> Files:
        """With nothing in force."""
        return Files(tmp_path, DENY)


class TestHostsAllow(NetworkContract):
    """As on FreeBSD: one file, whose lines say `deny`."""

    @pytest.fixture
    def subject(self, tmp_path: Path) -> Files:
        """With nothing in force."""
        return Files(tmp_path, ALLOW)


def kept_out(line: str, file: str, scratch: Path) -> str:
    """The key of what the line alone keeps out: the first and the last address, and neither of those beside them."""
    if (line, file) not in _KNOWN:
        network = ip_network(line.split(": ")[1].replace("[", "").replace("]", ""))
        first, last = int(network.network_address), int(network.broadcast_address)
        most = 2**network.max_prefixlen - 2  # 255.255.255.255 is an error to inet_addr(3)
        scratch.mkdir(exist_ok=True)
        (scratch / file).write_text(f"{line}\n")
        assert all(denied(scratch, _address(each, network)) for each in (first, min(last, most)))
        beside = [each for each in (first - 1, last + 1) if 0 < each < most]
        assert not any(denied(scratch, _address(each, network)) for each in beside)
        _KNOWN[line, file] = str(network if network.num_addresses > 1 else network.network_address)
    return _KNOWN[line, file]


def denied(folder: Path, address: str) -> bool:
    """What tcp_wrappers' own tool says of a client of sshd, by the two files in that folder."""
    inetd = folder / "inetd.conf"
    inetd.touch()
    command = [TCPDMATCH, "-d", "-i", str(inetd), "sshd", address]
    said = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True, timeout=30)
    verdict = [line.split()[1] for line in said.stdout.splitlines() if line.startswith("access:")]
    assert verdict in (["denied"], ["granted"]), said
    return verdict == ["denied"]


def _first(key: str) -> str:
    return str(ip_network(key).network_address)


def _address(number: int, like: Network) -> str:
    return str(type(like.network_address)(number))
