"""What people order by hand: any action, on what it can act on, for as long as it makes sense."""

import pytest
from msgspec.structs import replace

from manager.actions import Term, target_of, term
from manager.api.bodies.blocks import Terms
from manager.api.giving import Giving
from manager.broadcast import Broadcast
from manager.chronicle import Chronicle
from manager.cli.shows.story import Related, timed
from manager.cli.shows.words import in_words
from manager.metrics import Metrics
from manager.responses.configuration import load
from manager.responses.responses import Responses
from manager.responses.verdict import Sighting
from shared.actions import KINDS
from shared.errors import InvalidTarget, JustHappens, ProtectedTarget, UnknownAction
from tests.unit.a_conf import block
from tests.unit.a_manager import ATTACKER, MINE, START, a_manager
from tests.unit.a_verdict import alert

HOURS = 4 * 3_600.0
HOSTILE = (
    "; rm -rf /",
    "-j ACCEPT",
    "../x",
    "x" * 300,
    "a\0b",
    "a\nb",
    "２０３.0.113.9",
    "pаypal",
    "$(reboot)",
    "`id`",
)
ADDRESSES = [name for name, kind in KINDS.items() if kind == "address"]
ONE_SHOTS = [name for name, kind in KINDS.items() if kind == "nothing"]


@pytest.fixture
def manager(tmp_path):
    with a_manager(tmp_path / "ledger.db") as parts:
        yield parts


@pytest.fixture
def giving(manager):
    chronicle = Chronicle(Metrics(5.0), manager.clock, Broadcast(manager.clock))
    return Giving(manager.dispatch, manager.roster, chronicle, manual_timeout=HOURS)


def everywhere(request_id="request-1", **said):
    return Terms(request_id=request_id, location="all", **said)


@pytest.mark.parametrize(
    "action, text, spelt",
    [
        ("route-null", " 203.0.113.9/24 ", "203.0.113.0/24"),
        ("netsh", "2001:DB8::9", "2001:db8::9"),
        ("disable-account", " alice ", "alice"),
        ("restart-wazuh", " ", ""),
        ("deny.sh", "", ""),
        ("deny.sh", "::ffff:203.0.113.9", ATTACKER),
        ("deny.sh", "/var/www/it's here", "/var/www/it's here"),
        ("deny.sh", "52:54:00:ab:CD:ef", "52:54:00:ab:CD:ef"),
    ],
)
def test_a_target_is_in_the_one_spelling(action, text, spelt):
    """An address, an account, nothing, or a script's own word, as the action's kind has it."""
    assert target_of(action, text) == spelt


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("action", [*ADDRESSES, "disable-account", *ONE_SHOTS])
def test_what_an_action_can_not_act_on_is_refused(action, text):
    """Whatever somebody types or a program hands on: a built-in action gets an address, an account, or nothing."""
    with pytest.raises(InvalidTarget):
        target_of(action, text)


@pytest.mark.parametrize("text", ["203.0.113.999", "203.0.113", "203.0.113.9/33", "1::2::3", "127.0.0.1", "a\nb"])
def test_a_script_gets_no_address_with_a_mistake_in_it(text):
    """Nor one that no block can mean, nor more than a line."""
    with pytest.raises(InvalidTarget):
        target_of("deny.sh", text)


@pytest.mark.parametrize("name", ["", "../x", "a/b", "a\\b", ".", ".hidden", "two\nlines", "x" * 256])
def test_what_no_script_can_be_called_is_no_action(name):
    """A path leads out of the script folder."""
    with pytest.raises(UnknownAction, match="name a built-in one"):
        target_of(name, ATTACKER)


@pytest.mark.parametrize(
    "action, said, wanted",
    [
        ("host-deny", None, Term(timeout=HOURS)),
        ("host-deny", "forever", Term()),
        ("disable-account", 60.0, Term(timeout=60.0)),
        ("disable-account", None, Term(timeout=HOURS)),
        ("deny.sh", None, Term(one_shot=True)),
        ("deny.sh", 60.0, Term(timeout=60.0)),
        ("deny.sh", "forever", Term()),
        *((name, None, Term(one_shot=True)) for name in ONE_SHOTS),
    ],
)
def test_how_long_it_is_without_a_word_goes_by_the_action(action, said, wanted):
    """What can end does so after the usual time, a script is told once, a restart just happens."""
    assert term(action, said, HOURS) == wanted


@pytest.mark.parametrize("action", ONE_SHOTS)
@pytest.mark.parametrize("said", [60.0, "forever"])
def test_what_just_happens_takes_no_time(action, said):
    """Nobody is to believe that a restart ends."""
    with pytest.raises(JustHappens, match="leave the time out"):
        term(action, said, HOURS)


async def test_a_one_shot_has_a_minute_to_start_and_no_end(manager):
    """It is sent to whom it names, and is not a thing that could be lifted."""
    await manager.hear("web1")
    order = await manager.order(
        action="restart-wazuh", location="agent", agents=("web1",), term=Term(one_shot=True), arguments=("a",)
    )
    ((key, sent),) = manager.confirm()
    assert (key, sent, order.arguments) == ("agent.web1", order, ("a",))
    assert (order.target, order.timeout, order.deadline, order.lasting) == ("", None, START + 60, False)
    assert in_words(order) == "restart-wazuh on web1"
    assert await manager.unblock(address="web1") == ()


@pytest.mark.parametrize("action", ["wazuh-slack", "deny.sh", "host-deny"])
async def test_whoever_makes_a_message_of_it_is_told_why(manager, action):
    """The reason is in the place of an alert's description; a firewall has no use for it."""
    target = ATTACKER if action == "host-deny" else ""
    order = await manager.order(action=action, target=target, term=Term(one_shot=True), reason="the exercise is over")
    assert order.alert.get("rule", {}).get("description") == (None if target else "the exercise is over")


async def test_an_account_is_locked_and_let_in_by_its_name(manager):
    """The lift names the order, whatever action it is of; the list of addresses has nothing to say about names."""
    await manager.hear("web1")
    order = await manager.order("r1", action="disable-account", target="alice", term=Term(timeout=600.0))
    other = await manager.order("r2", action="deny.sh", target="alice", term=Term())
    manager.confirm()
    lifts = await manager.unblock(address=" alice ")
    assert {(lift.action, lift.target, lift.lifts) for lift in lifts} == {
        ("disable-account", "alice", (order.id,)),
        ("deny.sh", "alice", (other.id,)),
    }
    assert await manager.unblock("u2", address="alice2") == ()


@pytest.mark.parametrize("action", [*ADDRESSES, "deny.sh"])
async def test_the_allowlist_holds_for_every_action(manager, action):
    """An address on it is protected from scripts as well."""
    with pytest.raises(ProtectedTarget, match="white_list"):
        await manager.order(action=action, target=MINE, term=Term())
    assert manager.outbox() == []


async def test_what_is_known_of_an_account_is_told_without_addresses(manager):
    """Where it is locked, and nothing around it or in it."""
    await manager.hear("web1")
    order = await manager.order(action="disable-account", target="alice", term=Term(timeout=600.0))
    await manager.answer(order, "web1", expires_at=order.expires_at)
    await manager.block("r2", address="203.0.113.0/24")
    story = await manager.ledger.block("alice")
    assert [(block.target, block.action) for block in story.blocks] == [("alice", "disable-account")]
    assert (story.around, story.inside, [each.id for each in story.orders]) == ((), (), [order.id])


async def test_what_a_response_told_a_script_is_lifted_by_the_same_word(tmp_path, conf, ruleset):
    """Also a card's address, which has colons as an IPv6 address has."""
    script = "<command><name>mine</name><executable>mine.py</executable></command>"
    response = block("<target>mac</target><timeout>600</timeout>", command="mine")
    with a_manager(tmp_path / "of_responses.db", Responses(load(conf(script + response)), ruleset).judge) as manager:
        await manager.hear("web1")
        about = Sighting(alert=alert(data={"mac": "52:54:00:ab:cd:ef"}), at=START)
        ((order,),) = [taken.orders for taken in await manager.dispatch.take([about])]
        assert [lift.lifts for lift in await manager.unblock(address=order.target)] == [(order.id,)]


async def test_who_can_not_carry_it_out_is_told_at_once(manager, giving):
    """By what agents said last: which of them, why, and what may have been meant. Who has said nothing may be able."""
    await manager.hear("old")
    await manager.hear("web1", actions={"deny.sh": "script"}, unsupported={"host-deny": "hosts.deny: nobody looks"})
    await manager.hear("web2", actions={"host-deny": "hosts.deny"})
    for action, said in (
        ("host-deny", "can't carry host-deny out, by their own word: web1 (hosts.deny: nobody looks)"),
        ("dney.sh", "can't carry dney.sh out, by their own word: web1, web2; is deny.sh meant?"),
    ):
        notes = giving.notes(giving.asked(everywhere(), "ann", action=action, target=ATTACKER))
        assert [note for note in notes if "own word" in note] == [said]
    await manager.hear("web1", "web2", actions={"host-deny": "hosts.deny"})
    assert giving.notes(giving.asked(everywhere(), "ann", action="host-deny")) == giving.notes(
        giving.asked(everywhere(), "ann", action="host-deny", target=ATTACKER)
    ), "many blocks at once have no target yet, which only a script may lack"
    notes = giving.notes(giving.asked(everywhere(), "ann", action="host-deny", target=ATTACKER))
    assert not any("own word" in note for note in notes)


async def test_who_is_left_out_for_want_of_a_role_is_said(manager, giving):
    """`all` covers managers' hosts by agents that have the role `server`."""
    request = giving.asked(everywhere(), "ann", action="host-deny", target=ATTACKER)
    await manager.hear("web1")
    assert any("no agent has the role `server` yet" in each for each in giving.notes(request))
    await manager.hear("manager1", roles=("server",))
    assert not any("role `server`" in each for each in giving.notes(request))


async def test_what_a_package_brings_ends_like_what_is_built_in(manager, giving):
    """An agent's word tells it from a script; a lasting one that nobody could lift would stay for ever."""
    await manager.hear("web1", actions={"edge-block": "edge", "deny.sh": "script"})
    spans = {action: giving.asked(everywhere(), "ann", action=action).term for action in ("edge-block", "deny.sh", "x")}
    assert spans == {"edge-block": Term(timeout=HOURS), "deny.sh": Term(one_shot=True), "x": Term(one_shot=True)}
    await manager.hear("web2", actions={"edge-block": "script"})
    elsewhere = Terms(request_id="request-2", location="agent", agents=("web2",))
    assert giving.asked(elsewhere, "ann", action="edge-block").term == Term(one_shot=True), "there it is a script"


async def test_what_comes_too_late_for_a_one_shot_is_said(manager, giving):
    """Who is silent hears of it within a minute or never, and who joins later doesn't."""
    once = giving.asked(everywhere(), "ann", action="restart-wazuh")
    assert any("carried out by nobody" in note for note in giving.notes(once))
    await manager.hear("web1")
    manager.clock.passed = 31.0
    assert "silent, will get it if they are back within 60 s: web1" in giving.notes(once)
    lasting = giving.asked(everywhere(timeout="forever"), "ann", action="deny.sh")
    assert giving.notes(lasting)[:2] == (
        "it has no end: it stays until it is lifted",
        "it has no target, so nothing but `thwart unblock --everything` lifts it",
    )
    assert "silent, will get it when they are back: web1" in giving.notes(lasting)


async def test_the_same_request_is_one_order_and_no_other_action(manager, giving):
    """A request that got no answer is sent again; one that asks for something else under its id is a conflict."""
    first = giving.asked(everywhere(), "ann", action="deny.sh", target="alice", arguments=("a",))
    assert [(await giving.give(first))[0] for _ in range(2)] == [201, 200]
    for change in ({"action": "host-deny.sh"}, {"target": "bob"}, {"arguments": ("b",)}, {"dry_run": True}):
        with pytest.raises(Exception, match="used for something else"):
            await giving.give(replace(first, **change))
    assert len(manager.outbox()) == 1


async def test_what_just_happens_extends_nothing(manager):
    """The same script with other words, or told once, doesn't hold what an earlier order holds."""
    await manager.hear("web1")
    first = await manager.order("r1", action="deny.sh", target="alice", term=Term(timeout=600.0))
    once = await manager.order("r2", action="deny.sh", target="alice", term=Term(one_shot=True))
    other = await manager.order("r3", action="deny.sh", target="alice", arguments=("a",), term=Term())
    longer = await manager.order("r4", action="deny.sh", target="alice", term=Term(timeout=900.0))
    others = [(await manager.story(each)).view for each in (longer, other, once)]
    told = timed(await manager.story(first), Related(others=others))
    (said,) = [each.text for each in told.timeline if each.what == "extended"]
    assert said.startswith(f"order {longer.id[:12]} holds it until ")
