"""A real Prometheus: one that scrapes, or that knows from the start what a test says was scraped."""

import math
import re
import subprocess
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx
from prometheus_client.parser import text_string_to_metric_families

from tests.stage.guard import Guard
from tests.stage.process import Process
from tests.waiting import wait_for

Call = Callable[[Callable[[], httpx.Response]], httpx.Response]
_PORT = re.compile(r'msg="Listening on" address=127\.0\.0\.1:(\d+)')


def _here(ask: Callable[[], httpx.Response]) -> httpx.Response:
    return ask()


def samples(exposition: str, at: float, **labels: str) -> str:
    """What an exposition comes to when it is scraped at that second, in OpenMetrics, whose end is still missing."""
    return "".join(
        f"{sample.name}{{{_labels({**labels, **sample.labels})}}} {_number(sample.value)} {at:.3f}\n"
        for family in text_string_to_metric_families(exposition)
        for sample in family.samples
    )


def _labels(labels: Mapping[str, str]) -> str:
    return ",".join(f'{name}="{word}"' for name, word in labels.items())


def _number(value: float) -> str:
    return "NaN" if math.isnan(value) else repr(value)


class Queries:
    """What the Prometheus at `url` (`http://HOST:PORT`) knows; `call` is the way there."""

    def __init__(self, url: str, call: Call = _here) -> None:
        self._url, self._call = f"{url}/api/v1", call

    def instant(self, expression: str, at: float) -> list[dict[str, Any]]:
        """The series at that second, each with its `value`. Raises AssertionError with Prometheus' words."""
        return self._ask("/query", query=expression, time=at)

    def span(self, expression: str, start: float, end: float, step: float) -> list[dict[str, Any]]:
        """The series in between, each with its `values`. Raises AssertionError with Prometheus' words."""
        return self._ask("/query_range", query=expression, start=start, end=end, step=step)

    def alerts(self) -> set[str]:
        """The names of the alerts that it has loaded."""
        groups = self._get("/rules?type=alert").json()["data"]["groups"]
        return {rule["name"] for group in groups for rule in group["rules"]}

    def ready(self) -> bool:
        """Raises httpx.TransportError while nobody listens."""
        return self._get("/status/tsdb").status_code == 200

    def _ask(self, path: str, **parameters: Any) -> list[dict[str, Any]]:
        answer = self._call(lambda: httpx.post(self._url + path, data=parameters, trust_env=False, timeout=20)).json()
        assert answer["status"] == "success", f"{parameters['query']}: {answer.get('error')}"
        found: list[dict[str, Any]] = answer["data"]["result"]
        return found

    def _get(self, path: str) -> httpx.Response:
        return self._call(lambda: httpx.get(self._url + path, trust_env=False, timeout=20))


class Prometheus(Queries):
    """One server on a free port of loopback; its guard ends it."""

    def __init__(
        self, guard: Guard, folder: Path, configuration: str, *, inside: Sequence[str] = (), call: Call = _here
    ) -> None:
        """Returns when it answers. `inside` and `call` are a host's of the stage, for one that runs there.

        What is in `folder`'s `data` it knows from the start.
        """
        (folder / "prometheus.yml").write_text(configuration)
        files = [f"--config.file={folder / 'prometheus.yml'}", f"--storage.tsdb.path={folder / 'data'}"]
        command = [*inside, "prometheus", *files, "--web.listen-address=127.0.0.1:0"]
        process = Process(guard, command, folder / "log")
        port = wait_for(lambda: _PORT.search(process.log.read_text()), within=20)
        super().__init__(f"http://127.0.0.1:{port[1]}", call)
        wait_for(self.ready, within=20)


def with_history(guard: Guard, folder: Path, history: Iterable[str]) -> Prometheus:
    """A server that scrapes nothing, and has scraped `history`, which is made of `samples`."""
    text = folder / "history.openmetrics"
    text.write_text("".join(history) + "# EOF\n")
    command = ["promtool", "tsdb", "create-blocks-from", "openmetrics", str(text), str(folder / "data")]
    subprocess.run(command, check=True, capture_output=True, timeout=30)
    return Prometheus(guard, folder, "global: {}\n")
