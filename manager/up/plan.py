"""What `thwart up` is to run: pure, from the options to the two daemons' settings files."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from msgspec import Struct

from manager.api import tokens

SBIN = ("/usr/sbin", "/sbin")  # where programs are that a user's PATH may lack, also root's after `su`
Settings = Mapping[str, Mapping[str, Any]]  # section -> key -> value


class Plan(Struct, frozen=True, kw_only=True):
    """One host's whole. Ports are of loopback and settled."""

    state: Path
    ossec_conf: Path
    rules: tuple[Path, ...]
    logs: tuple[Path, ...]  # none: the journal
    api_port: int
    metrics_port: int
    broker_port: int

    @property
    def api(self) -> str:
        """Where the manager's API is."""
        return f"http://127.0.0.1:{self.api_port}"

    @property
    def token_file(self) -> Path:
        """Where its token is, once the manager has started."""
        return self.state / "manager" / tokens.FILE

    @property
    def follows(self) -> str:
        """What the agent follows, for people."""
        return ", ".join(map(str, self.logs)) or "the systemd journal"

    def manager(self, broker: str) -> Settings:
        """The manager's settings."""
        return {
            "broker": {"urls": [broker]},
            "manager": {
                "state_dir": str(self.state / "manager"),
                "ossec_conf": str(self.ossec_conf),
                "rules": [str(each.absolute()) for each in self.rules],
            },
            "api": {"listen": f"127.0.0.1:{self.api_port}", "token_file": ""},
        }

    def agent(self, broker: str) -> Settings:
        """The agent's settings. It has the server role: this is a manager's host."""
        logs: list[dict[str, Any]] = [{"path": str(each.absolute())} for each in self.logs]
        return {
            "broker": {"urls": [broker]},
            "agent": {
                "state_dir": str(self.state / "agent"),
                "roles": ["server"],
                "logs": logs or [{"journal": True}],
            },
            "metrics": {"listen": f"127.0.0.1:{self.metrics_port}"},
        }


def written(settings: Settings) -> str:
    """As TOML. JSON's strings, numbers, booleans and lists are TOML's too."""
    sections = (
        f"[{section}]\n" + "".join(f"{key} = {_value(value)}\n" for key, value in keys.items())
        for section, keys in settings.items()
    )
    return "\n".join(sections)


def environment(settings: Settings, outer: Mapping[str, str]) -> dict[str, str]:
    """`outer` without what would overrule `settings`; every other setting can still be given in it."""
    ours = {f"THWART_{section}_{key}".upper() for section, keys in settings.items() for key in keys}
    path = ":".join((outer.get("PATH", "/usr/bin:/bin"), *SBIN))
    return {name: value for name, value in outer.items() if name not in ours} | {"PATH": path}


def _value(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{key} = {_value(each)}" for key, each in value.items()) + " }"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return "[" + ", ".join(map(_value, value)) + "]"
    return json.dumps(value)
