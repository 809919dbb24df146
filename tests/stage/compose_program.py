"""Docker Compose, the program, on the tests' own engine, and with nothing of whoever runs the tests."""

import os
import subprocess
from collections.abc import Mapping

from shared.errors import ThwartError
from tests.stage.engine import Engine

LIMIT = 600.0  # s


class ComposeProgram:
    """Runs `docker compose`, one command after the other."""

    def __init__(self, engine: Engine) -> None:
        self._program = engine.programs / "usr/libexec/docker/cli-plugins/docker-compose"
        self._environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(engine.folder / "home"),  # no settings, no registry's password
            "DOCKER_HOST": f"unix://{engine.socket}",
            "COMPOSE_ANSI": "never",
            "COMPOSE_PROGRESS": "plain",
            "COMPOSE_MENU": "false",
        }

    def run(self, *words: str, environment: Mapping[str, str] | None = None, within: float = LIMIT) -> str:
        """What `docker compose WORDS` prints. Raises ThwartError with its words when it fails or takes longer."""
        try:
            done = subprocess.run(
                [str(self._program), *words],
                env={**self._environment, **(environment or {})},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                check=False,
                timeout=within,
            )
        except subprocess.TimeoutExpired as error:
            raise ThwartError(f"docker compose {' '.join(words)}: not within {within} s") from error
        if done.returncode:
            said = f"{done.stdout[-2_000:]}{done.stderr[-4_000:]}"
            raise ThwartError(f"docker compose {' '.join(words)} ended with {done.returncode}: {said}")
        return done.stdout
