"""When an agent that shares a container's network ends because that has another one now, and when it doesn't."""

import asyncio
import os
from pathlib import Path

import pytest

from agent import sidecar
from agent.sidecar import Sidecar
from agent.trouble import Trouble
from shared.errors import LeftBehind

NOBODY = "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost\nff02::1\tip6-allnodes\n"  # as Docker leaves it
UP = f"{NOBODY}172.18.0.2\tweb1\n"


class Stage:
    """What an agent sees of the container whose network it shares."""

    def __init__(self, folder: Path) -> None:
        self.hosts, self.addresses, self._instant = folder / "hosts", ["172.18.0.2"], 0
        self.write(UP)
        self.trouble = Trouble()
        self.sidecar = Sidecar(self.trouble, hosts=self.hosts, name=lambda: "web1", addresses=lambda: self.addresses)

    def write(self, text: str) -> None:
        """Each time at an instant of its own, also on a coarse clock."""
        self._instant += 1_000_000_000
        self.hosts.write_text(text)
        os.utime(self.hosts, ns=(self._instant, self._instant))

    def write_up(self) -> None:
        self.write(UP)

    def write_nobody(self) -> None:
        self.write(NOBODY)

    def look(self) -> bool:
        return self.sidecar.anew() is not None


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path)


def test_an_agent_stays_while_the_other_container_is_down_and_ends_when_it_is_up(stage: Stage) -> None:
    """Docker takes the address out of the hosts file at its stop and puts one in at its start."""
    assert not stage.look()
    stage.addresses = []
    stage.write(NOBODY)
    assert not stage.look()
    assert str(stage.trouble) == sidecar.ALONE
    stage.write(UP)
    assert stage.look()


def test_a_restart_between_two_looks_is_seen(stage: Stage) -> None:
    """The hosts file says the same as before, and yet was written."""
    assert not stage.look()
    stage.addresses = []
    stage.write(UP)
    assert stage.look()


def test_a_restart_during_a_look_is_seen(stage: Stage) -> None:
    """The address was still there, and what is written a moment later is news."""

    def addresses() -> list[str]:
        if stage.addresses:
            stage.write(UP)
        return stage.addresses

    meanwhile = Sidecar(stage.trouble, hosts=stage.hosts, name=lambda: "web1", addresses=addresses)
    assert meanwhile.anew() is None
    stage.addresses = []
    assert meanwhile.anew() is not None


def test_a_restart_before_the_first_look_is_seen(stage: Stage) -> None:
    """What was there when the agent began is what counts."""
    stage.addresses = []
    stage.write(UP)
    assert stage.look()


def test_what_is_written_while_there_is_an_address_is_no_news(stage: Stage) -> None:
    """Neither a person's edit nor the start itself ends an agent that loses its network later."""
    stage.write(f"{UP}198.51.100.1\tdb\n")
    assert not stage.look()
    stage.addresses = []
    assert not stage.look()


def test_a_host_that_has_lost_its_network_keeps_its_agent(stage: Stage) -> None:
    """Its hosts file is what it was; the agent says so, until an address is back."""
    stage.addresses = []
    assert not stage.look()
    assert not stage.look()
    assert str(stage.trouble) == sidecar.ALONE
    stage.addresses = ["192.0.2.11"]
    assert not stage.look()
    assert str(stage.trouble) == ""


@pytest.mark.parametrize(
    ("line", "ends"),
    [
        ("172.18.0.2\tweb1", True),
        ("2001:db8:1::2 web1.example.com web1", True),
        ("127.0.1.1 web1", False),
        ("::1 web1", False),
        ("172.18.0.3 web2", False),
        ("172.18.0.2 web12", False),
        ("# 172.18.0.2 web1", False),
        ("nonsense web1", False),
        ("172.18.0.2", False),
    ],
)
def test_only_an_address_for_this_hosts_name_means_that_the_other_one_is_up(
    stage: Stage, line: str, ends: bool
) -> None:
    """A name of others, a comment, loopback: nobody is up by that."""
    stage.addresses = []
    stage.write(f"{NOBODY}\n{line}\n")
    assert stage.look() is ends


def test_who_can_not_look_stays(stage: Stage) -> None:
    """A kernel that doesn't tell the addresses, and a host without a hosts file."""

    def refuse() -> list[str]:
        raise OSError("not now")

    blind = Sidecar(stage.trouble, hosts=stage.hosts, name=lambda: "web1", addresses=refuse)
    stage.write(UP)
    assert blind.anew() is None
    stage.hosts.unlink()
    stage.addresses = []
    assert not stage.look()


async def test_who_is_down_again_at_once_is_waited_for(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """A container that fails at its start ends no agent: Docker would start that one once, and in vain."""
    pauses: list[float] = []
    meanwhile = [stage.write_up, stage.write_nobody, stage.write_up, stage.write_up, lambda: None]

    async def pause(seconds: float) -> None:
        pauses.append(seconds)
        meanwhile.pop(0)()

    monkeypatch.setattr(asyncio, "sleep", pause)
    stage.addresses = []
    with pytest.raises(LeftBehind, match="was started anew"):
        await stage.sidecar.run()
    assert pauses == [sidecar.LOOK, sidecar.STEADY, sidecar.LOOK, sidecar.STEADY, sidecar.STEADY]
