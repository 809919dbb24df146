"""A real Prometheus that knows what a test says was scraped, from the start: nobody waits for scrapes."""

import math
import re
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import httpx
from prometheus_client.parser import text_string_to_metric_families

from tests.stage.guard import Guard
from tests.stage.process import Process
from tests.waiting import wait_for

_PORT = re.compile(r'msg="Listening on" address=127\.0\.0\.1:(\d+)')


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


class Prometheus:
    """Started with a history; its guard ends it."""

    def __init__(self, guard: Guard, folder: Path, history: Iterable[str]) -> None:
        """`history` is made of `samples`."""
        text, data = folder / "history.openmetrics", folder / "data"
        text.write_text("".join(history) + "# EOF\n")
        (folder / "prometheus.yml").write_text("global: {}\n")
        subprocess.run(
            ["promtool", "tsdb", "create-blocks-from", "openmetrics", str(text), str(data)],
            check=True,
            capture_output=True,
            timeout=30,
        )
        command = ["prometheus", f"--config.file={folder / 'prometheus.yml'}", f"--storage.tsdb.path={data}"]
        self._process = Process(guard, [*command, "--web.listen-address=127.0.0.1:0"], folder / "log")
        port = wait_for(lambda: _PORT.search(self._process.log.read_text()), within=20)
        self._client = httpx.Client(base_url=f"http://127.0.0.1:{port[1]}/api/v1", trust_env=False, timeout=20)
        wait_for(lambda: self._client.get("/status/tsdb").status_code == 200, within=20)

    def instant(self, expression: str, at: float) -> list[dict[str, Any]]:
        """The series at that second, each with its `value`. Raises AssertionError with Prometheus' words."""
        return self._ask("/query", query=expression, time=at)

    def span(self, expression: str, start: float, end: float, step: float) -> list[dict[str, Any]]:
        """The series in between, each with its `values`. Raises AssertionError with Prometheus' words."""
        return self._ask("/query_range", query=expression, start=start, end=end, step=step)

    def _ask(self, path: str, **parameters: Any) -> list[dict[str, Any]]:
        answer = self._client.post(path, data=parameters).json()
        assert answer["status"] == "success", f"{parameters['query']}: {answer.get('error')}"
        found: list[dict[str, Any]] = answer["data"]["result"]
        return found
