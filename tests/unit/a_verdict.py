"""An alert judged by an `ossec.conf`, when nobody has offended before."""

from collections.abc import Callable

from manager.ledger.agents import Agent
from manager.ledger.offenders import Offender
from manager.responses.verdict import Verdict
from manager.roster import Members
from shared.messages import Alert, AlertAgent, AlertRule
from tests.unit.a_manager import ATTACKER, START, heartbeat

Judge = Callable[..., Verdict]

LOCAL_RULES = """
<group name="local,"><rule id="100001" level="0"><match>a</match></rule>
<rule id="100002" level="9"><match>b</match><options>no_ar</options></rule>
<rule id="100003" level="9"><match>c</match></rule></group>
"""


class Newcomers:
    """A standing in which nobody has offended and nobody holds anything."""

    def offender(self, response: str, target: str) -> Offender | None:
        return None

    def holding(self, response: str, target: str) -> frozenset[str]:
        return frozenset()


def members(*servers: str, agents: tuple[str, ...] = ("web1", "web2"), **said: object) -> Members:
    """Servers, and `agents` whose heartbeats say this too."""
    some = [heartbeat(agent, **said) for agent in agents] + [heartbeat(server, roles=("server",)) for server in servers]
    return Members(Agent(heartbeat=each, first_seen_at=START, seen_at=START) for each in some)


def alert(
    rule: str = "5712", level: int = 10, agent: str = "web1", groups: tuple[str, ...] = (), id: str = "a1", **fields
) -> Alert:
    about = {"data": {"srcip": ATTACKER}, **fields}
    return Alert(
        id=id,
        timestamp="2025-11-24T16:00:00+00:00",
        rule=AlertRule(id=rule, level=level, description="sshd: brute force", groups=groups),
        agent=AlertAgent(id=agent),
        **about,
    )
