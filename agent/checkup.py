"""Asks the agent on this host how it is, over the socket in its state folder: no port has to be known."""

from contextlib import closing
from http.client import HTTPConnection, HTTPException
from pathlib import Path

from agent import sockets
from agent.folder import HEALTH
from shared import checkup
from shared.checkup import Checkup
from shared.errors import Unreachable


def looked_at(folder: Path) -> Checkup:
    """How the agent is that has `folder`. Raises Unreachable."""

    def get(path: str) -> bytes:
        with closing(HTTPConnection("agent")) as connection:
            connection.sock = sockets.connected(folder, HEALTH)
            connection.sock.settimeout(checkup.PATIENCE)
            connection.request("GET", path)
            return connection.getresponse().read()

    try:
        return checkup.ask(get)
    except (FileNotFoundError, ConnectionRefusedError) as error:
        raise Unreachable(f"no agent runs on this host with the state folder {folder}; see --config") from error
    except (HTTPException, ValueError) as error:
        raise Unreachable("the agent hung up before it answered; try again") from error
    except OSError as error:
        raise Unreachable(f"{folder / HEALTH}: {error.strerror or error}; run this as root") from error
