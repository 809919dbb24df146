"""The images that docker-compose.yml pulls: from a registry, or else out of Debian's packages under the same names.

Grafana is in no Debian: a fleet of the stage has none.
"""

import fcntl
import hashlib
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

from shared.errors import ThwartError
from tests.stage import debian
from tests.stage.compose_program import ComposeProgram
from tests.stage.engine import SUITE, Engine

IMAGES = Path(__file__).with_name("images")
PYTHON, RABBITMQ, PROMETHEUS = "python:3.13-slim", "rabbitmq:4-management", "prom/prometheus:v2.53.3"
SERVICES = {PYTHON: "python", RABBITMQ: "rabbitmq", PROMETHEUS: "prometheus"}
# The second is one that other tests need, too.
ROOTS = {
    "python": ("ca-certificates", "python3-pip", "python3-venv"),
    "rabbitmq": ("rabbitmq-server",),
}
# What is made when a package is installed, and would be the same in every container.
EXCLUDED = ("./var/lib/rabbitmq/*", "./etc/ssl/private/*", "./etc/machine-id")
# The machine's own, for where an authority of its own answers for the package index.
CERTIFICATES = "etc/ssl/certs/ca-certificates.crt"
CHUNK = 1 << 20
MADE_FROM = "thwart.made-from"


def prepare(engine: Engine) -> None:
    """Makes what `engine` lacks: two minutes the first time, others wait for it. Raises ThwartError."""
    with (engine.folder / "making").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        recipes = _recipes()
        if wanted := [image for image in SERVICES if _is_wanted(engine, image, recipes)]:
            _make(engine, wanted, recipes)


def _recipes() -> str:
    """Another one when something is made in another way."""
    files = [path.read_bytes() for path in sorted(IMAGES.iterdir())]
    return hashlib.sha256(repr((SUITE, ROOTS, EXCLUDED, files)).encode()).hexdigest()


def _is_wanted(engine: Engine, image: str, recipes: str) -> bool:
    """What was made here must be made from these recipes; what came from elsewhere is left alone."""
    labels = engine.client.labels(image)
    if labels is None:
        return not engine.client.pull(image)
    return labels.get(MADE_FROM, recipes) != recipes


def _make(engine: Engine, images: Sequence[str], recipes: str) -> None:
    changes = ["CMD sh", f"LABEL {MADE_FROM}={recipes}"]  # which what is built on it has, too
    for name, packages in ROOTS.items():
        engine.client.import_image(f"thwart-debian:{name}", _tar(debian.kept(SUITE, *packages)), changes)
    compose = ComposeProgram(engine)
    for image in images:  # the first is what the last is built on
        compose.run("--file", str(IMAGES / "compose.yml"), "build", SERVICES[image])


def _tar(root: Path) -> Iterator[bytes]:
    excluded, others = [*EXCLUDED], []
    if Path("/", CERTIFICATES).exists():
        excluded, others = [*EXCLUDED, f"./{CERTIFICATES}"], ["--directory=/", CERTIFICATES]
    patterns = [f"--exclude={path}" for path in excluded]
    command = ["tar", "--create", "--numeric-owner", "--anchored", *patterns, f"--directory={root}", ".", *others]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as tar:
        assert tar.stdout is not None
        while chunk := tar.stdout.read(CHUNK):
            yield chunk
    if tar.returncode:
        raise ThwartError(f"tar of {root} ended with {tar.returncode}")
