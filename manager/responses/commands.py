"""`<command>`: a name for an action and its arguments. The stock commands of Wazuh 4 need no declaration."""

import shlex

from msgspec import Struct

from manager.actions import LONGEST_NAME, RENAMED, name_of
from manager.responses.options import Options
from manager.xml import Element
from shared.actions import KINDS, Kind, kind_of
from shared.errors import UnknownAction

OPTIONS = ("name", "executable", "timeout_allowed", "extra_args", "expect")


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
        return kind_of(self.action)

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
    actions = {name: name for name in KINDS} | RENAMED
    return {name: Command(name=name, action=action) for name, action in actions.items()}


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
    if len(name) > LONGEST_NAME:
        options.fail("name", f"a name has at most {LONGEST_NAME} characters, not {len(name)}")
    return name


def _action(options: Options) -> str:
    try:
        return name_of(options.text("executable"))
    except UnknownAction as wrong:
        options.fail("executable", str(wrong))


def _arguments(options: Options) -> tuple[str, ...]:
    try:
        return tuple(shlex.split(options.text("extra_args")))
    except ValueError as wrong:
        options.fail("extra_args", f"<extra_args> can't be split: {str(wrong).lower()}")
