"""Runs a host's broker, manager and agent until one of them ends or somebody says stop. It is no supervisor.

The rule it keeps: what is started later needs what was started before, so the agent ends first and the broker last; and
none of them outlives this process, whatever ends it.
"""

import ctypes
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import FrameType
from typing import NoReturn

import tenacity

from manager.api.bodies.agents import Agents
from manager.client import Client
from manager.up import leash
from manager.up.child import Child
from manager.up.plan import Plan, Settings, environment, written
from manager.up.private_broker import SERVER, PrivateBroker, write_secret
from shared import folder
from shared.errors import ActionError, ApiError, BrokerError, PartEnded, SettingsError

READY = 30.0  # s for a daemon to be of use
STOPPING = 15.0  # s for it to stop in good order
NFTABLES = "libnftables.so.1"  # what the agent will load, if it is there
COMMANDS = Path(sys.executable).parent  # where `thwart` and `thwart-agent` are
STAY = "blocks stay in force, and end on time by nftables and ipset, by anything else once an agent runs again"
ENDERS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

Tell = Callable[[str], None]


def run(plan: Plan, tell: Tell, of_use: Callable[[], None]) -> None:
    """Returns when it was told to stop and everything has; calls `of_use` once the agent is known to the manager.

    Raises PartEnded when a part ended by itself, FolderInUse, BrokerError; nothing runs any more then.
    """
    with folder.owned(plan.state, "--state"), _until_interrupted(tell), ExitStack() as stack:
        try:
            _until_one_ends(plan, stack, tell, of_use)
        finally:
            _heed_no_more()  # else Ctrl-C now would pass for the reason, and cut short what stops


def _until_one_ends(plan: Plan, stack: ExitStack, tell: Tell, of_use: Callable[[], None]) -> NoReturn:
    tell("starting a private RabbitMQ node")
    broker = PrivateBroker(plan.state / "broker", port=plan.broker_port, inside=leash.command())
    stack.callback(broker.close)
    stack.callback(tell, "stopping the RabbitMQ node")
    broker.start()
    parts = Parts(plan, stack, tell, lambda: broker.running)
    parts.start("manager", [str(COMMANDS / "thwart"), "manager"], plan.manager(broker.url))
    parts.wait_for(lambda _: True)
    began = time.time()
    parts.start("agent", [str(COMMANDS / "thwart-agent"), "run"], plan.agent(broker.url))
    parts.wait_for(lambda agents: _hears_from_one(agents, began))
    of_use()
    os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOWAIT)
    parts.check()
    raise PartEnded(f"the RabbitMQ node's epmd ended by itself; everything else was stopped, {STAY}")


class Parts:
    """The daemons, each with a settings file in the state folder. The stack's end stops them, the last first."""

    def __init__(self, plan: Plan, stack: ExitStack, tell: Tell, broker_runs: Callable[[], bool]) -> None:
        self._plan, self._stack, self._tell, self._broker_runs = plan, stack, tell, broker_runs
        self._daemons: dict[str, Child] = {}

    def start(self, name: str, command: Sequence[str], settings: Settings) -> None:
        """Starts a daemon. Raises PartEnded when it can't be."""
        self._tell(f"starting the {name}")
        path = write_secret(self._plan.state / f"{name}.toml", written(settings))  # the broker's password is in it
        try:
            child = Child([*leash.command(), *command, "--config", str(path)], environment(settings, os.environ))
        except OSError as error:
            raise PartEnded(f"the {name} can't be started: {command[0]}: {error.strerror}") from error
        self._stack.callback(child.end, signal.SIGTERM, STOPPING)
        self._stack.callback(self._tell, f"stopping the {name}")
        self._daemons[name] = child

    def check(self) -> None:
        """Raises PartEnded when one has ended."""
        for name, child in self._daemons.items():
            if not child.running:
                raise PartEnded(
                    f"the {name} ended by itself ({child.ending}), see what it said above; "
                    f"everything else was stopped, {STAY}"
                )
        if not self._broker_runs():
            raise PartEnded(
                f"the RabbitMQ node ended by itself, see {self._plan.state / 'broker' / 'server.log'}; everything else "
                f"was stopped, {STAY}"
            )

    def wait_for(self, of_use: Callable[[Agents], bool]) -> None:
        """Returns when the manager answers, and with agents that are `of_use`.

        Raises PartEnded when that takes too long, or one has ended.
        """
        attempts = tenacity.Retrying(
            retry=tenacity.retry_if_result(lambda answer: not answer)
            # neither API nor token are there at once
            | tenacity.retry_if_exception_type((ApiError, SettingsError)),
            wait=tenacity.wait_fixed(0.1),
            stop=tenacity.stop_after_delay(READY),
        )
        try:
            attempts(self._ask, of_use)
        except tenacity.RetryError as error:
            raise PartEnded(f"the {list(self._daemons)[-1]} was of no use within {READY:.0f} s") from error

    def _ask(self, of_use: Callable[[Agents], bool]) -> bool:
        self.check()
        with Client(self._plan.api, self._plan.token_file) as client:
            return of_use(client.get("/v1/agents", Agents))


def _hears_from_one(found: Agents, since: float) -> bool:
    """True when an agent that started `since` has been heard; the roster knows those of the last time too."""
    return any(each.started_at >= since for each in found.agents)


@contextmanager
def _until_interrupted(tell: Tell) -> Iterator[None]:
    """Ends what is inside at the first of ENDERS, once; while that stops, further ones are not heeded."""

    def interrupt(number: int, _: FrameType | None) -> None:
        _heed_no_more()
        raise KeyboardInterrupt

    before = {each: signal.signal(each, interrupt) for each in ENDERS}
    try:
        yield
    except KeyboardInterrupt:
        tell(f"everything has stopped; {STAY}")
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


def _heed_no_more() -> None:
    for each in ENDERS:
        signal.signal(each, signal.SIG_IGN)


def require(plan: Plan) -> None:
    """Raises what says which part this host lacks, and what to install."""
    if os.geteuid() != 0:
        raise ActionError("the agent changes the firewall and reads logs: run this as root, with sudo")
    if not SERVER.exists():
        raise BrokerError(f"{SERVER}: not found; install RabbitMQ: apt-get install rabbitmq-server")
    if not (_has_nftables() or _found("iptables")):
        raise ActionError(f"{NFTABLES}: not found, nor iptables; install nftables: apt-get install nftables")
    if not plan.logs and not _found("journalctl"):
        raise SettingsError("there is neither /var/log/auth.log nor a systemd journal; name a log file with --log")


def _found(program: str) -> bool:
    """Where the daemons will look for it, which is more than a PATH without /usr/sbin tells."""
    return shutil.which(program, path=environment({}, os.environ)["PATH"]) is not None


def _has_nftables() -> bool:
    try:
        ctypes.CDLL(NFTABLES)
    except OSError:
        return False
    return True
