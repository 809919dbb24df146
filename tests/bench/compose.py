"""From `docker compose up -d` to the first order carried out by everyone, beside RabbitMQ alone in the same run.

The images are there, the volumes are not: it is what a first start takes, less the build. RabbitMQ is there when it
answers AMQP; everyone when the manager has heard every agent, and each of them has answered one order to all.
"""

import socket
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

from msgspec import Struct
from rich.table import Table

from shared.errors import ThwartError
from tests.bench import frame
from tests.bench.busy import Busy
from tests.stage.compose import Compose
from tests.stage.container_fleet import ContainerFleet, Inside, blocked
from tests.stage.engine import Engine
from tests.waiting import wait_for

FLEETS = [1, 5]
TARGET = "198.51.100.1"
AMQP, HEADER, A_FRAME = 5672, b"AMQP\0\0\x09\x01", b"\x01"  # RabbitMQ answers the header with a frame
PATIENCE, PAUSE = 300.0, 0.05  # s for any of it, and between two looks


class Start(Struct, frozen=True, kw_only=True):
    """Seconds from the call of `docker compose up -d`; beside them what RabbitMQ alone took just before."""

    agents: int  # of the service `agent`; there is one more beside the manager
    broker: float  # RabbitMQ alone: it answers
    returned: float  # the call is over
    known: float  # the manager has heard everyone
    carried_out: float  # everyone has answered the first order
    one_more: float  # from the call that adds a replica until its kernel has the block


class Since:
    """Seconds from now on."""

    def __init__(self) -> None:
        self._began = time.perf_counter()

    def until(self, check: Callable[[], bool]) -> float:
        """How many it is once `check` says so. Raises AssertionError."""
        wait_for(check, PATIENCE, PAUSE)
        return self.now()

    def now(self) -> float:
        return time.perf_counter() - self._began


@contextmanager
def project(engine: Engine) -> Iterator[ContainerFleet]:
    """A fleet without volumes or containers, which are gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="thwart-bench-") as folder, Compose(engine, Path(folder)) as compose:
        yield ContainerFleet(compose)


def broker(engine: Engine) -> float:
    """RabbitMQ and the secrets that it reads."""
    with project(engine) as fleet, ThreadPoolExecutor(1) as pool:
        since = Since()
        up = pool.submit(fleet.compose.up, "rabbitmq")
        took = since.until(lambda: _answers(fleet))
        up.result()
        return took


def start(engine: Engine, agents: int) -> Start:
    """A fleet of so many, and then of one more."""
    alone = broker(engine)
    with project(engine) as fleet, ThreadPoolExecutor(1) as pool:
        since = Since()
        up = pool.submit(fleet.compose.up, scale={"agent": agents})
        returned = pool.submit(since.now)  # next in the only thread
        known = since.until(lambda: _living(fleet) == agents + 1)
        fleet.block(TARGET)
        carried_out = since.until(lambda: _applied(fleet) == agents + 1)
        up.result()
        more = _one_more(fleet, agents + 1)
    return Start(
        agents=agents, broker=alone, returned=returned.result(), known=known, carried_out=carried_out, one_more=more
    )


def _one_more(fleet: ContainerFleet, agents: int) -> float:
    since = Since()
    fleet.compose.up(scale={"agent": agents})
    return since.until(lambda: _has_it(fleet, agents))


def _answers(fleet: ContainerFleet) -> bool:
    with suppress(OSError, ValueError), fleet.host("rabbitmq").connect(("127.0.0.1", AMQP), 1.0) as connection:
        return _asked(connection)
    return False


def _asked(connection: socket.socket) -> bool:
    connection.settimeout(1.0)
    connection.sendall(HEADER)
    return connection.recv(1) == A_FRAME


def _living(fleet: ContainerFleet) -> int:
    with suppress(OSError, ValueError, ThwartError):
        return sum(each.state == "living" for each in fleet.agents().values())
    return 0


def _applied(fleet: ContainerFleet) -> int:
    return sum(row.status == "applied" for order in fleet.orders() for row in order.agents)


def _has_it(fleet: ContainerFleet, number: int) -> bool:
    newest = [each for each in fleet.running("agent") if each.number == number]
    return any(TARGET in blocked(Inside(each)) for each in newest)


def shown(starts: Sequence[Start]) -> Table:
    """A table for people."""
    table = frame.table("agents", "RabbitMQ alone", "up returns", "all known", "first order done", "one more has it")
    for each in starts:
        spans = (each.broker, each.returned, each.known, each.carried_out, each.one_more)
        table.add_row(str(each.agents), *(f"{span:.1f} s" for span in spans))
    return table


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit status: 0, or an exception when an order isn't carried out."""
    parser = frame.options("compose", __doc__)
    parser.add_argument("--agents", type=int, nargs="+", default=FLEETS, help="sizes of fleets, one after the other")
    wanted = parser.parse_args(arguments)
    with Engine() as engine:
        with project(engine):
            busy = Busy()  # the images are there
        starts = [start(engine, agents) for agents in wanted.agents]
    share = busy.share()
    ratios = ", ".join(f"{each.carried_out / each.broker:.2f}" for each in starts)
    said = f"first order : RabbitMQ alone = {ratios}"
    frame.tell({"s": starts}, share, shown(starts), said, as_json=wanted.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
