"""Raw pika: a publisher of acknowledgements, and a keeper that writes as much of them to a bare SQLite file.

A script: `feed URL WORD FIRST COUNT`, or `keep URL QUEUE FILE`.
"""

import json
import signal
import sqlite3
import sys
import time
from typing import Any

import pika
from pika.channel import Channel

from shared import topology
from tests.stage.raw_pika import PREFETCH, WINDOW, Speaker, an_answer

AT_ONCE = 1_000  # answers in one transaction: as many as the manager takes at most
SOON = 0.02  # s: fewer, when no more have come for so long
AGENTS = 100

# As many rows as the manager writes of an answer: what was said, and how the order stands at the agent.
SCHEMA = """
PRAGMA journal_mode = WAL;
PRAGMA synchronous = FULL;
CREATE TABLE said (n INTEGER PRIMARY KEY, order_id TEXT, agent_id TEXT, body BLOB);
CREATE TABLE states (order_id TEXT, agent_id TEXT, state TEXT, PRIMARY KEY (order_id, agent_id));
"""
SAY = "INSERT INTO said (order_id, agent_id, body) VALUES (?, ?, ?)"
STATE = "INSERT INTO states VALUES (?, ?, 'applied')"


def agent(number: int) -> str:
    """Whom the order of that number is for."""
    return f"host{number % AGENTS}"


def order_id(number: int) -> str:
    """As long as a real one, and as little in order."""
    return f"{number * 0x9E3779B97F4A7C15 % 2**64:016x}{number:016x}"


class Feeder(Speaker):
    """Publishes `count` answers. Prints that it is ready, begins on a line of input, prints when it began and ended."""

    def __init__(self, url: str, word: str, first: int, count: int) -> None:
        super().__init__(url)
        self._answers = [_answer(word, number) for number in range(first, first + count)]

    def ready(self) -> None:
        print("ready", flush=True)
        sys.stdin.readline()
        self._began = time.time()
        self.heard()

    def heard(self) -> None:
        while self.said < len(self._answers) and self.said - self.confirmed < WINDOW:
            key, body = self._answers[self.said]
            self.say(topology.EVENTS, key, "acknowledgement", "", body)
        if self.confirmed == len(self._answers):
            print(json.dumps([self._began, time.time()]), flush=True)
            self.connection.ioloop.stop()


class Keeper(Speaker):
    """Writes what comes to a file, many in one transaction, and acks it after that."""

    def __init__(self, url: str, queue: str, path: str) -> None:
        super().__init__(url)
        self._queue, self._file = queue, sqlite3.connect(path, isolation_level=None)
        self._file.executescript(SCHEMA)
        self._came: list[tuple[str, str, bytes]] = []
        self._last, self._soon = 0, False

    def ready(self) -> None:
        self.channel.basic_qos(prefetch_count=PREFETCH)
        self.channel.basic_consume(self._queue, self._on_message)

    def _on_message(self, _: Channel, method: Any, properties: pika.BasicProperties, body: bytes) -> None:
        self._came.append((str(method.delivery_tag), method.routing_key, body))
        self._last = method.delivery_tag
        if len(self._came) >= AT_ONCE:
            self._keep()
        elif not self._soon:
            self._soon = True
            self.connection.ioloop.call_later(SOON, self._rest)

    def _rest(self) -> None:
        self._soon = False
        if self._came:
            self._keep()

    def _keep(self) -> None:
        self._file.execute("BEGIN IMMEDIATE")
        self._file.executemany(SAY, self._came)
        self._file.executemany(STATE, (each[:2] for each in self._came))
        self._file.execute("COMMIT")
        self.channel.basic_ack(self._last, multiple=True)
        self._came.clear()


def _answer(word: str, number: int) -> tuple[str, bytes]:
    return f"{word}.{agent(number)}", an_answer(agent(number), order_id(number))


def main(what: str, url: str, *words: str) -> None:
    """Until it is done, or SIGTERM."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    if what == "feed":
        word, first, count = words
        Feeder(url, word, int(first), int(count)).run()
    else:
        queue, path = words
        Keeper(url, queue, path).run()


if __name__ == "__main__":
    main(*sys.argv[1:])
