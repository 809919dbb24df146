"""The running program's own settings: a TOML file, then `THWART_<SECTION>_<KEY>` on top of it, typed and checked.

`THWART_<SECTION>_<KEY>_FILE` names a file that has the setting in it, for secrets.

An error names the file or the variable, and the key. What to respond to is not here but in `ossec.conf`.
"""

import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_type_hints

import msgspec
from msgspec import Meta, Struct, field

from shared.errors import SettingsError
from shared.messages import AgentId
from shared.topology import QueueType

PREFIX = "THWART_"
IN_FILE = "_FILE"  # behind a variable's name: the setting is in the file that it names
LONGEST_FILE = 64 * 1024  # bytes
_WHAT_TO_WRITE = {  # where msgspec's words would be a regular expression, or not say what there is
    "agent.id": "an id has letters, digits, - and _, no dot, and 63 of them at most",
    "log.level": "write debug, info, warning or error",
    "log.format": "write auto, text or json",
    "broker.queue_type": "write classic or quorum",
    "agent.on_stop": "write keep or lift",
    "actions.firewall": "write auto, nftables, ipset, iptables, pf, ipfw, npf or netsh",
    "actions.host_deny_file": "write auto, hosts.deny or hosts.allow",
}
Seconds = Annotated[float, Meta(gt=0)]


class Section(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of every section: a key that isn't known is an error."""


class BrokerSettings(Section, frozen=True, kw_only=True):
    """[broker]: where RabbitMQ is. Several `urls` are tried in random order."""

    urls: Annotated[tuple[str, ...], Meta(min_length=1)] = ("amqp://guest:guest@127.0.0.1:5672/",)
    queue_type: QueueType = "classic"  # quorum in a cluster; can't be changed once the queues exist
    ca_file: str = ""  # for amqps: URLs: whom to trust, when it isn't the system's list
    certificate_file: str = ""
    key_file: str = ""


class LogSettings(Section, frozen=True, kw_only=True):
    """[log]: `auto` is readable on a terminal and JSON otherwise."""

    level: Annotated[str, Meta(pattern="^(debug|info|warning|error)$")] = "info"
    format: Annotated[str, Meta(pattern="^(auto|text|json)$")] = "auto"


class MetricsSettings(Section, frozen=True, kw_only=True):
    """[metrics]: where an agent's `/metrics` listens; port 0 takes any, and "" switches it off."""

    listen: str = "127.0.0.1:9464"


class ApiSettings(Section, frozen=True, kw_only=True):
    """[api]: the manager's HTTP API. Every token in `token_file` (`name token` a line, or a token alone) may do all."""

    listen: str = "127.0.0.1:9460"
    token_file: str = ""  # default: `api.token` in the state folder, made on the first start


class RespondSettings(Section, frozen=True, kw_only=True):
    """[manager]: what to respond to, and how."""

    state_dir: str = "/var/lib/thwart/manager"
    ossec_conf: str = "/etc/thwart/ossec.conf"
    rules: tuple[str, ...] = ()  # files or folders; later ones override
    answer_within: Seconds = 10.0
    gone_after: Seconds = 3_600.0  # of silence; then nothing is expected of an agent, and its queue is deleted
    answer_objective: Seconds = 1.0  # within which 99 of 100 answers should come; metrics show it, nothing waits for it
    max_alert_age: Seconds = 600.0
    offence_memory: Seconds = 86_400.0
    manual_timeout: Seconds = 14_400.0  # `thwart block` and `thwart order` without --for
    hold_for: Seconds = 3_600.0  # an order that is on hold for longer is not approved
    retention: Seconds = 30 * 86_400.0


class FollowedLog(Section, frozen=True, kw_only=True):
    """[[agent.logs]]: a log file to follow by its `path`, or the systemd journal."""

    path: Annotated[str, Meta(min_length=1, max_length=255)] | None = None  # what a message about it can name
    journal: bool | Annotated[str, Meta(min_length=1, max_length=120)] = False  # a text: what that unit logs
    directory: Annotated[str, Meta(max_length=120)] = ""  # of a journal that isn't this host's own
    from_start: bool = False  # read what is there already when it is seen for the first time

    def __post_init__(self) -> None:
        if (self.path is None) == (self.journal is False):
            raise ValueError("Name a file's `path`, or say `journal = true`")
        if self.directory and self.path is not None:
            raise ValueError("A `directory` is a journal's")

    @property
    def name(self) -> str:
        """What a message about it is from: the path as it is given, `journald`, or `journald:ssh.service`."""
        unit = [self.journal] if isinstance(self.journal, str) else []
        return self.path or ":".join(("journald", *unit, *([self.directory] if self.directory else [])))


class HostSettings(Section, frozen=True, kw_only=True):
    """[agent]: who this agent is, what it follows, what it must never touch."""

    id: AgentId | None = None  # default: the host's name; "auto": that and 8 random letters, kept in the state folder
    state_dir: str = "/var/lib/thwart/agent"
    roles: tuple[str, ...] = ()  # "server" on a manager's host
    labels: dict[str, str] = field(default_factory=dict)
    logs: tuple[FollowedLog, ...] = ()
    allow: tuple[str, ...] = ()  # addresses and networks, beside the automatic ones
    scripts: str = "/etc/thwart/scripts"  # a folder; each file in it is an action of that name
    script_workers: Annotated[int, Meta(ge=1, le=64)] = 4  # of each script at work at once
    script_timeout: Annotated[float, Meta(gt=0, le=3_600)] = 30.0  # s until one that hangs is killed
    on_stop: Literal["keep", "lift"] = "keep"  # what SIGTERM does to the blocks in force; a crash always keeps them


class ActionsSettings(Section, frozen=True, kw_only=True):
    """[actions]: how actions are carried out on this host."""

    # firewall-drop's backend; `auto`: the first that this host has. One that is named and missing has no substitute.
    firewall: Literal["auto", "nftables", "ipset", "iptables", "pf", "ipfw", "npf", "netsh"] = "auto"
    pf_anchor: str = ""  # in which pf keeps our table and rules; "": thwart, on macOS com.apple/thwart
    webhook_file: str = "/etc/thwart/webhook"  # with the URL that wazuh-slack posts to, which is a secret
    webhook_ca_file: str = ""  # for an https:// URL of your own: whom to trust, when it isn't the system's list
    webhook_proxy: str = ""  # http://proxy:3128, when the URL can't be reached but through one
    webhook_ends: bool = True  # the channel is told of the end of each block on this host, too
    restart_service: str = ""  # what restart-wazuh restarts; "": Wazuh where it is installed, else this agent itself
    host_deny_file: Literal["auto", "hosts.deny", "hosts.allow"] = "auto"  # by the latter it overrules what lets in
    never_disable: tuple[str, ...] = ()  # accounts that disable-account refuses, beside root's and the system's
    end_sessions: bool = False  # disable-account also ends what runs for the account at the time
    records: str = ""  # a folder for what actions must remember to put it back; "": agent.state_dir
    own: dict[str, dict[str, Any]] = field(default_factory=dict)  # [actions.own.NAME]: keywords of its class


class ManagerSettings(Section, frozen=True, kw_only=True):
    """manager.toml"""

    broker: BrokerSettings = BrokerSettings()
    manager: RespondSettings = RespondSettings()
    api: ApiSettings = ApiSettings()
    log: LogSettings = LogSettings()


class AgentSettings(Section, frozen=True, kw_only=True):
    """agent.toml"""

    broker: BrokerSettings = BrokerSettings()
    agent: HostSettings = HostSettings()
    actions: ActionsSettings = ActionsSettings()
    metrics: MetricsSettings = MetricsSettings()
    log: LogSettings = LogSettings()

    def __post_init__(self) -> None:
        if not self.actions.records:
            kept = msgspec.structs.replace(self.actions, records=self.agent.state_dir)
            msgspec.structs.force_setattr(self, "actions", kept)


Settings = TypeVar("Settings", ManagerSettings, AgentSettings)


def load(kind: type[Settings], path: Path | None, environment: Mapping[str, str] = os.environ) -> Settings:
    """Settings of `kind` from `path` (None: no file) and `environment`. Raises SettingsError."""
    sections = _read(path) if path else {}
    sources = _overlay(sections, kind, environment)
    try:
        return msgspec.convert(sections, kind, strict=True)
    except msgspec.ValidationError as error:
        raise SettingsError(_located(str(error), path, sources)) from None  # it quotes what may be a secret


def listen_address(text: str, key: str) -> tuple[str, int]:
    """`host:port` or `[v6]:port` as a pair. Raises SettingsError that names `key`."""
    host, colon, port = text.rpartition(":")
    if not colon or not host or not (port.isascii() and port.isdecimal()) or int(port) > 65_535:
        raise SettingsError(f"{key}: {text!r} is not HOST:PORT, such as 127.0.0.1:9460")
    return host.strip("[]"), int(port)


def _read(path: Path) -> dict[str, dict[str, Any]]:
    try:
        with path.open("rb") as file:
            return _checked(tomllib.load(file), path)
    except OSError as error:
        raise SettingsError(f"{path}: {error.strerror}; name the file with --config, or leave it out") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: not TOML: {error}") from error


def _checked(sections: dict[str, Any], path: Path) -> dict[str, dict[str, Any]]:
    for name, section in sections.items():
        if not isinstance(section, dict):
            raise SettingsError(f"{path}: {name}: every setting is in a section; write [{name}] above what is in it")
    return sections


def _overlay(sections: dict[str, dict[str, Any]], kind: type, environment: Mapping[str, str]) -> dict[str, str]:
    """Puts the variables of `kind` over `sections`; returns which variable gave which `section.key`."""
    sources = {}
    for section, holder in get_type_hints(kind).items():
        for key in msgspec.structs.fields(holder):
            if given := _given(f"{PREFIX}{section}_{key.name}".upper(), environment):
                variable, text = given
                sections.setdefault(section, {})[key.name] = _value(text, key.type, variable)
                sources[f"{section}.{key.name}"] = variable
    return sources


def _given(name: str, environment: Mapping[str, str]) -> tuple[str, str] | None:
    """The variable that gives a setting, and its text: `name` itself, or what is in the file that `name`_FILE names."""
    if name + IN_FILE not in environment:
        return (name, environment[name]) if name in environment else None
    if name in environment:
        raise SettingsError(f"{name} and {name}{IN_FILE} are both set; set one of the two")
    return name + IN_FILE, _text_of(Path(environment[name + IN_FILE]), name + IN_FILE)


def _text_of(path: Path, variable: str) -> str:
    """Without the newline that an editor ends a file with. What is in it is a secret, so no error may show it."""
    try:
        with path.open("rb") as file:
            text = file.read(LONGEST_FILE + 1)
        if len(text) > LONGEST_FILE:
            raise SettingsError(f"{variable}: {path} is longer than {LONGEST_FILE // 1024} KiB; is it the right file?")
        return text.decode().removesuffix("\n").removesuffix("\r")
    except (OSError, ValueError) as error:  # ValueError: not UTF-8, or a NUL in the path
        why = "is not UTF-8 text" if isinstance(error, ValueError) else f"{error.strerror}; who runs this must read it"
        raise SettingsError(f"{variable}: {str(path)!r}: {why}") from None


def _value(text: str, wanted: Any, variable: str) -> Any:
    """Text stays text where text is wanted; lists of it may be parted by commas or lines, and so may `name=text` pairs;
    the rest is JSON. A pair without a text is left out: an orchestrator writes one for a variable that isn't set.
    """
    if _takes(wanted, text):
        return text
    words = [word.strip() for word in re.split("[,\n]", text) if word.strip()]
    plain = not text.lstrip().startswith(("[", "{"))
    if plain and _takes(wanted, words):
        return words
    pairs = [word.partition("=") for word in words]
    if plain and all(name and equals for name, equals, _ in pairs) and _takes(wanted, {"name": "text"}):
        return {name.strip(): said.strip() for name, _, said in pairs if said.strip()}
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        said = "what is in the file" if variable.endswith(IN_FILE) else repr(text)
        raise SettingsError(f"{variable}: {said} is neither text for this setting nor JSON") from None


def _takes(wanted: Any, value: Any) -> bool:
    try:
        msgspec.convert(value, wanted)
    except msgspec.ValidationError:
        return False
    return True


def _located(problem: str, path: Path | None, sources: Mapping[str, str]) -> str:
    """The problem, and who said so: the file, or the variable."""
    what, _, where = problem.partition(" - at `$.")
    key = where.rstrip("`")
    what = _WHAT_TO_WRITE.get(key, what) if "matching regex" in what else what
    if "enum value" in what and key in _WHAT_TO_WRITE:
        what = f"{what}; {_WHAT_TO_WRITE[key]}"
    for name, variable in sources.items():
        if key == name or key.startswith((f"{name}[", f"{name}.")):
            return f"{variable}: {_kept_back(what) if variable.endswith(IN_FILE) else what}"
    return f"{path or 'settings'}: {key or 'top level'}: {what}"


def _kept_back(problem: str) -> str:
    """The problem without the value that it quotes, and without the names of keys that aren't known."""
    quoted = re.compile(r" ('.*'|`.*`(?=[^`]*$))", re.DOTALL)
    return quoted.sub("", problem) if "Invalid" in problem or "unknown" in problem else problem
