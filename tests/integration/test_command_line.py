"""`thwart` as people and scripts use it: what it says, what it prints as JSON, and with which code it ends."""

import asyncio
import json
import subprocess
import sys

import pytest

from tests.integration.a_manager_daemon import ATTACKER, LISTED, Hands, RunningManager, known, state_of

pytestmark = pytest.mark.broker


async def test_a_block_says_what_it_does_and_waits_for_the_answer(manager, web1):
    """`thwart block` says where and for how long, shows each agent's answer and ends with 0."""
    running = asyncio.create_task(
        asyncio.to_thread(manager.thwart, "block", ATTACKER, "--for", "10m", "--reason", "ticket 4711")
    )
    order = await web1.order("web1")
    assert (order.timeout, order.reason, order.location) == (600, "ticket 4711", "all")
    await web1.answer(order, "web1")
    done = await running
    assert done.returncode == 0, done.stderr
    assert f"blocking {ATTACKER} on all agents and manager hosts for 10 min" in done.stderr
    assert "no manager host is covered" in done.stderr
    assert "applied" in done.stdout


async def test_networks_are_blocked_and_lifted_like_addresses(manager, web1):
    """In their one spelling, host bits cleared; lifting one lifts no other block inside it, and what the agent says
    about it is shown."""
    network = "203.0.113.0/24"
    for address in ("203.0.113.9/24", ATTACKER):
        running = asyncio.create_task(asyncio.to_thread(manager.thwart, "block", address))
        await web1.answer(await web1.order("web1"), "web1")
        done = await running
        assert done.returncode == 0, done.stderr
    blocks = manager.thwart("blocks", "-o", "json")
    assert network in blocks.stdout
    assert ATTACKER in blocks.stdout
    running = asyncio.create_task(asyncio.to_thread(manager.thwart, "unblock", ATTACKER))
    delete = await web1.order("web1")
    assert delete.target == ATTACKER
    await web1.answer(delete, "web1", "lifted", detail=f"still covered by {network}")
    assert f"still covered by {network}" in (await running).stdout
    running = asyncio.create_task(asyncio.to_thread(manager.thwart, "unblock", network))
    delete = await web1.order("web1")
    assert (delete.target, len(delete.lifts)) == (network, 1)
    await web1.answer(delete, "web1", "lifted")
    assert (await running).returncode == 0


async def test_a_block_that_an_agent_did_not_carry_out_ends_with_1(manager, web1):
    """What an agent refuses or fails to do is shown, and scripts can tell."""
    running = asyncio.create_task(asyncio.to_thread(manager.thwart, "block", ATTACKER, "--agent", "web1", "-o", "json"))
    order = await web1.order("web1")
    await web1.answer(order, "web1", "refused", detail="protected: \x1b[31mthe gateway")
    done = await running
    assert done.returncode == 1
    (story,) = json.loads(done.stdout)["orders"]
    assert story["view"]["agents"][0]["state"] == "refused"
    shown = manager.thwart("orders", "show", order.id[:10])
    assert "the gateway" in shown.stdout
    assert "\x1b" not in shown.stdout, "what an agent says can't steer the terminal"


async def test_lists_are_tables_for_people_and_arrays_for_programs(manager, broker):
    """Orders, blocks and agents come out both ways, and a lift ends the block."""
    async with Hands(broker, "web1") as hands:
        await hands.beat("web1", actions={"firewall-drop": "nftables"})
        await known(manager, "web1")
        manager.thwart("block", ATTACKER, "--for", "forever", "--no-wait")
        order = await hands.order("web1")
        await hands.answer(order, "web1")
        await state_of(manager, order, {"web1": "applied"})
        for command in (("orders", "list"), ("blocks",), ("agents",)):
            (one,) = json.loads(manager.thwart(*command, "-o", "json").stdout)
            table = manager.thwart(*command).stdout
            assert one.get("target", one.get("hostname")) in table
        story = json.loads(manager.thwart("orders", "show", order.id, "-o", "json").stdout)
        assert story["history"][0]["word"] == "applied"
        running = asyncio.create_task(asyncio.to_thread(manager.thwart, "unblock", ATTACKER))
        lift = await hands.order("web1")
        await hands.answer(lift, "web1", "lifted")
        await hands.end(order, "web1", cause="lifted")
        assert (await running).returncode == 0
        await state_of(manager, order, {"web1": "ended"})
    assert json.loads(manager.thwart("blocks", "-o", "json").stdout) == []
    assert "nothing is blocked" in manager.thwart("blocks").stderr


def test_what_can_not_be_done_ends_with_1(manager):
    """The manager's no is a sentence on standard error; nothing is on standard output."""
    for arguments, words in (
        (("block", LISTED), "white_list"),
        (("block", ATTACKER, "--agent", "nobody"), "nobody"),
        (("orders", "show", "0000"), "no order"),
        (("agents", "--api", f"{manager.url}/x"), "nothing at /x/v1/agents"),
    ):
        done = manager.thwart(*arguments, "-o", "json")
        assert (done.returncode, done.stdout) == (1, ""), arguments
        assert words in done.stderr
    wrong_token = manager.folder / "wrong"
    wrong_token.write_text("0123456789abcdef\n")
    done = manager.thwart("agents", THWART_API_TOKEN_FILE=str(wrong_token))
    assert done.returncode == 1
    assert str(wrong_token) in done.stderr


def test_wrong_usage_ends_with_2(manager):
    """What is wrong before anything is asked of the manager."""
    for arguments, words in (
        (("block", "localhost"), "not an IP address"),
        (("block", "127.0.0.1"), "loopback"),
        (("block", ATTACKER, "--server", "--all"), "one place"),
        (("block", ATTACKER, "--for", "ten"), "duration"),
        (("block", ATTACKER, "--agent", ""), "`thwart agents` lists them"),
        (("block", ATTACKER, "--for", "0"), "forever"),
        (("orders", "list", "--state", "lost"), "lost"),
        (("agents", "--token-file", "/nowhere/token"), "/nowhere/token"),
        (("agents", "--api", "ftp://127.0.0.1"), "no address of an API"),
        (("agents", "--api", "127.0.0.1:9460"), "no address of an API"),
        (("block", ATTACKER, "--reason", "caf\udce9"), "isn't UTF-8"),
        (("orders", "show", "\udce9"), "isn't UTF-8"),
        (("nonsense",), "nonsense"),
    ):
        done = manager.thwart(*arguments)
        assert (done.returncode, done.stdout) == (2, ""), arguments
        assert words in done.stderr, arguments
    assert manager.rows("SELECT count(*) FROM orders") == [(0,)]


def test_a_manager_that_is_away_ends_with_3(manager):
    """Scripts can tell an unreachable manager from one that says no."""
    manager.stop()
    for arguments in (("agents",), ("block", ATTACKER), ("orders", "list", "-o", "json")):
        done = manager.thwart(*arguments)
        assert (done.returncode, done.stdout) == (3, ""), arguments
        assert manager.url in done.stderr


def test_a_dry_run_is_an_order_that_says_so(manager):
    """`--dry-run` goes all the way as an order that changes nothing."""
    done = manager.thwart("block", ATTACKER, "--dry-run", "--no-wait", "-o", "json")
    assert "only trying" in done.stderr
    assert json.loads(done.stdout)["orders"][0]["view"]["order"]["dry_run"] is True


HEAVY = {"httpx", "lxml", "msgspec", "pika", "rich", "sqlite3", "starlette", "structlog", "uvicorn"}
ASK_FOR_HELP = """
import sys
from {side}.cli import main
try:
    main({arguments})
finally:
    print(*sys.modules, file=sys.stderr)
"""


@pytest.mark.parametrize(
    ("side", "arguments"),
    [
        ("manager", ["--help"]),
        ("manager", ["block", "--help"]),
        ("manager", ["orders", "list", "--help"]),
        ("manager", ["manager", "--help"]),
        ("agent", ["--help"]),
        ("agent", ["run", "--help"]),
    ],
)
def test_help_imports_nothing_heavy(side, arguments):
    """--help answers at once, because what a command needs is imported when it runs."""
    program = ASK_FOR_HELP.format(side=side, arguments=arguments)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "Usage: " in done.stdout
    assert HEAVY.isdisjoint(done.stderr.split())


def test_a_file_that_was_named_has_to_be_right(guard, broker, tmp_path):
    """A missing or wrong ossec.conf, rule file or setting ends the start with 2 and names the place."""
    manager = RunningManager(guard, broker, tmp_path)
    conf = tmp_path / "ossec.conf"
    for change, words in (
        ({"THWART_MANAGER_OSSEC_CONF": "/nowhere/ossec.conf"}, "/nowhere/ossec.conf"),
        ({"THWART_MANAGER_RULES": "/nowhere/rules.xml"}, "/nowhere/rules.xml"),
        ({"THWART_API_LISTEN": "nowhere"}, "api.listen"),
        ({"THWART_API_LISTEN": "203.0.113.1:80"}, "can't listen"),
        ({"THWART_API_TOKEN_FILE": "/nowhere/token"}, "/nowhere/token"),
        ({"THWART_MANAGER_STATE_DIR": "/dev/null/state"}, "state_dir"),
        ({"THWART_BROKER_URLS": "http://x/"}, "AMQP"),
        ({"THWART_MANAGER_ANSWER_WITHIN": "-1"}, "ANSWER_WITHIN"),
    ):
        failed = manager.fails(**change)
        assert failed.returncode == 2, (change, failed.stderr)
        assert words in failed.stderr, change
        assert "Traceback" not in failed.stderr
    conf.write_text("<ossec_config>\n<active-response>\n<command>nonsense</command>\n</active-response></ossec_config>")
    failed = manager.fails()
    assert failed.returncode == 2
    assert f"{conf}:2" in failed.stderr
