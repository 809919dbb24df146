"""`thwart-agent action` on a host with a real kernel, with and without the daemon."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from shared.errors import ThwartError
from tests.integration.an_agent import COMMAND, AnAgent, an_order
from tests.stage.network import Host

pytestmark = pytest.mark.root
ATTACKER, NOBODY = "203.0.113.9", ("192.0.2.200", "2001:db8::/64")


def run(host: Host, folder: Path, *words: str, path: str = "") -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "THWART_AGENT_STATE_DIR": str(folder / "state"), "PATH": path or os.environ["PATH"]}
    command = [*host.inside, str(COMMAND), "action", *words]
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=30, check=False)


def told(done: subprocess.CompletedProcess[str]) -> list[tuple[Any, ...]]:
    return [(each["did"], each["in_force"], each["problem"]) for each in json.loads(done.stdout)["steps"]]


@pytest.mark.parametrize("target", NOBODY)
def test_without_a_daemon_the_kernel_is_asked(host: Host, tmp_path: Path, target: str) -> None:
    """Applied, seen, reverted, seen; nothing is left."""
    done = run(host, tmp_path, "test", "firewall-drop", target, "-o", "json")
    assert (done.returncode, told(done)) == (0, [("applied", True, ""), ("reverted", False, "")]), done.stderr
    assert target not in host.run("nft", "list", "ruleset")


def test_a_person_sees_what_was_seen(host: Host, tmp_path: Path) -> None:
    """And an own address is refused, with exit code 1 and nothing on standard output."""
    done = run(host, tmp_path, "test", "firewall-drop", NOBODY[0])
    words = [line.split() for line in done.stdout.splitlines()]
    assert words[0] == ["firewall-drop", "on", NOBODY[0] + ",", "by", "nftables"]
    seen = {line[0]: line[3:] for line in words[2:4]}  # after the milliseconds
    assert seen == {"applied": ["in", "force"], "reverted": ["not", "in", "force"]}
    assert words[-1] == ["it", "works", "here"]
    own = run(host, tmp_path, "test", "firewall-drop", host.address)
    assert (own.returncode, own.stdout) == (1, "")
    assert "is protected by 192.0.2.11 (this host's own address)" in own.stderr


def test_what_a_host_has_is_listed(host: Host, tmp_path: Path) -> None:
    """With what carries each out."""
    found = {each["action"]: each for each in json.loads(run(host, tmp_path, "list", "-o", "json").stdout)}
    assert found["firewall-drop"]["backend"] == "nftables"
    assert found["ip-customblock"]["backend"] == "files"
    assert "ip-customblock" in run(host, tmp_path).stdout


def test_what_a_host_lacks_is_told_once(host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the list, or by the command's own words; nobody logs it as well."""
    monkeypatch.setenv("THWART_ACTIONS_FIREWALL", "pf")
    listed, tried = run(host, tmp_path, "list"), run(host, tmp_path, "test", "firewall-drop", NOBODY[0])
    assert (listed.returncode, listed.stderr) == (0, "")
    assert "the setting actions.firewall is pf" in listed.stdout
    assert tried.returncode == 1
    assert tried.stderr.startswith(
        "thwart-agent: firewall-drop can't be carried out on this host: nftables: the setting"
    )
    assert len(tried.stderr.splitlines()) == 1


@pytest.mark.broker
async def test_a_daemon_does_it_between_its_turns(agent: AnAgent) -> None:
    """What it holds stays and is refused; what was tried leaves neither a block nor a word to the managers."""
    await agent.started()
    order = an_order("o1", ATTACKER)
    await agent.send(order)
    await agent.answered(order)
    answer = agent.command("action", "test", "firewall-drop", NOBODY[0])
    assert [(each["in_force"], each["problem"]) for each in answer["steps"]] == [(True, ""), (False, "")]
    assert set(agent.in_force()) == {ATTACKER}
    with pytest.raises(ThwartError, match=r"firewall-drop is in force on .* already"):
        agent.command("action", "test", "firewall-drop", ATTACKER)
    assert set(agent.in_force()) == {ATTACKER}
    backends = {each["action"]: each["backend"] for each in agent.command("action", "list")}
    assert backends["firewall-drop"] == "nftables"
    assert len(agent.answers(order)) == 1
