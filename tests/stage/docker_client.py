"""Docker's own interface, over the engine's socket, as far as the stage needs it.

What it answers is passed on as it is: its shapes are Docker's.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx

from shared.errors import ThwartError

CHUNK = 1 << 20
LIMIT = 120  # s for one answer; an image's import takes half a minute on a busy machine


class DockerClient:
    """Raises ThwartError with the engine's words, and httpx.TransportError where none answers."""

    def __init__(self, socket: Path) -> None:
        self._http = httpx.Client(
            transport=httpx.HTTPTransport(uds=str(socket)), base_url="http://engine", timeout=LIMIT
        )

    @property
    def answers(self) -> bool:
        """False also while it starts."""
        try:
            return self._http.get("/_ping", timeout=5).is_success
        except httpx.TransportError:
            return False

    def get(self, path: str, **parameters: str | bool) -> Any:
        """What Docker says of `path`, such as `/containers/json`."""
        return self._ask("GET", path, parameters)

    def labels(self, image: str) -> dict[str, str] | None:
        """The labels of an image; None: there is none of that name."""
        said = self._http.get(f"/images/{image}/json")
        return (said.json()["Config"]["Labels"] or {}) if said.is_success else None

    def saved(self, images: Sequence[str]) -> Iterator[bytes]:
        """What `docker save` writes: every layer, and how each image was made."""
        with self._http.stream("GET", "/images/get", params={"names": images}) as answer:
            answer.raise_for_status()
            yield from answer.iter_bytes(CHUNK)

    def pull(self, name: str) -> bool:
        """Fetches an image, if a registry answers that has it."""
        image, _, tag = name.rpartition(":")
        return not self._create_image([], fromImage=image, tag=tag)

    def import_image(self, name: str, tar: Iterable[bytes], changes: Sequence[str]) -> None:
        """An image of one layer, out of `tar`; `changes` are lines of a Dockerfile, such as `CMD`."""
        image, _, tag = name.rpartition(":")
        if error := self._create_image(tar, fromSrc="-", repo=image, tag=tag, changes=changes):
            raise ThwartError(f"import of {name}: {error}")

    def remove_image(self, name: str) -> None:
        """Takes its name away, and what has no other one; there may be none."""
        self._ask("DELETE", f"/images/{name}", {"force": True}, gone=True)

    def clear(self) -> None:
        """Removes every container, volume and network. Images stay, but those without a name for a day."""
        for each in self.get("/containers/json", all=True):
            self._ask("DELETE", f"/containers/{each['Id']}", {"force": True, "v": True}, gone=True)
        for each in self.get("/volumes")["Volumes"] or ():
            self._ask("DELETE", f"/volumes/{each['Name']}", {"force": True}, gone=True)
        self._ask("POST", "/networks/prune", {})
        self._ask("POST", "/images/prune", {"filters": json.dumps({"dangling": ["true"], "until": ["24h"]})})

    def close(self) -> None:
        """It can't be asked any more."""
        self._http.close()

    def _create_image(self, tar: Iterable[bytes], **parameters: str | Sequence[str]) -> str:
        """What went wrong. Docker says so behind what went well, too."""
        with self._http.stream("POST", "/images/create", params=parameters, content=tar) as answer:
            lines = [json.loads(line) for line in answer.iter_lines() if line]
        words = [line.get("error") or line.get("message") for line in lines]
        return next((word for word in words if word), "")

    def _ask(self, method: str, path: str, parameters: dict[str, str | bool], *, gone: bool = False) -> Any:
        answer = self._http.request(method, path, params=parameters)
        if answer.is_error and not (gone and answer.status_code in (404, 409)):
            raise ThwartError(f"docker {method} {path}: {answer.text.strip()}")
        return answer.json() if answer.is_success and answer.content else None
