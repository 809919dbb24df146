"""A fleet out of docker-compose.yml, as it is, on the tests' own engine: a project, its containers, their networks.

`python -m tests.stage.compose` makes every image that it needs, so that no test has to wait for them.
"""

import fcntl
import functools
import json
import secrets
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from msgspec import Struct

from shared.errors import ThwartError
from tests.stage import base_images
from tests.stage.compose_program import LIMIT, ComposeProgram
from tests.stage.engine import PROJECT, Engine

LABEL = "com.docker.compose."
FLEET = "docker-compose.yml"
# Every port is any free one, so that several fleets have room. Grafana has no image here.
PORTS = ("THWART_API_PORT", "THWART_PROMETHEUS_PORT", "THWART_GRAFANA_PORT", "THWART_RABBITMQ_PORT")
LEFT_OUT = "services: {grafana: {profiles: [nowhere]}}\n"
CLEAR_LINE = "\x1b[2K"  # Compose puts it there, whatever it is told of colours
EVERY_PROFILE = ("--profile", "*")
EXEC = 60.0  # s for a command in a container, on a busy machine


class Container(Struct, frozen=True, kw_only=True):
    """One of a fleet, as it was when it was asked for."""

    service: str
    number: int  # which of its service's, from 1
    id: str
    name: str
    health: str  # `healthy`, `unhealthy`, `starting`; nothing: it has no check
    exit_code: int
    pid: int  # this machine's number for its first process; 0: it has none


class Compose:
    """One project, of `docker-compose.yml` or another `file` of the tree. What is running of it ends with it, volumes
    and all.
    """

    def __init__(
        self,
        engine: Engine,
        folder: Path,
        *,
        tree: Path = PROJECT,
        file: str = FLEET,
        profiles: Sequence[str] = (),
        override: str = "",
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """Builds the images of `tree` first, and keeps to them whatever others build; nothing is started yet.

        `folder` is the project's own, for what is changed of the compose file: `override` is one more such file.
        `environment` is for the file's variables; it sees no others.
        """
        self.engine, self.project = engine, f"fleet-{secrets.token_hex(4)}"
        self._program, images = _built(engine, tree)
        self._environment = {**dict.fromkeys(PORTS, "0"), **(environment or {})}
        files = [tree / file, *_written(folder, LEFT_OUT if file == FLEET else "", override)]
        self._words = ["--project-name", self.project, "--project-directory", str(files[0].parent)]
        self._words += [word for each in files for word in ("--file", str(each))]
        self._profiles = [word for profile in profiles for word in ("--profile", profile)]
        (folder / "images.yml").write_text(json.dumps({"services": _with_images(self.services(), images)}))
        self._words += ["--file", str(folder / "images.yml")]

    def run(self, *words: str) -> str:
        """What `docker compose WORDS` prints. Raises ThwartError with its words when it fails."""
        return self._run(*self._profiles, *words)

    def up(self, *services: str, scale: Mapping[str, int] | None = None, options: Sequence[str] = ()) -> None:
        """Starts `services`, or all, in the background; with `scale` so many of each. `options` are further ones."""
        scaled = [word for service, count in (scale or {}).items() for word in ("--scale", f"{service}={count}")]
        self.run("up", "--detach", "--no-build", *scaled, *options, *services)

    def stop(self, *services: str) -> None:
        """In good order; the containers stay."""
        self.run("stop", *services)

    def start(self, *services: str) -> None:
        """What was stopped or killed."""
        self.run("start", *services)

    def restart(self, *services: str) -> None:
        """Stops and starts the same containers."""
        self.run("restart", *services)

    def exec(self, service: str, *command: str) -> str:
        """What `command` prints in the service's first. Raises ThwartError with its words when it fails."""
        return self._run(*self._profiles, "exec", "-T", "--index", "1", service, *command, within=EXEC)

    def logs(self, *services: str) -> str:
        """What they have printed so far, each line behind its container's name."""
        return self.run("logs", "--no-color", *services).replace(CLEAR_LINE, "")

    def down(self, *, volumes: bool = False) -> None:
        """Removes the containers of every profile and their networks; with `volumes` those too."""
        self._run(*EVERY_PROFILE, "down", "--remove-orphans", *(["--volumes"] if volumes else []))

    def services(self) -> Any:
        """What the file says of each, by name, as Compose understands it."""
        return json.loads(self._run(*EVERY_PROFILE, "config", "--format", "json"))["services"]

    def containers(self, service: str = "") -> list[Container]:
        """Of `service`, or all, by number; also those that have ended."""
        found = self.engine.client.get("/containers/json", all=True, filters=self._filters())
        made = [self._container(each["Id"]) for each in found if service in ("", each["Labels"][f"{LABEL}service"])]
        return sorted(made, key=lambda each: (each.service, each.number))

    def inspect(self, container: Container) -> Any:
        """What Docker says of it."""
        return self.engine.client.get(f"/containers/{container.id}/json")

    def close(self) -> None:
        """At once, and with the volumes."""
        self._run(*EVERY_PROFILE, "kill")
        self.down(volumes=True)

    def __enter__(self) -> "Compose":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _run(self, *words: str, within: float = LIMIT) -> str:
        return self._program.run(*self._words, *words, environment=self._environment, within=within)

    def _filters(self) -> str:
        return f'{{"label": ["{LABEL}project={self.project}", "{LABEL}oneoff=False"]}}'

    def _container(self, container_id: str) -> Container:
        said = self.engine.client.get(f"/containers/{container_id}/json")
        labels, state = said["Config"]["Labels"], said["State"]
        return Container(
            service=labels[f"{LABEL}service"],
            number=int(labels[f"{LABEL}container-number"]),
            id=container_id,
            name=said["Name"].removeprefix("/"),
            health=state.get("Health", {}).get("Status", ""),
            exit_code=state["ExitCode"],
            pid=self.engine.pid(container_id) if state["Pid"] else 0,
        )


def _written(folder: Path, *texts: str) -> list[Path]:
    files = [folder / f"override-{number}.yml" for number, text in enumerate(texts) if text]
    for file, text in zip(files, filter(None, texts), strict=True):
        file.write_text(text)
    return files


@functools.cache
def _built(engine: Engine, tree: Path) -> tuple[ComposeProgram, dict[str, str]]:
    """Once for each tree: every image that its file builds; and their ids, by name.

    What is the same as in the last run is not built again.
    """
    base_images.prepare(engine)
    program, words = ComposeProgram(engine), ("--project-directory", str(tree), *EVERY_PROFILE)
    with (engine.folder / "building").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # a run of another tree gives the same names
        program.run(*words, "build")
        services = json.loads(program.run(*words, "config", "--format", "json"))["services"].values()
        names = {each["image"] for each in services if "build" in each}
        return program, {name: engine.client.get(f"/images/{name}/json")["Id"] for name in names}


def _with_images(services: Mapping[str, Any], images: Mapping[str, str]) -> dict[str, Any]:
    """What is to be said of those services whose image is one of `images`."""
    named = {name: each.get("image") for name, each in services.items()}
    return {name: {"image": images[image]} for name, image in named.items() if image in images}


if __name__ == "__main__":
    try:
        with Engine() as own:
            _built(own, PROJECT)
    except ThwartError as error:
        sys.exit(str(error))
