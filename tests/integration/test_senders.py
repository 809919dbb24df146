"""Who speaks for whom, on a real broker: a login for each agent, with the permissions that an agent needs."""

import asyncio

import pika
import pytest
from pika.exceptions import ChannelClosedByBroker

from shared import codec, topology
from shared.settings import BrokerSettings
from tests.integration.a_manager_daemon import ATTACKER, Hands, RunningManager, attack, known
from tests.integration.an_agent import AnAgent, an_order
from tests.stage.logins import Logins
from tests.unit.a_manager import acknowledgement, heartbeat
from tests.waiting import eventually

pytestmark = pytest.mark.broker


@pytest.fixture
def logins(broker):
    some = Logins(broker)
    yield some
    some.close()


@pytest.mark.root
async def test_an_agent_needs_no_more_than_its_login_may(guard, broker, network, logins, manager, tmp_path):
    """An agent whose login may speak for it alone gets its orders, carries them out and is heard."""
    (tmp_path / "agent").mkdir()
    agent = AnAgent(guard, broker, network.host("web1", 11), tmp_path / "agent")
    agent.config.write_text(agent.config.read_text().replace(broker.url, logins.add_agent("web1")))
    agent.start()
    await known(manager, "web1")
    order = (await asyncio.to_thread(_block, manager))["id"]
    await eventually(lambda: agent.in_force().keys() == {ATTACKER}, 10)
    await eventually(lambda: manager.get(f"/v1/orders/{order}")["view"]["state"] == "applied")
    assert manager.get("/v1/dead-letters")["dead_letters"] == []
    await agent.close()


@pytest.mark.parametrize(
    ("exchange", "key", "login"),
    [
        (topology.EVENTS, "acknowledgement.web2", "web1"),
        (topology.EVENTS, "heartbeat.web2", "web1"),
        (topology.LOGS, "log.web2", "web1"),
        (topology.ORDERS, "all", "web1"),
        (topology.ORDERS, "agent.web2", "web1"),
        ("", "thwart.agent.web2", "web1"),
        ("", topology.MANAGER_EVENTS, "web1"),
        (topology.EVENTS, "acknowledgement.web1", "web2"),  # its own key, with another's name on it
    ],
)
async def test_the_broker_takes_nothing_that_a_login_may_not_say(manager, broker, logins, exchange, key, login):
    """Neither under another's key, nor as an order, nor past the exchanges, nor with another login's name on it."""
    async with Hands(broker, "web1", "web2"):
        url = logins.add_agent("web1")
        with pytest.raises(ChannelClosedByBroker):
            await asyncio.to_thread(_say, url, exchange, key, b"anything", login)


async def test_a_queue_is_its_agents_own(manager, broker, logins):
    """A login may read neither another agent's orders nor what agents tell the managers."""
    async with Hands(broker, "web1", "web2"):
        url = logins.add_agent("web1")
        for queue in ("thwart.agent.web2", topology.MANAGER_EVENTS):
            with pytest.raises(ChannelClosedByBroker):
                await asyncio.to_thread(_take, url, queue)


async def test_a_body_that_names_another_is_forged(manager, broker, logins):
    """Under its own key, which the broker lets pass, an agent answers in another's name: that changes nothing."""
    async with Hands(broker, "web1", "web2") as hands:
        await hands.beat("web1")
        await hands.beat("web2")
        await known(manager, "web1", "web2")
        order = await asyncio.to_thread(_block, manager)
        body = codec.encode(acknowledgement(order["id"], "web2", "failed", 1.0))
        await asyncio.to_thread(_say, logins.add_agent("web1"), topology.EVENTS, "acknowledgement.web1", body)
        letter = await _forged(manager)
        assert "'web2' and came under 'acknowledgement.web1'" in letter["detail"]
        await _nobody_answered(manager, order["id"])


@pytest.mark.parametrize("word", ["acknowledgement", "heartbeat", "log"])
async def test_a_login_gives_its_user_away(manager, broker, logins, word):
    """Where the broker lets an agent use any key, the login that it has checked still says who speaks."""
    async with Hands(broker, "web1", "web2") as hands:
        await hands.beat("web1")
        await hands.beat("web2")
        await known(manager, "web1", "web2")
        order = await asyncio.to_thread(_block, manager)
        bodies = {
            "acknowledgement": codec.encode(acknowledgement(order["id"], "web2", "failed", 1.0)),
            "heartbeat": codec.encode(heartbeat("web2", hostname="mine")),
            "log": codec.encode(attack(agent="web2")),
        }
        exchange = topology.LOGS if word == "log" else topology.EVENTS
        await asyncio.to_thread(_say, logins.add("web1"), exchange, f"{word}.web2", bodies[word], "web1")
        assert "sent with the login of 'web1'" in (await _forged(manager))["detail"]
        await _nobody_answered(manager, order["id"])
        assert manager.rows("SELECT count(*) FROM positions") == [(0,)]
        assert {each["hostname"] for each in manager.get("/v1/agents")["agents"]} == {"web1", "web2"}


async def test_a_login_that_all_share_speaks_for_all(guard, broker, logins, tmp_path):
    """The manager's own login may be everybody's, though an agent has that name."""
    url = logins.add("fleet")
    manager = RunningManager(guard, Login(broker, url), tmp_path)
    manager.start()
    async with Hands(Login(broker, url), "fleet", "web1") as hands:
        await hands.beat("fleet")
        await hands.beat("web1")
        await known(manager, "fleet", "web1")


async def test_an_agents_word_on_anothers_order_counts_for_nothing(manager, broker, logins):
    """A dead letter about an order in another agent's queue is kept, and settles nothing there."""
    async with Hands(broker, "web1", "web2") as hands:
        await hands.beat("web1")
        await hands.beat("web2")
        await known(manager, "web1", "web2")
        order = await asyncio.to_thread(_block, manager)
        url, headers = logins.add_agent("web1"), {"reason": "maxlen", "died-in": "thwart.agent.web2"}
        body = codec.encode(an_order(order["id"]))
        await asyncio.to_thread(_say, url, topology.DEAD, "all", body, "web1", headers)
        (letter,) = await eventually(lambda: manager.get("/v1/dead-letters")["dead_letters"])
        assert (letter["sender"], letter["detail"]) == ("web1", "its word on web2 counts for nothing; ")
        assert {each["note"] for each in manager.get(f"/v1/orders/{order['id']}")["view"]["agents"]} == {""}


class Login:
    """The broker of a test as somebody else sees it."""

    def __init__(self, broker, url: str) -> None:
        self.node, self.url = broker.node, url
        self.settings = BrokerSettings(urls=(url,))


def _block(manager: RunningManager) -> dict:
    wish = {"request_id": "senders-1", "address": ATTACKER, "location": "all"}
    return manager.call("POST", "/v1/blocks", json=wish).json()["orders"][0]


async def _forged(manager: RunningManager) -> dict:
    (letter,) = await eventually(lambda: manager.get("/v1/dead-letters?reason=forged-sender")["dead_letters"])
    return letter


async def _nobody_answered(manager: RunningManager, order_id: str) -> None:
    story = manager.get(f"/v1/orders/{order_id}")
    assert story["history"] == []
    assert {each["state"] for each in story["view"]["agents"]} <= {"waiting", "overdue"}


def _say(url: str, exchange: str, key: str, body: bytes, user: str | None = None, headers: dict | None = None) -> None:
    with pika.BlockingConnection(pika.URLParameters(url)) as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        kind = "order" if exchange == topology.DEAD else key.partition(".")[0]
        properties = pika.BasicProperties(type=kind, user_id=user, message_id="said", headers=headers)
        channel.basic_publish(exchange, key, body, properties)


def _take(url: str, queue: str) -> None:
    with pika.BlockingConnection(pika.URLParameters(url)) as connection:
        connection.channel().basic_get(queue)
