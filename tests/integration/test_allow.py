"""`thwart allow` on a running manager: what it says, what agents are sent, and what a reload makes of the file."""

import asyncio
import json
import signal

import pytest

from shared.messages import Policy
from tests.integration.a_manager_daemon import ATTACKER, LISTED, OSSEC_CONF, Hands, known, state_of
from tests.stage.judge import Judge
from tests.waiting import eventually, wait_for

pytestmark = pytest.mark.broker
OFFICE = "203.0.113.0/24"  # ATTACKER is in it

WRONG = (
    ("POST", "/v1/allow", {"request_id": "request-1", "network": OFFICE, "colour": "red"}, 400),
    ("POST", "/v1/allow", {"request_id": "request-1"}, 400),
    ("POST", "/v1/allow", {"request_id": "request-1", "network": "a" * 81}, 400),
    ("POST", "/v1/allow", {"request_id": "request-1", "network": OFFICE, "reason": "x" * 501}, 400),
    ("POST", "/v1/allow", {"request_id": "request-1", "network": "nowhere"}, 422),
    ("DELETE", "/v1/allow", None, 400),
    ("DELETE", f"/v1/allow?network={OFFICE}", None, 422),
    ("GET", "/v1/allow/check", None, 400),
    ("GET", "/v1/allow/check?address=nowhere", None, 422),
)


@pytest.fixture
def judge(broker):
    judge = Judge(broker.url)
    yield judge
    judge.close()


async def test_adding_lifts_and_says_so(manager, web1, judge):
    """What was lifted is printed, the agent is sent the lift and then the list, and a block is refused from then on."""
    manager.thwart("block", ATTACKER, "--no-wait")
    order = await web1.order("web1")
    await web1.answer(order, "web1")
    await state_of(manager, order, {"web1": "applied"})
    done = await asyncio.to_thread(manager.thwart, "allow", "add", "203.0.113.77/24", "--reason", "the office")
    assert (done.returncode, done.stderr) == (0, "")
    opening, lifting = done.stdout.splitlines()
    lift = await web1.order("web1")
    assert opening == f"{OFFICE} is on the allowlist"
    assert lifting == (f"lifting firewall-drop {ATTACKER} on all agents and manager hosts (order {lift.id[:12]})")
    assert (lift.operation, lift.lifts, lift.reason) == ("delete", (order.id,), "on the allowlist: the office")
    policies = await eventually(lambda: [each for each in judge.heard(Policy) if len(each.entries) == 2])
    assert [(each.network, each.reason) for each in policies[-1].entries] == [
        (LISTED, "white_list"),
        (OFFICE, "the office"),
    ]
    refused = manager.thwart("block", ATTACKER)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert f"{ATTACKER} is protected by {OFFICE} (the office)" in refused.stderr


def test_the_list_as_people_and_programs_see_it(manager):
    """Where each entry comes from and why, as a table and as one document; what is removed is gone from both."""
    manager.thwart("allow", "add", OFFICE, "--reason", "the office")
    listing = json.loads(manager.thwart("allow", "list", "-o", "json").stdout)
    assert [(each["network"], each["source"]) for each in listing["entries"]] == [
        (LISTED, str(manager.folder / "ossec.conf")),
        (OFFICE, ""),
    ]
    table = manager.thwart("allow", "list").stdout
    assert "the office" in table
    assert "white_list" in table
    done = manager.thwart("allow", "remove", OFFICE, "-o", "json")
    assert json.loads(done.stdout)["network"] == OFFICE
    assert OFFICE not in manager.thwart("allow", "list").stdout


def test_check_says_which_entry_protects_and_why(manager):
    """By the file, by hand, in either direction, because nothing of the kind is ever blocked, or not at all."""
    manager.thwart("allow", "add", "203.0.113.7", "--reason", "the office")
    file = manager.folder / "ossec.conf"
    for address, words in (
        (LISTED, f"{LISTED} is protected by {LISTED} (white_list), from {file}"),
        ("203.0.113.7", "203.0.113.7 is protected by 203.0.113.7 (the office), added by "),
        (OFFICE, f"{OFFICE} is protected by 203.0.113.7 (the office), added by "),
        ("127.0.0.1", "127.0.0.1 is protected anyway: 127.0.0.1 is loopback"),
        (ATTACKER, f"{ATTACKER} is not protected"),
    ):
        done = manager.thwart("allow", "check", address)
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.startswith(words), done.stdout
    found = json.loads(manager.thwart("allow", "check", OFFICE, "-o", "json").stdout)
    assert (found["protected"], [each["network"] for each in found["entries"]]) == (True, ["203.0.113.7"])


async def test_check_says_what_is_known_of_an_agent(manager, broker):
    """Its own addresses, and whether it has the list; the rest it knows alone, and that is said."""
    async with Hands(broker, "web1") as hands:
        await hands.beat("web1", addresses=(ATTACKER,))
        await known(manager, "web1")
        done = await asyncio.to_thread(manager.thwart, "allow", "check", ATTACKER, "--agent", "web1")
        assert done.stdout == f"{ATTACKER} is protected on web1 by {ATTACKER}, its own address\n"
        assert "another version of this list" in done.stderr
        assert "not heard to have this list yet: web1" in manager.thwart("allow", "list").stderr
        await hands.beat("web1", policy=manager.get("/v1/allow")["version"])
        await eventually(lambda: manager.get(f"/v1/allow/check?address={ATTACKER}&agent=web1")["agent"]["current"], 5)
    assert manager.thwart("allow", "list").stderr == ""
    done = manager.thwart("allow", "check", ATTACKER, "--agent", "web9")
    assert (done.returncode, "known agents: web1" in done.stderr) == (1, True)


def test_what_can_not_be_done_is_said_with_what_to_do(manager):
    """An entry of the file, one that isn't there, everything: they end with 1. What is no network: with 2."""
    file = manager.folder / "ossec.conf"
    for arguments, code, words in (
        (("remove", LISTED), 1, f"is a <white_list> of {file}: take it out there, and have the file read anew"),
        (("remove", OFFICE), 1, "thwart allow list"),
        (("add", "0.0.0.0/0"), 1, "unblock --everything"),
        (("add", "www.example.org"), 2, "not an IP address"),
        (("check", "www.example.org"), 2, "not an IP address"),
    ):
        done = manager.thwart("allow", *arguments)
        assert (done.returncode, done.stdout) == (code, ""), arguments
        assert words in done.stderr, done.stderr


async def test_a_reload_lifts_what_the_file_lists_anew(manager, web1):
    """As adding does; and what it no longer lists may be blocked."""
    manager.thwart("block", ATTACKER, "--no-wait")
    order = await web1.order("web1")
    (manager.folder / "ossec.conf").write_text(OSSEC_CONF.replace(LISTED, OFFICE))
    manager.process.signal(signal.SIGHUP)
    lift = await web1.order("web1")
    assert lift.lifts == (order.id,)
    assert manager.thwart("block", LISTED, "--no-wait").returncode == 0
    assert manager.thwart("block", ATTACKER, "--no-wait").returncode == 1


def test_a_file_that_lists_too_much_is_refused_whole(manager):
    """By a reload, which leaves what is in force, and by a start, which ends with 2; both name the file."""
    networks = [f"2001:db8:1111:2222:3333:4444:5555:{number:x}" for number in range(0x1000, 0x1000 + 22_000)]
    listed = "".join(f"<white_list>{each}</white_list>" for each in networks)
    file = manager.folder / "ossec.conf"
    file.write_text(OSSEC_CONF.replace(f"<white_list>{LISTED}</white_list>", listed))
    manager.process.signal(signal.SIGHUP)
    wait_for(lambda: manager.said("configuration_refused"), 30)
    assert "22000 networks" in manager.said("configuration_refused")[-1]["error"]
    assert manager.thwart("block", LISTED).returncode == 1
    manager.stop()
    done = manager.fails()
    assert done.returncode == 2
    assert f"{file}: 22000 networks" in done.stderr


def test_the_list_survives_a_restart(manager, judge):
    """What was added is there, and agents that have it are told nothing."""
    manager.thwart("allow", "add", OFFICE)
    version = manager.get("/v1/allow")["version"]
    before = len(judge.heard(Policy))
    manager.kill()
    manager.start()
    listing = manager.get("/v1/allow")
    assert (listing["version"], [each["network"] for each in listing["entries"]]) == (version, [LISTED, OFFICE])
    assert manager.thwart("block", ATTACKER).returncode == 1
    assert {each.version for each in judge.heard(Policy)[before:]} <= {version}


def test_what_is_wrong_is_said_and_changes_nothing(manager):
    """A sentence and a status for each; the list stays what it was."""
    for method, path, body, status in WRONG:
        answer = manager.call(method, path, **({"json": body} if body else {}))
        assert (answer.status_code, bool(answer.json()["error"])) == (status, True), (method, path, body)
    assert len(manager.get("/v1/allow")["entries"]) == 1
