"""Hosts that know their broker by an address which their own firewall rewrites, and so don't know whom not to block.

The packets that come back bear the broker's real address until after the filter that blocks have seen them.
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from agent.actions.firewall_drop.nftables import Nftables
from manager.api import tokens
from manager.api.bodies.blocks import Given, NewBlock
from manager.client import Client, request_id
from shared.messages import Order
from shared.store import reading
from tests.stage.fleet import API, COMMANDS, READY, Daemon, Fleet
from tests.stage.guard import Guard
from tests.waiting import wait_for

KNOWN = "198.51.100.1"  # what these hosts call their broker
REWRITE = """\
table ip nat {{
    chain output {{
        type nat hook output priority -100
        ip daddr {known} dnat to {real}
    }}
}}
"""
SHIPPED = (str(COMMANDS / "thwart-agent"), "run")
IMPATIENT = (sys.executable, "-m", "tests.fault.an_impatient_agent")


class BehindNat:
    """One such host with its agent."""

    def __init__(self, fleet: Fleet, name: str, number: int, command: Sequence[str] = IMPATIENT) -> None:
        """Its agent doesn't run yet; `command` starts it."""
        self.name, self._fleet = name, fleet
        url = fleet.broker.url.replace(real_address(fleet), KNOWN)
        self.daemon: Daemon = fleet.add_agent(name, number, broker=url, command=command)
        self.host = fleet.hosts[name]
        self.host.run("ip", "route", "add", KNOWN, "dev", "eth0")
        self.host.run("nft", "-f", "-", text=REWRITE.format(known=KNOWN, real=real_address(fleet)))

    def start(self) -> None:
        """Returns when the manager calls it living."""
        self.daemon.start()
        self._fleet.wait_until_known(self.name)

    def in_force(self) -> dict[str, float | None]:
        """What the kernel drops: seconds left by address."""
        return self.host.call(lambda: Nftables().inspect())

    def tests(self) -> list[dict[str, Any]]:
        """What it logged about each test of itself."""
        lines = [json.loads(line) for line in self.daemon.log.read_text().splitlines() if line.startswith("{")]
        return [line for line in lines if line.get("action") == "self_test"]

    def rollbacks(self, verdict: str) -> float:
        """What its metrics say."""
        text = self.host.call(lambda: str(urlopen("http://127.0.0.1:9464/metrics", timeout=5).read(), "utf-8"))
        wanted = f'thwart_rollbacks_total{{verdict="{verdict}"}}'
        return next(float(line.split()[-1]) for line in text.splitlines() if line.startswith(wanted))

    def block(self, *targets: str) -> list[Order]:
        """Orders by a person, for this host alone."""
        return self._fleet.hosts["manager1"].call(lambda: [self._block(target) for target in targets])

    def states(self) -> dict[str, tuple[str, str]]:
        """What the ledger says about its orders: state and detail by target."""
        query = """
SELECT o.target, oa.state, oa.detail FROM order_agents oa JOIN orders o ON o.id = oa.order_id WHERE oa.agent_id = ?
"""
        with reading(self._state / "ledger.db") as connection:
            return {row["target"]: (row["state"], row["detail"]) for row in connection.execute(query, (self.name,))}

    def answer(self, order: Order) -> tuple[str, str]:
        """What the ledger says about one order: state and detail."""
        query = "SELECT state, detail FROM order_agents WHERE order_id = ?"
        with reading(self._state / "ledger.db") as connection:
            return tuple(connection.execute(query, (order.id,)).fetchone())

    def handed_over(self, count: int) -> bool:
        """Whether so many orders are on its connection, or in it, and not acked."""
        queue = f"rabbit_misc:r(<<47>>, queue, <<{','.join(map(str, f'thwart.agent.{self.name}'.encode()))}>>)"
        unacked = "[{messages_unacknowledged, N}] = rabbit_amqqueue:info(Q, [messages_unacknowledged]), N"
        return int(self._fleet.broker.evaluate(f"{{ok, Q}} = rabbit_amqqueue:lookup({queue}), {unacked}")) >= count

    @property
    def _state(self) -> Path:
        return self._fleet.manager.folder / "state"

    def _block(self, target: str) -> Order:
        wish = NewBlock(request_id=request_id(), address=target, location="agent", agents=(self.name,), timeout=600.0)
        with Client(f"http://{API}", self._state / tokens.FILE) as client:
            (order,) = client.post("/v1/blocks", wish, Given).orders
            return order


def real_address(fleet: Fleet) -> str:
    """The broker's, which these hosts don't know."""
    return fleet.hosts["manager1"].address


def a_fleet(guard: Guard, folder: Path) -> Fleet:
    """A broker and a manager that run, and nobody else."""
    fleet = Fleet(guard, folder)
    fleet.broker.start()
    fleet.manager.start()
    wait_for(lambda: (fleet.manager.folder / "state" / tokens.FILE).exists(), READY)
    return fleet
