"""What an order carries, and how many of them an alert makes."""

import msgspec
import pytest

from manager.explaining.rulebook import Rulebook
from manager.responses.breaker import ADDRESSES, ONE_SHOTS
from manager.responses.configuration import load
from manager.responses.enclosure import LIMIT, MARK
from shared import codec
from shared.ids import digest
from shared.messages import Order
from tests.unit.a_conf import block
from tests.unit.a_manager import ATTACKER, START
from tests.unit.a_verdict import Judge, alert, members


def test_an_order_says_what_and_why(judge: Judge):
    """Everything that an agent, a person or a script asks for is in it, and it survives the wire."""
    (order,) = judge(block("<name>ssh</name><timeout>600</timeout>"), alert()).orders
    assert order == Order(
        id=digest("a1", "ssh", "add", (), "local", ("web1",), ATTACKER),
        operation="add",
        action="firewall-drop",
        location="local",
        agents=("web1",),
        target=ATTACKER,
        timeout=600.0,
        issued_at=START,
        deadline=START + 600,
        expires_at=START + 600,
        response="ssh",
        rule_id="5712",
        reason="sshd: brute force (rule 5712, level 10)",
        alert=msgspec.json.decode(msgspec.json.encode(alert())),
        issuer="manager1",
    )
    assert codec.decode(codec.encode(order), Order) == order


def test_what_has_no_end_may_be_started_for_a_month(judge: Judge):
    """Until lifted: no timeout, no end, a deadline of 30 days."""
    (order,) = judge(block(), alert()).orders
    assert (order.timeout, order.expires_at, order.deadline) == (None, None, START + 30 * 86_400)


def test_a_one_shot_has_a_minute_and_no_end(judge: Judge):
    """A restart is for now or never, whatever the file says, and is no offence."""
    verdict = judge(block("<timeout>600</timeout>", command="restart-wazuh"), alert())
    (order,) = verdict.orders
    assert (order.timeout, order.expires_at, order.deadline) == (None, None, START + 60)
    assert (order.target, verdict.offences) == ("", ())


EDGE = "<command><name>edge</name><executable>edge-block</executable></command>"


def test_what_a_package_brings_is_in_force_until_it_is_lifted(judge: Judge):
    """Without a timeout too, as what is built in: an agent holds it, and nobody could lift a one-shot."""
    have_it = members("manager1", actions={"edge-block": "edge", "firewall-drop": "nftables"})
    verdict = judge(EDGE + block(command="edge"), alert(), have_it)
    (order,) = verdict.orders
    assert (order.lasting, order.timeout, order.deadline) == (True, None, START + 30 * 86_400)
    (offence,) = verdict.offences
    assert (offence.order_id, verdict.gate(order).limit) == (order.id, ADDRESSES)


def test_a_list_of_responses_knows_a_package_from_a_script(conf, ruleset):
    """What is shown of its end and its breaker is what will be; without a manager nobody can tell."""
    configuration = load(conf(EDGE + block(command="edge")))
    shown = []
    for who in (members(), members(actions={"edge-block": "edge"})):
        (view,) = Rulebook(ruleset=ruleset, configuration=configuration, members=who).responses().responses
        shown.append((view.one_shot, view.limit))
    assert shown == [(True, ONE_SHOTS), (False, ADDRESSES)]


def test_a_list_of_responses_asks_those_whom_one_is_for(conf, ruleset, judge: Judge):
    """What agents elsewhere have by that name makes no difference on the managers' hosts."""
    text, who = EDGE + block(command="edge", location="server"), members("manager1", actions={"edge-block": "edge"})
    (view,) = Rulebook(ruleset=ruleset, configuration=load(conf(text)), members=who).responses().responses
    verdict = judge(text, alert(), who)
    (order,) = verdict.orders
    assert (view.one_shot, view.limit) == (not order.lasting, verdict.gate(order).limit) == (True, ONE_SHOTS)


def test_what_is_a_script_where_it_is_for_just_happens(judge: Judge):
    """Whatever an agent that it is not for says of its name."""
    others = members("manager1", agents=("web2",), actions={"edge-block": "edge"})
    for who in (members("manager1", actions={"edge-block": "script"}), members("manager1"), others):
        verdict = judge(EDGE + block(command="edge"), alert(), who)
        (order,) = verdict.orders
        assert (order.lasting, verdict.offences, verdict.gate(order).limit) == (False, (), ONE_SHOTS)


def test_a_message_about_a_protected_address_is_sent_all_the_same(judge: Judge):
    """What acts on nothing is held back by no list."""
    listed = f"<global><white_list>{ATTACKER}</white_list></global>"
    assert judge(listed + block(command="wazuh-slack", location="server"), alert()).orders


def test_arguments_go_along(judge: Judge):
    """`extra_args` are the order's arguments."""
    declared = "<command><name>x</name><executable>firewall-drop</executable><extra_args>a 'b c'</extra_args></command>"
    (order,) = judge(declared + block(command="x"), alert()).orders
    assert (order.action, order.arguments) == ("firewall-drop", ("a", "b c"))


def test_the_same_alert_gives_the_same_order(judge: Judge):
    """An alert that comes again can't become a second order, also when timeouts and places in the file changed."""
    text = block("<timeout>5</timeout>") + block(location="server")
    first = judge(text, alert()).orders
    again = judge(block(location="server") + block("<timeout>9</timeout>"), alert()).orders
    assert {order.id for order in first} == {order.id for order in again}
    assert len({order.id for order in first}) == 2


def test_equal_orders_become_one_and_the_longest_timeout_wins(judge: Judge):
    """Same effect, same place: one order; another place or another effect keeps its own."""
    text = (
        block("<name>short</name><timeout>60</timeout>")
        + block("<name>long</name><timeout>600</timeout>")
        + block("<name>middle</name><timeout>300</timeout>")
        + block("<name>elsewhere</name><timeout>60</timeout>", location="server")
        + block("<name>otherwise</name><timeout>60</timeout>", command="pf")
    )
    verdict = judge(text, alert())
    assert [order.response for order in verdict.orders] == ["long", "elsewhere", "otherwise"]
    assert {offence.response for offence in verdict.offences} == {"short", "long", "middle", "elsewhere", "otherwise"}


@pytest.mark.parametrize("timeouts", [(60, 600), (600, 60)])
def test_of_two_that_are_the_same_the_longer_block_is_remembered(judge: Judge, timeouts: tuple[int, int]):
    """A block that stands twice with two timeouts is one response, whose offence ends with the longer one."""
    verdict = judge("".join(block(f"<timeout>{timeout}</timeout>") for timeout in timeouts), alert())
    assert [order.timeout for order in verdict.orders] == [600.0]
    assert [offence.ends_at for offence in verdict.offences] == [START + 600]


def test_other_arguments_are_another_effect(judge: Judge):
    """A script that is told something else does something else."""
    commands = "".join(
        f"<command><name>{word}</name><executable>x.py</executable><extra_args>{word}</extra_args></command>"
        for word in ("a", "b")
    )
    orders = judge(commands + block(command="a") + block(command="b"), alert()).orders
    assert [order.arguments for order in orders] == [("a",), ("b",)]


@pytest.mark.parametrize("first", ["", "<timeout>600</timeout>"])
def test_a_script_that_has_to_be_told_the_end_is_told_it(judge: Judge, first: str):
    """Though another response only has it happen: what is told `add` once does for both."""
    second = "" if first else "<timeout>600</timeout>"
    verdict = judge(EDGE + "".join(block(each, command="edge") for each in (first, second)), alert())
    (order,) = verdict.orders
    assert (order.timeout, [each.order_id for each in verdict.offences]) == (600.0, [order.id])


def test_until_lifted_is_the_longest(judge: Judge):
    """No end is later than any."""
    text = block("<name>timed</name><timeout>600</timeout>") + block("<name>for ever</name>")
    assert [order.response for order in judge(text, alert()).orders] == ["for ever"]


def test_a_dry_run_takes_no_real_orders_place(judge: Judge):
    """A response on trial is simulated beside an equal one that is not, and is no offence."""
    text = block("<dry_run>yes</dry_run><timeout>600</timeout>") + block("<timeout>60</timeout>")
    verdict = judge(text, alert())
    assert [order.dry_run for order in verdict.orders] == [True, False]
    assert [offence.response for offence in verdict.offences] == [verdict.orders[1].response]


@pytest.mark.parametrize(
    "fields",
    [
        {"full_log": "x" * 200_000},
        {"full_log": "é" * 60_000, "previous_output": "y" * 300_000},
        {"previous_output": "\x00\ud800" * 50_000},
        {"data": {"srcip": ATTACKER, "dump": "z" * 500_000}},
        {"data": {"srcip": ATTACKER, **{f"k{number}": "z" * 100 for number in range(5_000)}}},
        {"location": "w" * 100_000},
    ],
)
def test_the_alert_in_an_order_is_cut_to_its_limit(judge: Judge, fields: dict):
    """At most 64 KiB, whatever was in it; who, when and which rule are never lost."""
    (order,) = judge(block(), alert(**fields)).orders
    assert codec.size(order.alert) <= LIMIT
    assert (order.alert["id"], order.alert["rule"]["id"], order.target) == ("a1", "5712", ATTACKER)
    assert codec.decode(codec.encode(order), Order).id == order.id


def test_previous_output_is_cut_before_the_line_itself(judge: Judge):
    """The line that fired stays whole where it can, and what was cut says so."""
    (order,) = judge(block(), alert(full_log="x" * 1_000, previous_output="y" * 100_000)).orders
    assert order.alert["full_log"] == "x" * 1_000
    assert order.alert["previous_output"].endswith(MARK)
    assert codec.size(order.alert) > LIMIT - 100
