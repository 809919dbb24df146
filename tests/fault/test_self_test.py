"""A host cuts itself off from a broker that it reaches through its own DNAT; or only its broker is away."""

import signal
from collections.abc import Iterator

import pytest

from agent.self_test import BECAUSE, WHY
from tests.fault.behind_nat import SHIPPED, BehindNat, a_fleet, real_address
from tests.fault.kernel_history import KernelHistory
from tests.stage.fleet import Fleet
from tests.stage.guard import Guard
from tests.waiting import wait_for

pytestmark = [pytest.mark.root, pytest.mark.broker]
GOOD = [f"203.0.113.{number}" for number in range(101, 121)]
LATER = "203.0.113.200"
APPLIED, CUT_OFF = ("applied", "new"), ("failed", WHY)
PATIENCE = 60.0  # s


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """Each test has a host of its own, and leaves broker and manager running."""
    with Guard() as guard:
        one = a_fleet(guard, tmp_path_factory.mktemp("behind-nat") / "fleet")
        yield one
        one.close()


def test_one_of_many_cuts_the_host_off(fleet: Fleet) -> None:
    """It is taken back and has failed; the others stay, the ledger says so, and the next order is carried out."""
    web, broker = BehindNat(fleet, "web3", 13), real_address(fleet)
    web.start()
    web.daemon.process.signal(signal.SIGSTOP)
    web.block(*GOOD[:13], broker, *GOOD[13:])
    wait_for(lambda: web.handed_over(21), PATIENCE)
    web.daemon.process.signal(signal.SIGCONT)
    wait_for(lambda: broker in web.in_force())
    wait_for(lambda: web.states()[broker] == CUT_OFF, PATIENCE)
    (test,) = wait_for(web.tests)
    assert (test["tested"], test["culprits"]) == (21, [f"firewall-drop {broker}"])
    assert web.states() == {**dict.fromkeys(GOOD, APPLIED), broker: CUT_OFF}
    assert web.in_force().keys() == set(GOOD)
    assert all(500 < left < 600 for left in web.in_force().values())
    again, _ = web.block(broker, LATER)
    wait_for(lambda: web.states().get(LATER) == APPLIED, PATIENCE)
    assert web.answer(again) == ("refused", f"protected: {broker} is protected by {broker} ({BECAUSE})")
    assert web.rollbacks("cut-off") == 1


def test_the_broker_is_restarted_in_the_middle_of_a_batch(fleet: Fleet) -> None:
    """It goes when the batch has come into force, before it confirms anything: nothing is taken back, ever."""
    web = BehindNat(fleet, "web4", 14, SHIPPED)
    web.start()
    history = KernelHistory(web.host)
    with_the_broker_hanging(fleet, web)
    fleet.broker.kill()
    fleet.broker.start()
    wait_for(lambda: web.states() == dict.fromkeys(GOOD, APPLIED), PATIENCE)
    history.close()
    assert [len(history.stays(each)) for each in GOOD] == [1] * len(GOOD)
    assert web.tests() == []


def test_the_broker_hangs_in_the_middle_of_a_batch(fleet: Fleet) -> None:
    """It says nothing at all for longer than a test takes: whatever was taken off for a moment is back every time."""
    web = BehindNat(fleet, "web6", 16)
    web.start()
    with_the_broker_hanging(fleet, web)
    wait_for(lambda: len(web.tests()) >= 2, PATIENCE)
    wait_for(lambda: web.in_force().keys() == set(GOOD))
    fleet.broker.kill()
    fleet.broker.start()
    wait_for(lambda: web.states() == dict.fromkeys(GOOD, APPLIED), PATIENCE)
    web.block(LATER)
    wait_for(lambda: web.states().get(LATER) == APPLIED, PATIENCE)
    assert {test["verdict"] for test in web.tests()} == {"broker-away"}
    assert web.in_force().keys() == {*GOOD, LATER}


def with_the_broker_hanging(fleet: Fleet, web: BehindNat) -> None:
    """A batch is in force that the broker has handed over, and can't confirm any more."""
    web.daemon.process.signal(signal.SIGSTOP)
    web.block(*GOOD)
    wait_for(lambda: web.handed_over(len(GOOD)), PATIENCE)
    fleet.broker.hang()
    web.daemon.process.signal(signal.SIGCONT)
    wait_for(lambda: web.in_force().keys() == set(GOOD))


def test_the_agent_is_killed_before_it_knows_that_it_is_cut_off(fleet: Fleet) -> None:
    """The next run puts in force what the journal says, finds out, and takes it back; what was proved is left alone."""
    web, broker = BehindNat(fleet, "web5", 15), real_address(fleet)
    web.start()
    web.block(LATER)
    wait_for(lambda: web.states().get(LATER) == APPLIED, PATIENCE)
    web.block(broker, *GOOD[:3])
    wait_for(lambda: broker in web.in_force())
    web.daemon.kill()
    assert web.tests() == []
    web.daemon.start()
    wait_for(lambda: web.states()[broker] == CUT_OFF, PATIENCE)
    wait_for(lambda: web.in_force().keys() == {LATER, *GOOD[:3]}, PATIENCE)
    wait_for(lambda: all(web.states()[each] == APPLIED for each in GOOD[:3]), PATIENCE)
    assert LATER not in str(web.tests())
