"""wazuh-slack, from orders in the journal to a real HTTP server: what is gathered, what is told, and what never is."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog.testing
from msgspec.structs import replace

from agent.actions.tools.process import Limits
from agent.actions.wazuh_slack.wazuh_slack import AT_ONCE, WazuhSlack
from agent.actions.wazuh_slack.webhook import Patience, Webhook
from shared.messages import Order
from tests.stage.webhook_server import PATH, WebhookServer, fields, once, says
from tests.unit.a_host import killed
from tests.unit.a_script_host import PYTHON, ScriptHost
from tests.waiting import eventually

SLACK = "wazuh-slack"
SECRET = PATH.split("/")[-1]


class Channel(ScriptHost):
    """A host with a webhook."""

    def __init__(self, folder: Path, server: WebhookServer) -> None:
        self.server, self.file = server, folder / "webhook"
        self.file.write_text(server.url)
        self.file.chmod(0o600)
        webhook = Webhook(file=str(self.file), patience=Patience(one=5.0, whole=5.0, first_pause=0.01))
        super().__init__(folder, Limits(), [WazuhSlack(webhook, host="web1")])

    def alert(self, number: int, **said: Any) -> Order:
        """An order to tell of one."""
        rule = {"id": "5712", "level": 10, "description": "ssh: brute force", **said.pop("rule", {})}
        alert = {"rule": rule, "agent": {"name": "web1"}, "data": {"srcip": f"203.0.113.{number % 250}"}}
        return self.order(SLACK, f"o{number}", target="", alert={**alert, **said})

    async def begin(self) -> None:
        await self.executor.errands.begin()

    def texts(self) -> list[str]:
        return [each["text"] for each in self.server.bodies]


@pytest.fixture
def server() -> Iterator[WebhookServer]:
    with WebhookServer() as one:
        yield one


@pytest.fixture
def channel(tmp_path: Path, server: WebhookServer) -> Iterator[Channel]:
    one = Channel(tmp_path, server)
    yield one
    one.close()


async def test_a_burst_is_one_message(channel: Channel) -> None:
    """Two hundred blocks within two seconds: it says 200, and each order is answered."""
    for start in range(0, 200, 20):
        await channel.carry_out(*(channel.alert(number) for number in range(start, start + 20)))
        channel.clock.pass_(0.2)
    await channel.errands_after(1.0)
    assert channel.texts() == ["200 alerts on web1"]
    (attachment,) = channel.server.bodies[0]["attachments"]
    assert (attachment["title"], attachment["color"]) == ("200 × ssh: brute force", "danger")
    assert fields([attachment])[0]["Source"].endswith(" and 180 more")
    assert {status for number in range(200) for status in channel.answers(f"o{number}")} == {("applied", "done")}


async def test_one_alone_waits_for_a_second(channel: Channel) -> None:
    """Nobody knows before that it is alone; its line is told."""
    await channel.carry_out(channel.alert(1, full_log="Failed password for root"))
    assert channel.executor.errands._patience() == 1.0
    await channel.errands_after(0.9)
    assert channel.texts() == []
    await channel.errands_after(0.1)
    assert channel.texts() == ["ssh: brute force on web1"]
    (attachment,) = channel.server.bodies[0]["attachments"]
    assert attachment["text"] == "Failed password for root"
    assert fields([attachment]) == [{"Rule": "5712 (level 10)", "Agent": "web1", "Source": "203.0.113.1"}]


async def test_a_stream_is_told_every_five_seconds(channel: Channel) -> None:
    """It never is quiet, and the first has waited long enough."""
    for number in range(21):
        await channel.carry_out(channel.alert(number))
        channel.clock.pass_(0.5)
    assert channel.texts() == ["11 alerts on web1"]


async def test_as_many_as_fit_wait_for_nobody(channel: Channel) -> None:
    """A flood is told in pieces, one after the other."""
    await channel.take(*(channel.alert(number) for number in range(2 * AT_ONCE + 1)))
    await channel.errands()
    assert channel.texts() == [f"{AT_ONCE} alerts on web1"] * 2
    await channel.errands_after(1.0)
    assert channel.texts()[2:] == ["ssh: brute force on web1"]


async def test_what_comes_while_one_is_told_goes_together(channel: Channel) -> None:
    """A slow channel has one message at a time."""
    slow = threading.Event()
    channel.server.plan(once(slow))
    await channel.take(channel.alert(0))
    channel.clock.pass_(1.0)
    await channel.begin()
    await eventually(lambda: channel.server.bodies)
    for number in range(1, 4):
        await channel.take(channel.alert(number))
        channel.clock.pass_(2.0)
        await channel.begin()
    assert channel.executor.errands.out == 1
    slow.set()
    await channel.errands()
    assert channel.texts() == ["ssh: brute force on web1", "3 alerts on web1"]


async def test_what_can_not_be_told_has_failed_with_the_servers_words(channel: Channel) -> None:
    """All that went together; the secret is in no answer, no line of the log and not in the journal."""
    channel.server.plan(says(404, f"no_service at {PATH}"))
    with structlog.testing.capture_logs() as lines:
        await channel.carry_out(channel.alert(1), channel.alert(2))
        await channel.errands_after(1.0)
    for each in ("o1", "o2"):
        ((status, detail),) = channel.answers(each)
        assert (status, detail.partition(" at ")[0]) == ("failed", "127.0.0.1: HTTP 404: no_service")
    assert SECRET not in f"{lines}{channel.said()}{channel.trouble}"
    assert SECRET.encode() not in channel.path.read_bytes()


async def test_what_was_cut_off_is_not_told_again(channel: Channel) -> None:
    """Killed between the server and the journal: nobody can tell, and who hears it twice believes that it was twice."""
    await channel.take(channel.alert(1), channel.alert(2))
    channel.clock.pass_(1.0)
    channel.journal.deadly = True
    await killed(channel.errands)
    await channel.restart()
    await channel.errands_after(5.0)
    await channel.reboot(away=10.0)
    await channel.errands_after(5.0)
    assert channel.texts() == ["2 alerts on web1"]
    assert channel.answers("o1")[0][1].startswith("interrupted: ")


async def test_an_agent_that_stops_waits_for_no_server(channel: Channel) -> None:
    """One that asks for patience isn't asked again."""
    channel.server.plan(says(503, Retry_After="3"))
    await channel.take(channel.alert(1))
    channel.clock.pass_(1.0)
    await channel.begin()
    await eventually(lambda: channel.server.bodies)
    await channel.executor.errands.end(0.0)
    assert len(channel.server.bodies) == 1


async def test_the_url_of_a_command_is_used_as_wazuh_does(channel: Channel) -> None:
    """`<extra_args>` has it there; what is for different channels is told in different messages."""
    channel.file.unlink()
    with WebhookServer() as other:
        urls = (channel.server.url, channel.server.url, other.url)
        orders = [channel.alert(number) for number in range(3)]
        await channel.carry_out(
            *(
                channel.order(SLACK, each.id, target="", arguments=(url,))
                for each, url in zip(orders, urls, strict=True)
            )
        )
        await channel.errands_after(1.0)
        assert [len(each.bodies) for each in (channel.server, other)] == [1, 1]
    assert channel.texts() == ["2 alerts on web1"]


async def test_where_there_is_no_webhook_it_is_refused(channel: Channel) -> None:
    """And announced as what can't be done, with what to do; a script of that name stands in for it."""
    channel.file.unlink()
    await channel.carry_out(channel.alert(1))
    why = f"no webhook: write its URL into {channel.file}"
    assert channel.answers("o1") == [("refused", f"unsupported: {why}")]
    assert channel.offers() == {SLACK: why}
    channel.script(SLACK, "heard()\n", PYTHON)
    assert [(each.backend, each.why_not) for each in channel.slow.look()] == [("script", "")]
    await channel.carry_out(channel.alert(2))
    assert channel.answers("o2") == [("applied", "done")]


async def test_what_was_told_takes_no_room(channel: Channel) -> None:
    """An attacker makes long lines, thousands an hour, and each order is kept for a day; a late one, too."""
    line = "x" * 60_000
    await channel.take(channel.alert(1, full_log=line))
    late = replace(channel.alert(2, full_log=line), deadline=channel.clock.wall() - 1.0)
    await channel.carry_out(late)
    await channel.errands_after(1.0)
    assert channel.server.bodies[0]["attachments"][0]["text"].startswith("xxx")
    assert channel.answers("o2")[0][0] == "stale"
    (kept,) = channel.store.run_now(lambda c: c.execute("SELECT sum(length(body)) FROM orders").fetchone())
    assert kept < 2_000


async def test_an_order_with_an_end_is_refused(channel: Channel) -> None:
    """A message can't be taken back; whoever gave the order must not believe that it is in force."""
    await channel.carry_out(channel.order(SLACK, timeout=600.0))
    assert channel.answers() == [
        ("refused", "unsupported: wazuh-slack just happens and has no end: order it without a time")
    ]


@pytest.mark.parametrize("target", ["x" * 256, "a\nb", "\x00", "\x1b[31m"])
async def test_a_hostile_target_is_refused(channel: Channel, target: str) -> None:
    """It would be a line of the message."""
    await channel.carry_out(channel.order(SLACK, target=target))
    assert channel.answer().detail.startswith("invalid-target: ")


@pytest.mark.parametrize("target", ["; rm -rf /", "-j ACCEPT", "../x", "<!channel>", "２０３.0.113.9"])
async def test_whatever_is_told_of_is_text(channel: Channel, target: str) -> None:
    """Nothing is done to it, and it means nothing to the channel."""
    await channel.carry_out(channel.order(SLACK, target=target, alert={}))
    await channel.errands_after(1.0)
    told = fields(channel.server.bodies[0]["attachments"])[0]["Source"]
    assert told == target.replace("<", "&lt;").replace(">", "&gt;")
