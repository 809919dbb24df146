"""`thwart order` and what ends it, on a manager that runs, with hands that play an agent."""

import asyncio
import json
from pathlib import Path

import pytest

from tests.integration.a_manager_daemon import ATTACKER, LISTED, Hands, RunningManager, known, state_of
from tests.integration.an_agent import AnAgent
from tests.integration.test_completion import completed

pytestmark = pytest.mark.broker


async def test_an_account_is_locked_by_hand_and_let_in_again_by_name(manager, web1):
    """Where and for how long is said, each agent's answer is waited for, and every view knows the name."""
    words = ("order", "disable-account", "alice", "--agent", "web1", "--for", "2h", "--reason", "ticket 4711")
    running = asyncio.create_task(asyncio.to_thread(manager.thwart, *words))
    order = await web1.order("web1")
    assert (order.action, order.target, order.timeout, order.reason) == (
        "disable-account",
        "alice",
        7_200,
        "ticket 4711",
    )
    await web1.answer(order, "web1", expires_at=order.expires_at)
    done = await running
    assert done.returncode == 0, done.stderr
    assert "ordering disable-account alice on web1 for 2 h" in done.stderr
    assert "applied" in done.stdout
    assert "disable-account" in manager.thwart("blocks", "show", "alice").stdout
    (block,) = json.loads(manager.thwart("blocks", "--target", "alice", "-o", "json").stdout)
    assert block["holders"][0]["order_id"] == order.id
    assert completed(manager, "unblock", "al") == {"alice"}
    running = asyncio.create_task(asyncio.to_thread(manager.thwart, "unblock", "alice"))
    delete = await web1.order("web1")
    assert (delete.action, delete.target, delete.lifts) == ("disable-account", "alice", (order.id,))
    await web1.answer(delete, "web1", "lifted")
    done = await running
    assert (done.returncode, "lifting what is in force on alice" in done.stderr) == (0, True)
    nothing = manager.thwart("unblock", "web1.example.com")
    assert (nothing.returncode, "`getent ahosts web1.example.com`" in nothing.stderr) == (0, True)


async def test_a_script_is_told_once_with_its_arguments(manager, broker):
    """What no agent has by that name is said before it answers, and its refusal ends with 1."""
    async with Hands(broker, "web1") as web1:
        await web1.beat("web1", actions={"deny.sh": "script"})
        await known(manager, "web1")
        assert completed(manager, "order", "de") == {"deny.sh"}
        words = ("order", "deny.sh", "--all", "--argument", "/a b", "--argument", "c", "-o", "json")
        running = asyncio.create_task(asyncio.to_thread(manager.thwart, *words))
        order = await web1.order("web1")
        assert (order.arguments, order.target, order.lasting, order.location) == (("/a b", "c"), "", False, "all")
        await web1.answer(order, "web1")
        done = await running
        assert (done.returncode, json.loads(done.stdout)["orders"][0]["view"]["id"]) == (0, order.id), done.stderr
        await state_of(manager, order, {"web1": "applied"})
        running = asyncio.create_task(asyncio.to_thread(manager.thwart, "order", "dney.sh", "--all"))
        await web1.answer(await web1.order("web1"), "web1", "refused", detail="unknown-action: dney.sh")
        done = await running
        assert (done.returncode, "is deny.sh meant?" in done.stderr) == (1, True)


async def test_no_word_of_an_agent_steers_a_terminal(manager, broker):
    """What it says of itself is shown in short and without control characters, and is never typed for a person."""
    async with Hands(broker, "web1") as web1:
        hostile = {"deny.sh": "script\nplain\ndeny-all", "deny;reboot": "script", "deny$(reboot)": "script"}
        await web1.beat("web1", actions=hostile, unsupported={"host-deny": "\x1b]2;me\x07\x9b31m" + "no" * 5_000})
        await known(manager, "web1")
        assert completed(manager, "order", "de") == {"deny.sh"}
        done = manager.thwart("order", "host-deny", ATTACKER, "--all", "--no-wait")
        assert (done.returncode, "by their own word: web1 (" in done.stderr, len(done.stderr) < 600) == (0, True, True)
        shown = manager.thwart("agents", "show", "web1").stdout
        assert all(each.isprintable() for each in (done.stderr + shown).replace("\n", ""))


def test_what_can_not_be_ordered_is_said_in_a_sentence(manager):
    """A wrong wish is refused with what is wrong, a protected address with who protects it, and nothing is ordered."""
    wish = {"request_id": "request-1", "action": "host-deny", "target": ATTACKER, "location": "all"}
    for change, status, words in (
        ({"target": LISTED}, 409, "white_list"),
        ({"action": "deny.sh", "target": LISTED}, 409, "white_list"),
        ({"target": "alice"}, 422, "not an IP address"),
        ({"target": ""}, 422, "name one"),
        ({"target": "x" * 256}, 400, "target"),
        ({"action": ""}, 400, "action"),
        ({"action": "../x"}, 422, "no action"),
        ({"action": "restart-wazuh"}, 422, "acts on nothing"),
        ({"action": "restart-wazuh", "target": "", "timeout": 60}, 422, "no end"),
        ({"action": "disable-account", "target": "a;b"}, 422, "not an account's name"),
        ({"arguments": ["two\nlines"]}, 400, "arguments"),
        ({"location": "agent"}, 422, "agents"),
        ({"targt": "x"}, 400, "targt"),
    ):
        answer = manager.call("POST", "/v1/orders", json={**wish, **change})
        assert answer.status_code == status, change
        assert words in answer.json()["error"], change
    lift = {"request_id": "request-2", "address": "alice", "keep": 60}
    assert manager.call("POST", "/v1/unblocks", json=lift).status_code == 422, "the allowlist has no names"
    assert manager.call("GET", "/v1/blocks/203.0.113.999").status_code == 422
    assert manager.rows("SELECT count(*) FROM orders") == [(0,)]


@pytest.mark.root
async def test_a_real_agent_carries_out_what_is_ordered(manager, broker, guard, network, tmp_path):
    """A block of a network and a script by hand, each seen on the host, answered, and lifted by its target."""
    (tmp_path / "web").mkdir()
    scripts = tmp_path / "web" / "scripts"
    scripts.mkdir()
    (scripts / "note.sh").write_text(f'#!/bin/sh\nread -r line\necho "$line" >>{tmp_path}/said\n')
    (scripts / "note.sh").chmod(0o755)
    agent = AnAgent(guard, broker, network.host("web1", 11), tmp_path / "web", scripts=str(scripts))
    await agent.started()
    await known(manager, "web1")
    try:
        await asyncio.to_thread(_order_and_lift, manager, agent, tmp_path / "said")
        done = manager.thwart("order", "netsh.exe", ATTACKER, "--agent", "web1", "--for", "1h")
        assert (done.returncode, "can't carry netsh.exe out" in done.stderr, "refused" in done.stdout) == (
            1,
            True,
            True,
        )
    finally:
        await agent.close()


def _order_and_lift(manager: RunningManager, agent: AnAgent, said: Path) -> None:
    for words, seen in (
        (("firewall-drop", "203.0.113.0/24"), lambda: "203.0.113.0/24" in agent.in_force()),
        (("note.sh", "alice", "--argument", "/a b"), lambda: '"command":"add"' in said.read_text().splitlines()[-1]),
    ):
        done = manager.thwart("order", *words, "--agent", "web1", "--for", "1h", "--reason", "a trial")
        assert done.returncode == 0, done.stderr
        assert "applied" in done.stdout
        assert seen()
        done = manager.thwart("unblock", words[1])
        assert (done.returncode, "lifted" in done.stdout) == (0, True), done.stderr
        assert not seen()
    parameters = json.loads(said.read_text().splitlines()[0])["parameters"]
    assert parameters["extra_args"] == ["/a b"]
    assert parameters["alert"] == {"rule": {"description": "a trial"}, "data": {"dstuser": "alice"}}
