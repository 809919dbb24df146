"""A client of a manager that takes connections and says nothing."""

import socket
from pathlib import Path

import pytest

from manager.api.bodies.agents import Agents
from manager.client import Client
from shared.errors import Unreachable


def test_a_limit_is_for_one_try(tmp_path: Path) -> None:
    """Who presses Tab, or gathers a bundle, waits for what was said and not for three times that."""
    token = tmp_path / "token"
    token.write_text("operator 0123456789abcdef\n")
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        url = f"http://127.0.0.1:{deaf.getsockname()[1]}"
        with Client(url, token, limit=0.05) as client, pytest.raises(Unreachable, match="timed out"):
            client.get("/v1/agents", Agents)
        deaf.setblocking(False)
        deaf.accept()[0].close()
        with pytest.raises(BlockingIOError):
            deaf.accept()
