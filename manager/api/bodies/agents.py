"""Agents, as they were last heard of."""

from typing import Literal

from msgspec import Struct


class AgentView(Struct, frozen=True, kw_only=True):
    """An agent as it was last heard of. Instants are Unix seconds by the manager's clock."""

    id: str
    state: Literal["living", "silent"]
    hostname: str
    roles: tuple[str, ...]
    labels: dict[str, str]
    addresses: tuple[str, ...]
    actions: dict[str, str]  # name -> backend
    unsupported: dict[str, str]  # name -> why not
    version: str
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
