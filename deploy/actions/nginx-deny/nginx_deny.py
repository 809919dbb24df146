"""`nginx-deny`: blocked addresses and networks get 403 from nginx, and everything else on the host goes on for them.

    <command><name>nginx-deny</name><executable>nginx-deny</executable></command>
    <active-response> … <command>nginx-deny</command><timeout>600</timeout> … </active-response>

An example of an action that runs a program of the host. The file is this action's alone, and nginx is told of it once
for a whole batch. What nginx doesn't take is taken back, so that the file always says what is in force.
"""

import os
import re
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from agent.actions.action import Effect, Result
from agent.actions.tools.tool import Tool, Tools
from shared.errors import ActionError
from shared.targets import normalise_address

FILE = "/etc/nginx/conf.d/thwart-deny.conf"  # Debian's nginx.conf includes conf.d/*.conf in its http block
_LINE = re.compile(r"deny (\S+);")  # ngx_http_access_module: deny address | CIDR


class NginxDeny:
    """Implements `Action` (agent/actions/action.py). The keyword arguments are its `[actions.own.nginx-deny]`."""

    name = "nginx-deny"
    backend = "nginx"
    network = False  # true for what may cut the host off from its broker: then each block is proved afterwards
    exact = False  # nginx keeps no time: the agent calls `revert` when it has come

    def __init__(self, *, file: str = FILE, tools: Tools = Tools()) -> None:
        self._file, self._nginx = Path(file), Tool("nginx", tools)
        self._known: Collection[str] | None = None  # what `inspect` told, and what we have changed since

    def key(self, target: str, arguments: Sequence[str]) -> str:
        return normalise_address(target)

    def prepare(self) -> None:
        self._nginx.find()
        try:
            self._file.touch()
        except OSError as error:
            raise ActionError(f"{self._file}: {error.strerror}") from error

    def apply(self, effects: Sequence[Effect]) -> list[Result]:
        return self._change(effects, lambda denied, some: denied | some)

    def revert(self, effects: Sequence[Effect]) -> list[Result]:
        return self._change(effects, lambda denied, some: denied - some)

    def inspect(self) -> dict[str, float | None]:
        self._known = self._denied()
        return dict.fromkeys(self._known)

    def moved(self) -> bool:
        return self._known is None or self._denied() != self._known

    def _change(self, effects: Sequence[Effect], change: Callable[[set[str], set[str]], set[str]]) -> list[Result]:
        """All of them at once: nginx takes a file or it doesn't, and no address in it fails by itself."""
        problem = ""
        try:
            before = self._denied()
            if effects:
                self._deny(change(before, {each.key for each in effects}), before)
        except ActionError as error:
            problem = str(error)
        return [Result(key=each.key, problem=problem) for each in effects]

    def _deny(self, wanted: set[str], before: set[str]) -> None:
        """Also when the file has them already: an agent that was killed may not have come to tell nginx."""
        self._write(wanted)
        try:
            # nginx(8): reload checks the configuration first, and exits with 1 when it is wrong or nginx doesn't run
            self._nginx.run("-s", "reload")
        except ActionError:
            self._write(before)
            raise
        if self._known is not None and self._known == before:
            self._known = wanted

    def _denied(self) -> set[str]:
        try:
            return set(_LINE.findall(self._file.read_text()))
        except FileNotFoundError:
            return set()
        except OSError as error:
            raise ActionError(f"{self._file}: {error.strerror}") from error

    def _write(self, denied: set[str]) -> None:
        """Whole or not at all."""
        new = self._file.with_suffix(".new")
        try:
            new.write_text("".join(f"deny {each};\n" for each in sorted(denied)))
            os.replace(new, self._file)
        except OSError as error:
            raise ActionError(f"{self._file}: {error.strerror}") from error
