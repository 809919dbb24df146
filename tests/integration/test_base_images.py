"""The stage's own base images behave as the official ones, as far as docker-compose.yml relies on them."""

import io
import secrets
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from tests.stage import base_images
from tests.stage.compose_program import ComposeProgram
from tests.stage.engine import Engine
from tests.stage.network import Host
from tests.stage.rights import rights
from tests.waiting import wait_for

pytestmark = [pytest.mark.root, pytest.mark.timeout(300)]

NOBODY = 65_534
STARTED = 120.0  # s for a RabbitMQ on a busy machine
# As the project's own file has them, who may do less than an image's user may think.
SERVICES = f"""
x-few-rights: &few-rights {{cap_drop: [ALL], security_opt: ["no-new-privileges:true"]}}
services:
  python: {{<<: *few-rights, image: "{base_images.PYTHON}", command: [sleep, "3600"], init: true}}
  prometheus: {{<<: *few-rights, image: "{base_images.PROMETHEUS}", volumes: ["metrics:/prometheus"]}}
  rabbitmq:
    <<: *few-rights
    image: "{base_images.RABBITMQ}"
    cap_add: [CHOWN, DAC_OVERRIDE, FOWNER, SETGID, SETUID]
    volumes: ["queues:/var/lib/rabbitmq"]
volumes: {{metrics: , queues: }}
"""
RECIPE = """
services:
  a: &any
    image: thwart-own/a:test
    build: {{context: ., dockerfile_inline: "FROM thwart-debian:python\\nLABEL taste={taste}"}}
  b: {{<<: *any, image: "thwart-own/b:test"}}
"""
Run = Callable[..., str]


@pytest.fixture
def run(engine: Engine, tmp_path: Path) -> Iterator[Run]:
    """Docker Compose, on a project of one container of each image."""
    (tmp_path / "compose.yml").write_text(SERVICES)
    program = ComposeProgram(engine)

    name = f"base-images-{secrets.token_hex(4)}"  # another worker's is beside it

    def run(*words: str) -> str:
        return program.run("--project-directory", str(tmp_path), "--project-name", name, *words)

    yield run
    run("kill")
    run("down", "--volumes")


def _pid(engine: Engine, run: Run, service: str) -> int:
    return engine.pid(run("ps", "--quiet", "--no-trunc", service).strip())


def _answers(host: Host, url: str) -> bool:
    try:
        return host.call(lambda: httpx.get(url, trust_env=False, timeout=5)).is_success
    except httpx.TransportError:
        return False


def test_python_builds_what_it_is_the_base_of(run: Run) -> None:
    """`python`, `pip` and an environment are there under the names that the Dockerfiles call, on a Debian with apt."""
    run("up", "--detach", "python")
    said = run("exec", "-T", "python", "bash", "-ec", "python --version; pip --version; command -v python apt-get")
    assert said.startswith("Python 3.13.")
    assert said.splitlines()[2:] == ["/usr/local/bin/python", "/usr/bin/apt-get"]
    run("exec", "-T", "python", "sh", "-ec", "python -m venv /tmp/own && /tmp/own/bin/pip --version")


def test_rabbitmq_is_root_no_longer_than_it_must(engine: Engine, run: Run) -> None:
    """Its entrypoint gives a new volume to RabbitMQ's user and becomes that, and the log is on standard output."""
    run("up", "--detach", "rabbitmq")
    wait_for(lambda: "Server startup complete" in run("logs", "rabbitmq"), within=STARTED)
    pid = _pid(engine, run, "rabbitmq")
    assert rights(pid).user not in (0, NOBODY)
    assert Path(f"/proc/{pid}/root/var/lib/rabbitmq").stat().st_uid == rights(pid).user
    wait_for(lambda: _answers(_host(pid), "http://127.0.0.1:15692/metrics"), within=STARTED)


def test_prometheus_is_nobody(engine: Engine, run: Run) -> None:
    """It keeps what it scrapes in a new volume without being root, and needs no argument."""
    run("up", "--detach", "prometheus")
    pid = _pid(engine, run, "prometheus")
    wait_for(lambda: _answers(_host(pid), "http://127.0.0.1:9090/-/ready"), within=STARTED)
    assert rights(pid).user == NOBODY
    assert list(Path(f"/proc/{pid}/root/prometheus").iterdir())


def test_what_is_made_here_follows_its_recipe(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An image is made when there is none, and anew when its recipe changes; one from elsewhere is left alone."""
    recipes = tmp_path / "compose.yml"
    monkeypatch.setattr(base_images, "IMAGES", tmp_path)
    monkeypatch.setattr(base_images, "_tar", lambda root: [_empty_tar()])
    monkeypatch.setattr(base_images, "SERVICES", {"thwart-own/a:test": "a", "thwart-own/b:test": "b"})
    with Engine(tmp_path_factory.mktemp("e")) as engine:
        engine.client.import_image("thwart-own/b:test", [_empty_tar()], ["LABEL taste=old"])
        for taste in ("sweet", "sour"):
            recipes.write_text(RECIPE.format(taste=taste))
            base_images.prepare(engine)
            assert (engine.client.labels("thwart-own/a:test") or {})["taste"] == taste
        assert engine.client.labels("thwart-own/b:test") == {"taste": "old"}
        assert engine.client.labels("thwart-own/c:test") is None


def _empty_tar() -> bytes:
    with io.BytesIO() as file:
        tarfile.open(fileobj=file, mode="w").close()
        return file.getvalue()


def _host(pid: int) -> Host:
    return Host("inside", f"/proc/{pid}/ns/net", ())
