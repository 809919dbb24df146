"""`<command>`: a name for an action and its arguments. The stock commands of Wazuh 4 need no declaration."""

import shlex
from functools import lru_cache
from typing import Literal

from msgspec import Struct

from manager.responses.options import Options
from manager.xml import Element
from shared.errors import UnknownAction

# what an action acts on: an address, an account, whatever the alert has for it (a script), or nothing
Kind = Literal["address", "account", "script", "nothing"]

OPTIONS = ("name", "executable", "timeout_allowed", "extra_args", "expect")

KINDS: dict[str, Kind] = {
    "firewall-drop": "address",
    "firewalld-drop": "address",
    "host-deny": "address",
    "ip-customblock": "address",
    "ipfw": "address",
    "npf": "address",
    "pf": "address",
    "route-null": "address",
    "netsh.exe": "address",
    "route-null.exe": "address",
    "disable-account": "account",
    "restart-wazuh": "nothing",
    "restart-wazuh.exe": "nothing",
    "wazuh-slack": "nothing",
}
CARRIED_OUT = frozenset({"firewall-drop"})  # by this version's agents themselves, without a script of that name

_RENAMED = {"netsh": "netsh.exe", "win_route-null": "route-null.exe", "win_route-null.exe": "route-null.exe"}
_LONGEST_NAME = 255  # characters: what an order can carry


class Command(Struct, frozen=True, kw_only=True):
    """A command: what agents are told to carry out."""

    name: str
    action: str  # a built-in action, or a file in the agents' script folder
    arguments: tuple[str, ...] = ()
    timeout_allowed: bool = True
    where: str = ""  # file:line; empty for a stock command

    @property
    def kind(self) -> Kind:
        """What it acts on."""
        return KINDS.get(self.action, "script")

    @property
    def one_shot(self) -> bool:
        """True for what just happens: a restart, a message. It has no effect that is held."""
        return self.kind == "nothing"

    @property
    def advice(self) -> str:
        """What its author should hear about it, or nothing."""
        if (plain := self.action.removesuffix(".sh")) != self.action and plain in KINDS:
            return f"`{self.action}` is looked for in the agents' script folder; the built-in action is `{plain}`"
        return ""


def stock() -> dict[str, Command]:
    """The commands that exist without a declaration, by name."""
    actions = {name: name for name in KINDS} | _RENAMED
    return {name: Command(name=name, action=action) for name, action in actions.items()}


@lru_cache(maxsize=256)  # a file of addresses asks for each
def of_action(name: str) -> Command:
    """What a person means who names an action: a built-in one, else a file in the agents' script folder.

    Raises UnknownAction for what can be neither.
    """
    if known := stock().get(name):
        return known
    if not name or "/" in name or "\\" in name or name.startswith(".") or not name.isprintable():
        raise UnknownAction(f"{name[:80]!r} is no action: name a built-in one, or a file in the agents' script folder")
    return Command(name=name, action=name)


def read(element: Element) -> Command:
    """The command in a `<command>` element. Raises ConfigurationError."""
    options = Options(element, OPTIONS, hollow=("extra_args", "expect"))
    for needed in ("name", "executable"):
        if needed not in options:
            options.fail(needed, f"<command> has no <{needed}>")
    return Command(
        name=_name(options),
        action=_action(options),
        arguments=_arguments(options),
        timeout_allowed=options.yes("timeout_allowed", default=True),
        where=element.where(),
    )


def _name(options: Options) -> str:
    name = options.text("name")
    if len(name) > _LONGEST_NAME:
        options.fail("name", f"a name has at most {_LONGEST_NAME} characters, not {len(name)}")
    return name


def _action(options: Options) -> str:
    executable = options.text("executable")
    if "/" in executable or "\\" in executable or executable in (".", ".."):
        options.fail("executable", f"`{executable}` is a path; name a file in the agents' script folder")
    if len(executable) > _LONGEST_NAME or not executable.isprintable():
        options.fail("executable", f"an executable is a file name of at most {_LONGEST_NAME} characters")
    return _RENAMED.get(executable, executable)


def _arguments(options: Options) -> tuple[str, ...]:
    try:
        return tuple(shlex.split(options.text("extra_args")))
    except ValueError as wrong:
        options.fail("extra_args", f"<extra_args> can't be split: {str(wrong).lower()}")
