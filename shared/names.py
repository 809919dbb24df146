"""Agents' names: one word of a routing key, so no dots; Wazuh's numbers in one spelling."""

import re

_NUMBER = re.compile(r"[0-9]+", re.ASCII)
_LONGEST = 63
_FOREIGN = re.compile(r"[^A-Za-z0-9_-]+")


def agent_id(text: str) -> str:
    """`text` as an agent's id: `1` and `01` are `001`, everything else stays as it is."""
    return str(int(text)).zfill(3) if _NUMBER.fullmatch(text) else text


def agent_id_of_host(name: str) -> str:
    """An agent's id made of a host's name: what an id can't have becomes a hyphen."""
    word = _FOREIGN.sub("-", name).strip("-_")[:_LONGEST]
    return agent_id(word or "agent")
