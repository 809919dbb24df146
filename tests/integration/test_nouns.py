"""Blocks, agents, offenders, the allowlist and files of addresses at the terminal, against a running manager."""

import asyncio
import json
import os
import shlex
import sqlite3
import subprocess
from contextlib import closing
from itertools import pairwise

import pytest

from shared import topology
from shared.broker import Publisher
from tests.integration.a_manager_daemon import ATTACKER, LISTED, THWART, Hands, attack, known, state_of
from tests.waiting import eventually

pytestmark = pytest.mark.broker
NETWORK = "203.0.113.0/24"  # ATTACKER is in it


@pytest.fixture
def say(manager):
    """`thwart …` beside the loop, with its standard input from a file."""

    async def run(*words: str, lines: str | None = None):
        if lines is not None:
            file = manager.folder / "addresses.txt"
            file.write_text(lines)
            words = (*words, "--file", str(file))
        return await asyncio.to_thread(manager.thwart, *words)

    return run


def queues(broker) -> list[str]:
    """The names of those that there are."""
    return broker.node.control("list_queues", "-q", "-p", broker.login.name, "name").split()


def on_a_terminal(words: list[str], here: dict[str, str]) -> str:
    """What a command shows there."""
    inside = ["script", "--quiet", "--return", "--command", shlex.join(words), "/dev/null"]
    environment = {**os.environ, **here, "TERM": "xterm"}
    done = subprocess.run(
        inside, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


async def _attacked(web1: Hands):
    await web1.log(attack())
    order = await web1.order("web1")
    await web1.answer(order, "web1")
    return order


async def test_blocks_are_listed_by_agent_target_and_order_and_one_is_shown_whole(manager, web1, say):
    """Who else holds it, which network covers it, since when and for how long, and what is still coming."""
    by_rule = await _attacked(web1)
    for address in (NETWORK, ATTACKER):
        await say("block", address, "--agent", "web1", "--no-wait")
        last = await web1.order("web1")
        await web1.answer(last, "web1", "unchanged")
    await state_of(manager, last, {"web1": "unchanged"})
    await say("block", ATTACKER, "--server", "--no-wait")
    for filters, count in (
        ((), 3),
        (("--agent", "web1"), 3),
        (("--target", ATTACKER), 2),
        (("--order", last.id[:9]), 1),
    ):
        blocks = json.loads((await say("blocks", *filters, "-o", "json")).stdout)
        assert sum(len(block["holders"]) for block in blocks) == count
    story = json.loads((await say("blocks", "show", ATTACKER, "-o", "json")).stdout)
    assert {each["order_id"] for each in story["blocks"][0]["holders"]} == {by_rule.id, last.id}
    assert [each["target"] for each in story["around"]] == [NETWORK]
    assert [each["state"] for each in story["orders"]] == ["unroutable", "unchanged", "applied"]
    shown = (await say("blocks", "show", ATTACKER)).stdout
    assert "networks that cover" in shown
    assert "firewall-drop-" in shown  # the response that ordered it
    assert "a person" in shown
    inside = json.loads((await say("blocks", "show", NETWORK, "-o", "json")).stdout)["inside"]
    assert [each["target"] for each in inside] == [ATTACKER]


async def test_an_offender_is_shown_with_its_history_and_forgotten(manager, web1, say):
    """At which offence it is, until when that is remembered, what was ordered; once forgotten it begins anew."""
    order = await _attacked(web1)
    (offence,) = json.loads((await say("offenders", "-o", "json")).stdout)
    assert (offence["target"], offence["offence"]) == (ATTACKER, 1)
    assert offence["forgotten_at"] == pytest.approx(offence["ends_at"] + 86_400)
    story = json.loads((await say("offenders", "show", ATTACKER, "-o", "json")).stdout)
    assert [each["id"] for each in story["orders"]] == [order.id]
    for words in (("forget", ATTACKER, "--response", ""), ("list", "--response", ""), ("list", "--target", "")):
        refused = await say("offenders", *words)  # as an unset variable gives it: nothing is meant, and not all
        assert (refused.returncode, refused.stdout, "length >= 1" in refused.stderr) == (1, "", True), words
    forgotten = await say("offenders", "forget", f"{ATTACKER}/32")
    assert f"forgot that {ATTACKER} was at offence 1" in forgotten.stdout
    again = await say("offenders", "forget", ATTACKER)
    assert (again.returncode, again.stderr) == (0, f"nothing is remembered of {ATTACKER}\n")
    assert json.loads((await say("offenders", "-o", "json")).stdout) == []


async def test_unblocked_and_kept_so_for_a_time(manager, web1, say):
    """It is on the allowlist with an end, what covered it is lifted too and that is said, and nothing blocks it."""
    await say("block", NETWORK, "--no-wait")
    covering = await web1.order("web1")
    done = await say("unblock", ATTACKER, "--keep", "1h", "--no-wait", "--reason", "theirs")
    assert done.returncode == 0
    assert f"the block of {NETWORK} is lifted as well" in done.stderr
    assert (await web1.order("web1")).lifts == (covering.id,)
    entry = json.loads((await say("allow", "-o", "json")).stdout)["entries"][-1]
    assert (entry["network"], entry["reason"]) == (ATTACKER, "theirs")
    assert entry["until"] == pytest.approx(entry["added_at"] + 3_600)
    assert "is protected by" in (await say("block", ATTACKER)).stderr


async def test_a_file_is_blocked_in_parts_and_lifted_again(manager, web1, say):
    """Thousands in one command; a run that was cut off goes on, what is protected is told with its line, and a terminal
    shows how far it has come.
    """
    addresses = [f"10.0.{number // 200}.{number % 200}" for number in range(1_200)]
    cut_off = {"request_id": "list-of-today", "addresses": addresses[:700], "location": "all"}
    assert manager.call("POST", "/v1/blocks/many", json=cut_off).json()["taken"] == 700
    lines = "# of today\n" + "\n".join([*addresses, LISTED])
    done = await say("block", "--request-id", "list-of-today", "-o", "json", lines=lines)
    summary = json.loads(done.stdout)
    assert (done.returncode, summary["orders"], summary["repeated"]) == (1, 500, 700)
    assert [(each["number"], each["text"]) for each in summary["declined"]] == [(1_202, LISTED)]
    assert len({order.id for order in await web1.orders("web1", 1_200)}) == 1_200
    words = [str(THWART), "unblock", "--file", str(manager.folder / "addresses.txt")]
    here = {"THWART_API_URL": manager.url, "THWART_API_TOKEN_FILE": str(manager.folder / "state" / "api.token")}
    shown = await asyncio.to_thread(on_a_terminal, words, here)
    assert "   0/1201" in shown and "1201/1201" in shown
    assert "1,200 lifts ordered" in shown


async def test_bad_lines_stop_a_file_before_anything_is_done(manager, web1, say):
    """They are told with their numbers; --skip-bad leaves them out."""
    lines = "203.0.113.1\nweb1.example.com\n\n203.0.113.300\n"
    done = await say("block", lines=lines)
    assert (done.returncode, done.stdout) == (2, "")
    assert "line 2: 'web1.example.com' is not an IP address or network; names aren't looked up" in done.stderr
    assert "line 4: '203.0.113.300'" in done.stderr
    assert json.loads((await say("orders", "-o", "json")).stdout) == []
    done = await say("block", "--skip-bad", lines=lines)
    assert (done.returncode, done.stdout) == (0, "1 block ordered, 2 lines left out\n")


async def test_a_run_that_ends_before_its_end_says_how_to_go_on(manager, web1, say):
    """The manager is gone in the middle: how far it came, and the same command with an id."""
    manager.stop()
    done = await say("block", lines="203.0.113.1\n")
    assert done.returncode == 3
    assert "0 of 1 were taken before this; the same command with --request-id " in done.stderr


async def test_an_agent_is_shown_with_what_it_can_do(manager, web1, say):
    """Its backends and why no better ones, what it can't carry out and why, its labels; which can be listed by."""
    await web1.beat(
        "web1",
        actions={"firewall-drop": "iptables", "route-null": "ip"},
        passed_over={"firewall-drop": "nftables: libnftables.so.1: not found; ipset: not found"},
        unsupported={"pf": "only on FreeBSD"},
        labels={"a": "b"},
    )
    await eventually(lambda: manager.get("/v1/agents/web1")["labels"] == {"a": "b"})
    shown = (await say("agents", "show", "web1")).stdout
    assert [line.split(maxsplit=2) for line in shown.splitlines()[-4:]] == [
        ["ACTION", "BY", "WHY NOT          NOT BY"],
        ["firewall-drop", "iptables", "nftables: libnftables.so.1: not found; ipset: not found"],
        ["route-null", "ip"],
        ["pf", "-", "only on FreeBSD"],
    ]
    assert "a=b" in shown
    heading, row = (await say("agents")).stdout.splitlines()
    assert row[heading.index("BLOCKS BY") :].startswith("iptables ")
    for label, found in (("a=b", ["web1"]), ("a", ["web1"]), ("a=c", [])):
        listed = json.loads((await say("agents", "--label", label, "-o", "json")).stdout)
        assert [each["id"] for each in listed] == found


async def test_who_is_gone_is_removed_with_its_queue(manager, broker, say):
    """A living one is refused, and so is one that is connected, whatever its heartbeats say."""
    queue = topology.agent_queue_name("web7")
    async with Hands(broker, "web7") as hands:
        await hands.beat("web7")
        await known(manager, "web7")
        await say("block", ATTACKER, "--no-wait")
        order = await hands.order("web7")
    assert "web7 is living; stop it first" in (await say("agents", "remove", "web7")).stderr
    manager.stop()
    with closing(sqlite3.connect(manager.folder / "state" / "ledger.db")) as ledger, ledger:
        ledger.execute("UPDATE agents SET seen_at = seen_at - 60")
    manager.start()
    agent = Publisher(broker.settings, "agent", [topology.agent_lock("web7")])
    running = asyncio.create_task(agent.run())
    await agent.connected.wait()
    refused = await say("agents", "remove", "web7")
    assert (refused.returncode, "web7 is connected to the broker" in refused.stderr) == (1, True)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert queue in queues(broker)
    removed = await say("agents", "remove", "web7")
    assert (removed.returncode, removed.stderr) == (0, "")
    assert queue not in queues(broker)
    await state_of(manager, order, {"web7": "withdrawn"})
    assert manager.get("/v1/agents")["agents"] == []


async def test_who_is_silent_for_too_long_is_gone_until_it_is_back(manager, broker, say):
    """By itself: its queue goes, its orders are withdrawn, and its next heartbeat brings it all that is in force."""
    queue = topology.agent_queue_name("web7")
    async with Hands(broker, "web7") as hands:
        await hands.beat("web7")
        await known(manager, "web7")
        await say("block", ATTACKER, "--no-wait")
        order = await hands.order("web7")
    manager.stop()
    with closing(sqlite3.connect(manager.folder / "state" / "ledger.db")) as ledger, ledger:
        ledger.execute("UPDATE agents SET seen_at = seen_at - 60")
    manager.environment["THWART_MANAGER_GONE_AFTER"] = "1"
    manager.start()
    await eventually(lambda: manager.get("/v1/agents")["agents"][0]["state"] == "gone", 30)
    assert queue not in queues(broker)
    await state_of(manager, order, {"web7": "withdrawn"})
    assert manager.metric('thwart_agents{state="gone"}') == 1
    assert (await say("agents", "--state", "gone")).stdout.splitlines()[1].split()[:2] == ["web7", "gone"]
    async with Hands(broker, "web7") as hands:
        await hands.beat("web7")
        assert (await hands.order("web7")).id == order.id
    assert manager.get("/v1/agents")["agents"][0]["state"] == "living"


WRONG = (
    (("blocks", "--agent", "wbe1"), "no agent is called wbe1; known agents: web1"),
    (("agents", "show", "wbe1"), "no agent is called wbe1; known agents: web1"),
    (("orders", "show", "zzz"), "no order has an id that begins with 'zzz'"),
    (("offenders", "show", "192.0.2.1"), "nothing is known of '192.0.2.1'"),
)


async def test_what_is_wrong_is_said_with_what_to_do(manager, web1, say):
    """What nobody goes by, and the beginning of more than one id: the sentence, and exit code 1."""
    for words, sentence in WRONG:
        done = await say(*words)
        assert (done.returncode, done.stdout) == (1, ""), words
        assert sentence in done.stderr
    lines = "".join(f"203.0.113.{number}\n" for number in range(17))  # more than an id has first digits
    await say("block", lines=lines)
    ids = sorted(each["id"] for each in json.loads((await say("orders", "-o", "json")).stdout))
    digit = next(one[0] for one, other in pairwise(ids) if one[0] == other[0])
    done = await say("orders", "show", digit)
    assert done.returncode == 1
    assert all(each in done.stderr for each in ids if each[0] == digit)
