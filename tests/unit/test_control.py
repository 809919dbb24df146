"""The daemon's control socket: who comes in, and what nonsense does there."""

import asyncio
import stat
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from agent import control
from agent.control import Control, LiftAnswer, LiftRequest, ask
from agent.executor import FIRST_RETRY
from agent.folder import CONTROL
from shared.targets import normalise_account
from tests.stage.fake_action import FakeAction
from tests.unit.a_host import ATTACKER, AHost
from tests.unit.a_trial import trials
from tests.waiting import eventually

OTHER = "203.0.113.10"


@pytest.fixture
async def host(tmp_path: Path) -> AsyncIterator[AHost]:
    """With one block in force, and its control socket open."""
    one = AHost(tmp_path)
    await one.do(one.add())
    listening = asyncio.create_task(Control(tmp_path, one.executor, trials(one, tmp_path)).run())
    await eventually((tmp_path / CONTROL).exists)
    yield one
    listening.cancel()
    await asyncio.wait([listening])
    one.close()


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"\n",
        b"{}\n",  # nobody means everything by saying nothing
        b"null\n",
        b'{"target": "203.0.113.9"}\n',  # it doesn't say what is to be done
        b'{"type": "reboot", "target": "203.0.113.9"}\n',
        b'{"type": "lift", "tarjet": "203.0.113.9"}\n',
        b'{"type": "lift", "target": 7}\n',
        b'{"type": "lift", "target": "\xff"}\n',
        b'{"type": "lift", "target": "203.0.113.9"',
        '{"type": "lift", "target": "２０３.0.113.9"}\n'.encode(),
        b"[" * 60_000 + b"\n",
        b"x" * 200_000,
    ],
)
async def test_nonsense_lifts_nothing_and_stops_nothing(host: AHost, tmp_path: Path, said: bytes) -> None:
    """It gets an error or a closed door, and the next one is served."""
    reader, writer = await asyncio.open_unix_connection(tmp_path / CONTROL)
    writer.write(said)
    writer.write_eof()
    await reader.read()
    writer.close()
    assert set(host.in_force()) == {ATTACKER}
    answer = await ask(tmp_path, LiftRequest(target=f"::ffff:{ATTACKER}"), LiftAnswer)
    assert answer is not None
    assert [each.target for each in answer.lifted] == [ATTACKER]


async def test_what_could_not_be_ended_is_not_told_as_lifted(host: AHost) -> None:
    """It is named with its words; what was ended besides is told as ever."""
    await host.do(host.add("o2", OTHER))
    host.action.failing[ATTACKER] = "busy"
    answer = await control.lift(host.executor, LiftRequest(target=None))
    assert [each.target for each in answer.lifted] == [OTHER]
    assert answer.problems == (f"firewall-drop on {ATTACKER}: busy",)
    host.action.failing.clear()
    await host.after(FIRST_RETRY)
    assert host.in_force() == {}


async def test_what_could_not_be_ended_before_is_tried_again_by_who_asks_for_it(host: AHost) -> None:
    """At once, and nothing else of that kind; what fails again is named."""
    await host.do(host.add("o2", OTHER))
    host.action.failing = {ATTACKER: "busy", OTHER: "busy"}
    await host.do(host.delete("d1", "o1"), host.delete("d2", "o2"))
    again = await control.lift(host.executor, LiftRequest(target=ATTACKER))
    assert (again.lifted, again.problems) == ((), (f"firewall-drop on {ATTACKER}: it is to be reverted still",))
    host.action.failing.clear()
    answer = await control.lift(host.executor, LiftRequest(target=ATTACKER))
    assert [(each.target, each.orders) for each in answer.lifted] == [(ATTACKER, 0)]
    assert set(host.in_force()) == {OTHER}
    assert host.ends("o1") == [("lifted", "failed")]


class Accounts(FakeAction):
    """What keeps accounts out, in books alone."""

    def key(self, target: str, arguments: Sequence[str]) -> str:
        return normalise_account(target)


async def test_an_account_is_let_in_again_by_its_name(tmp_path: Path) -> None:
    """The one of exactly that name, and no other."""
    host = AHost(tmp_path, Accounts)
    await host.do(host.add("o1", "alice"), host.add("o2", "alice2"))
    answer = await control.lift(host.executor, LiftRequest(target="alice"))
    assert [each.target for each in answer.lifted] == ["alice"]
    assert (answer.covered, set(host.in_force())) == ((), {"alice2"})
    host.close()


async def test_who_says_nothing_is_hung_up_on(host: AHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An open connection holds up nothing, not even the daemon's end."""
    monkeypatch.setattr(control, "SILENCE", 0.0)
    reader, writer = await asyncio.open_unix_connection(tmp_path / CONTROL)
    assert await asyncio.wait_for(reader.read(), 5) == b""
    writer.close()


async def test_only_the_agents_own_user_gets_in(host: AHost, tmp_path: Path) -> None:
    """From its first moment on."""
    assert stat.S_IMODE((tmp_path / CONTROL).stat().st_mode) == 0o600


async def test_a_lift_of_everything_where_nothing_is_in_force_is_no_mistake(host: AHost, tmp_path: Path) -> None:
    """The second one finds nothing, and says so."""
    first = await ask(tmp_path, LiftRequest(target=None), LiftAnswer)
    second = await ask(tmp_path, LiftRequest(target=None), LiftAnswer)
    assert first is not None
    assert second is not None
    assert (len(first.lifted), second.lifted, second.error) == (1, (), "")
