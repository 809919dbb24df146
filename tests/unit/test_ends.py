"""The end of blocks, told to a real HTTP server: together, and in nobody's way."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from agent import ends
from agent.actions.wazuh_slack.webhook import Patience, Webhook
from agent.ends import Ends
from agent.journal.settling import Settled
from agent.trouble import Trouble
from shared.messages import Expiry
from tests.stage.webhook_server import PATH, WebhookServer, says
from tests.waiting import eventually

QUIET = 0.05


@pytest.fixture
def server() -> Iterator[WebhookServer]:
    with WebhookServer() as one:
        yield one


class Channel:
    def __init__(self, folder: Path, server: WebhookServer) -> None:
        self.server, self.trouble, self.file = server, Trouble(), folder / "webhook"
        self.file.write_text(server.url)
        self.file.chmod(0o600)
        webhook = Webhook(file=str(self.file), patience=Patience(one=5.0, whole=1.0, first_pause=0.01))
        self.ends = Ends(webhook, "web1", self.trouble, quiet=QUIET, longest=0.4)

    def end(self, *targets: str, outcome: str = "reverted") -> None:
        """These have ended."""
        said = {"order_id": "o1", "agent_id": "web1", "action": "firewall-drop", "cause": "timeout", "at": 1.0}
        self.ends.heard(Settled(expiries=tuple(Expiry(target=each, outcome=outcome, **said) for each in targets)))

    def texts(self) -> list[str]:
        return [each["text"] for each in self.server.bodies]


@pytest.fixture
async def channel(tmp_path: Path, server: WebhookServer) -> AsyncIterator[Channel]:
    one = Channel(tmp_path, server)
    running = asyncio.create_task(one.ends.run())
    yield one
    running.cancel()
    await asyncio.wait([running])


async def test_ends_that_come_together_are_told_together(channel: Channel) -> None:
    """In one message; what goes on being held by others has not ended."""
    channel.end(*(f"10.0.0.{number}" for number in range(150)))
    channel.end("10.9.9.9", outcome="kept")
    await asyncio.sleep(0)
    channel.end(*(f"10.0.1.{number}" for number in range(50)))
    await eventually(channel.texts)
    channel.end("10.0.2.1")
    await eventually(lambda: len(channel.texts()) > 1)
    assert channel.texts() == ["200 blocks ended on web1", "1 block ended on web1"]


async def test_a_stream_of_them_is_told_now_and_then(channel: Channel) -> None:
    """It never is quiet, and the first has waited long enough."""

    async def one_more() -> bool:
        channel.end("10.0.0.1")
        return bool(channel.texts())

    await eventually(one_more)


async def test_of_very_many_the_number_is_told(channel: Channel) -> None:
    """Memory has an end."""
    channel.end(*["10.0.0.1"] * (ends.MOST + 500))
    assert len(channel.ends._gathered) == ends.MOST
    await eventually(channel.texts)
    assert channel.texts() == [f"{ends.MOST + 500} blocks ended on web1"]


async def test_of_very_many_those_that_failed_are_not_told_as_ended(channel: Channel) -> None:
    """Of what is only counted the outcome is counted."""
    channel.end(*["10.0.0.1"] * ends.MOST)
    channel.end(*["10.0.0.2"] * 300)
    channel.end(*["10.0.0.3"] * 200, outcome="failed")
    await eventually(channel.texts)
    assert channel.texts() == [f"{ends.MOST + 300} blocks ended on web1, 200 could not be"]


async def test_what_can_not_be_told_is_trouble_until_something_is(channel: Channel) -> None:
    """Heartbeats say so, without the secret; what was lost stays so, and the next is told."""
    channel.server.plan(says(404, f"no_service at {PATH}"))
    channel.end("10.0.0.1")
    await eventually(lambda: str(channel.trouble))
    assert str(channel.trouble).startswith("the end of blocks can't be told: 127.0.0.1: HTTP 404: no_service at ")
    assert "secret" not in str(channel.trouble).lower()
    channel.end("10.0.0.2")
    await eventually(lambda: len(channel.texts()) == 2)
    await eventually(lambda: str(channel.trouble) == "")


async def test_without_a_webhook_what_was_wrong_with_it_is_over(channel: Channel) -> None:
    """Who took its file away wants nothing told, so that nothing is wrong any more."""
    channel.server.plan(says(404))
    channel.end("10.0.0.1")
    await eventually(lambda: str(channel.trouble))
    channel.file.unlink()
    channel.end("10.0.0.2")
    await eventually(lambda: not channel.ends._gathered)
    await eventually(lambda: str(channel.trouble) == "")


async def test_a_webhook_that_nobody_may_look_at_ends_nothing(channel: Channel) -> None:
    """The agent runs on: an order to tell of something is refused, with why."""
    channel.ends._webhook = Webhook(file="x" * 300)  # for root there is no better one
    channel.end("10.0.0.1")
    await eventually(lambda: not channel.ends._gathered)
    channel.ends._webhook = Webhook(file=str(channel.file))
    channel.end("10.0.0.2")
    await eventually(channel.texts)


async def test_without_a_webhook_nothing_is_told(channel: Channel) -> None:
    """And nothing is wrong: most hosts have none."""
    channel.file.rename(channel.file.with_name("away"))
    with capture_logs() as lines:
        channel.end("10.0.0.1")
        await eventually(lambda: not channel.ends._gathered)
        channel.file.with_name("away").rename(channel.file)
        channel.end("10.0.0.2")
        await eventually(channel.texts)
    assert channel.texts() == ["1 block ended on web1"]
    assert lines == []
