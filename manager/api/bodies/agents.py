"""Agents, as they were last heard of."""

from msgspec import Struct

from manager.api.bodies.body import Body, Some
from manager.ledger.views import Life


class AgentFilter(Body, frozen=True, kw_only=True):
    """The query of GET /v1/agents. GET /v1/agents/ID answers one `AgentView`."""

    state: Life | None = None
    label: Some | None = None  # `name` or `name=value`


class AgentRemoved(Struct, frozen=True, kw_only=True):
    """DELETE /v1/agents/ID: nothing more is expected of it, and its queue is gone."""

    id: str
    withdrawn: int  # orders that were open there


class AgentView(Struct, frozen=True, kw_only=True):
    """An agent as it was last heard of. Instants are Unix seconds by the manager's clock."""

    id: str
    state: Life
    hostname: str
    roles: tuple[str, ...]
    labels: dict[str, str]
    addresses: tuple[str, ...]
    actions: dict[str, str]  # name -> backend
    unsupported: dict[str, str]  # name -> why not
    passed_over: dict[str, str]  # name -> why not by what is better than its backend
    version: str
    started_at: float  # its own clock
    policy: int  # the version of the allowlist that it has
    policy_current: bool  # that is the latest
    first_seen_at: float
    seen_at: float
    skew: float  # s that its clock is behind ours; the message's way included
    holds: int  # orders in force that have more than a minute left
    drift: int  # effects that its host has otherwise than they should be, and that are not put right yet
    unsent: int
    trouble: str


class Agents(Struct, frozen=True, kw_only=True):
    """GET /v1/agents, by id."""

    agents: tuple[AgentView, ...]
