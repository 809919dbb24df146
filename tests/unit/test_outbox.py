"""What was decided is sent until it is confirmed, by this run or the next; what is confirmed is forgotten."""

import asyncio
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from shared import outbox
from shared.broker import Publication
from shared.errors import Disconnected, Refused, StoreError, Unroutable
from shared.outbox import WINDOW, Outbox
from shared.store import Connection, Store
from tests.running import running
from tests.waiting import eventually

SCHEMA = outbox.SCHEMA + "CREATE TABLE IF NOT EXISTS told (message_id TEXT, why TEXT);"


class ASender:
    """Answers each message by its id, once it is told to: None confirms."""

    def __init__(self) -> None:
        self.sent: list[str] = []
        self.answers: dict[str, BaseException] = {}
        self.answering = asyncio.Event()
        self.answering.set()
        self.open = asyncio.Event()
        self.open.set()
        self.asked = 0  # times that it was asked whether anything can be sent

    def send(self, publication: Publication) -> asyncio.Future[None]:
        self.sent.append(publication.message_id)
        return asyncio.ensure_future(self._answer(publication.message_id))

    async def writable(self) -> None:
        self.asked += 1
        await self.open.wait()

    async def _answer(self, message_id: str) -> None:
        await self.answering.wait()
        if message_id in self.answers:
            raise self.answers.pop(message_id)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    one = Store(tmp_path / "store.db", SCHEMA)
    yield one
    one.close()


@pytest.fixture
async def sender() -> ASender:
    return ASender()


def put(store: Store, *ids: str) -> None:
    rows = [Publication(exchange="e", routing_key="k", kind="order", message_id=each, body=b"") for each in ids]
    store.run_now(lambda connection: outbox.put(connection, rows))


def unsent(store: Store) -> list[str]:
    return store.run_now(
        lambda c: [row["message_id"] for row in c.execute("SELECT message_id FROM outbox ORDER BY seq")]
    )


def told(store: Store) -> list[tuple[str, str]]:
    return store.run_now(lambda c: [tuple(row) for row in c.execute("SELECT message_id, why FROM told")])


def tell(why: str) -> outbox.Hook:
    def hook(connection: Connection, publications: Sequence[Publication]) -> None:
        rows = [(each.message_id, why) for each in publications]
        connection.executemany("INSERT INTO told VALUES (?, ?)", rows)

    return hook


async def test_rows_of_an_earlier_run_go_first(store: Store, sender: ASender) -> None:
    """A start sends what a crash left, and then what comes, each once and in order."""
    put(store, "old 1", "old 2")
    one = Outbox(store, sender)
    async with running(one.run()):
        await one.drained()
        put(store, "new")
        await one.drained()
    assert sender.sent == ["old 1", "old 2", "new"]
    assert unsent(store) == []


async def test_every_field_is_sent_as_it_was_put(store: Store, sender: ASender, monkeypatch) -> None:
    """A row is the publication and nothing less."""
    full = Publication(
        exchange="e",
        routing_key="k",
        kind="dead",
        message_id="1",
        body=b"\x00\xff",
        expires_at=5.5,
        reason="malformed",
        detail="no map",
        died_in="q",
    )
    store.run_now(lambda connection: outbox.put(connection, [full]))
    seen = []
    monkeypatch.setattr(sender, "send", lambda each: seen.append(each) or asyncio.ensure_future(sender._answer("1")))
    one = Outbox(store, sender)
    async with running(one.run()):
        await one.drained()
    assert seen == [full]


async def test_a_window_is_on_its_way_at_once(store: Store, sender: ASender) -> None:
    """Confirms are not waited for one by one, and no more than a window is out."""
    put(store, *map(str, range(WINDOW + 5)))
    sender.answering.clear()
    one = Outbox(store, sender)
    async with running(one.run()):
        await eventually(lambda: len(sender.sent) == WINDOW)
        assert len(unsent(store)) == WINDOW + 5, "nothing is forgotten before its confirm"
        sender.answering.set()
        await one.drained()
    assert sender.sent == list(map(str, range(WINDOW + 5)))


async def test_a_confirm_and_what_it_means_are_one_transaction(store: Store, sender: ASender) -> None:
    """The hook's writes are committed with the deletion, and if the hook fails neither is."""

    def failing(connection: Connection, publications: Sequence[Publication]) -> None:
        tell("confirmed")(connection, publications)
        connection.execute("INSERT INTO no_such_table VALUES (1)")

    put(store, "1")
    with pytest.raises(StoreError, match="no_such_table"):
        await Outbox(store, sender, confirmed=failing).run()
    assert (unsent(store), told(store)) == (["1"], [])
    one = Outbox(store, sender, confirmed=tell("confirmed"))
    async with running(one.run()):
        await one.drained()
    assert (unsent(store), told(store)) == ([], [("1", "confirmed")])
    assert sender.sent == ["1", "1"], "it was sent twice, under one id"


async def test_what_no_queue_takes_is_not_sent_again(store: Store, sender: ASender) -> None:
    """A row that the broker hands back is deleted like those that it took: another try would not help."""
    put(store, "1", "2", "3")
    sender.answers = {"2": Unroutable("nobody")}
    one = Outbox(store, sender, confirmed=tell("confirmed"))
    async with running(one.run()):
        await one.drained()
    assert unsent(store) == []
    assert sender.sent == ["1", "2", "3"]


@pytest.mark.parametrize("trouble", [Refused("full"), Disconnected("lost")])
async def test_what_was_refused_or_lost_is_sent_again(
    store: Store, sender: ASender, trouble: Exception, monkeypatch
) -> None:
    """Only those rows, until the broker has them."""
    monkeypatch.setattr("shared.outbox.PAUSE_AFTER_NACK", 0.01)
    put(store, "1", "2", "3")
    sender.answers = {"2": trouble}
    one = Outbox(store, sender, confirmed=tell("confirmed"))
    async with running(one.run()):
        await one.drained()
    assert sender.sent == ["1", "2", "3", "2"]
    assert [each for each, _ in told(store)] == ["1", "3", "2"]


async def test_nothing_is_sent_while_nothing_can_be_written(store: Store, sender: ASender) -> None:
    """A broker that is away or blocked leaves the rows where they are."""
    sender.open.clear()
    put(store, "1")
    one = Outbox(store, sender)
    async with running(one.run()):
        one.wake()
        drained = asyncio.ensure_future(one.drained())
        await eventually(lambda: sender.asked or sender.sent)
        assert not sender.sent and not drained.done()
        sender.open.set()
        await asyncio.wait_for(drained, 5)
    assert sender.sent == ["1"]


async def test_rows_that_are_put_while_others_are_on_their_way_are_not_forgotten(store: Store, sender: ASender) -> None:
    """A wake during a send is not lost: the outbox looks again before it rests."""
    one = Outbox(store, sender)
    put(store, "1")
    sender.answering.clear()
    async with running(one.run()):
        await eventually(lambda: sender.sent == ["1"])
        put(store, "2")
        one.wake()
        sender.answering.set()
        await eventually(lambda: sender.sent == ["1", "2"])
        await eventually(lambda: not unsent(store))


async def test_stopped_in_the_middle_it_forgets_nothing(store: Store, sender: ASender) -> None:
    """What was not confirmed when it was stopped is sent by the next run."""
    put(store, "1", "2")
    sender.answering.clear()
    async with running(Outbox(store, sender).run()):
        await eventually(lambda: len(sender.sent) == 2)
    assert unsent(store) == ["1", "2"]
    assert store.run_now(outbox.unsent) == 2
