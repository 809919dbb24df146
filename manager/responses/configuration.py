"""Reads an `ossec.conf` as Wazuh 4 has it: commands, responses and the white list. The rest of the file is skipped.

What isn't understood inside of these is an error, and what does not mean what it seems to is a warning; both with
file and line.
"""

from collections.abc import Callable, Iterator, Sequence
from difflib import get_close_matches
from pathlib import Path

from msgspec import Struct, field

from manager.responses import active_response, commands, white_list
from manager.responses.commands import Command
from manager.responses.foreign_sections import Skipped, skipped
from manager.responses.options import fail
from manager.responses.response import Response
from manager.responses.white_list import HostPattern
from manager.xml import Element, read_elements
from shared.errors import ConfigurationError
from shared.targets import Allowlist, Network, text_of

BECAUSE = "white_list"  # the reason that protected targets are refused with

_ROOT = "ossec_config"
_OURS = ("command", "active-response", "global")
_OF_RULES = frozenset({"group", "rule", "decoder", "var"})
# a block of these alone is what Wazuh's installer puts into an agent's file: it says how agents verify upgrades
_AGENTS_OWN = frozenset({"disabled", "ca_store", "ca_verification"})
_NO_LOOKUP = "protects a source that a log names so; names are not looked up, so list the addresses as well"


class Remark(Struct, frozen=True, kw_only=True):
    """Something to be said about a place in a file; no reason not to start."""

    path: Path
    line: int  # 0: of the whole file
    message: str

    def where(self) -> str:
        """`file:line`, or the file alone where no line is known."""
        return f"{self.path}:{self.line}" if self.line else str(self.path)

    def __str__(self) -> str:
        return f"{self.where()}: {self.message}"


class Configuration(Struct, frozen=True, kw_only=True):
    """What a file says. `responses` are those that are on, in the file's order."""

    responses: tuple[Response, ...] = ()
    disabled: tuple[Response, ...] = ()
    commands: tuple[Command, ...] = ()  # that it declares
    allowlist: Allowlist = field(default_factory=Allowlist)
    hosts: tuple[HostPattern, ...] = ()
    warnings: tuple[Remark, ...] = ()
    skipped: tuple[Skipped, ...] = ()  # sections that aren't ours
    not_ours: tuple[Skipped, ...] = ()  # options of <global> that aren't

    @property
    def agents(self) -> frozenset[str]:
        """The agents that responses name."""
        return frozenset(name for response in self.responses for name in (*response.agents, *response.exclude))


def load(path: Path) -> Configuration:
    """The configuration in the file. Raises ConfigurationError, the first of what is wrong, with file and line."""
    configuration, errors = examine(path)
    if errors:
        raise errors[0]
    return configuration


def examine(path: Path) -> tuple[Configuration, tuple[ConfigurationError, ...]]:
    """What the file says as far as it can be read, and everything that is wrong with it."""
    try:
        sections = list(_sections(read_elements(path)))
    except ConfigurationError as wrong:
        return Configuration(), (wrong,)
    reader = _Reader()
    reader.read(sections)
    return reader.configuration(), tuple(sorted(reader.errors, key=lambda each: each.line or 0))


def _sections(elements: Sequence[Element]) -> Iterator[Element]:
    """Those of our sections, in any number of roots or without one."""
    for element in elements:
        if element.name == _ROOT:
            yield from element.children
        elif element.name in _OF_RULES:
            fail(element, f"<{element.name}> belongs to a file of rules or decoders, and this is read as ossec.conf")
        else:
            yield element


class _Reader:
    """Collects what sections say, and what is wrong with them."""

    def __init__(self) -> None:
        self.errors: list[ConfigurationError] = []
        self._known = commands.stock()
        self._declared: dict[str, Command] = {}
        self._responses: list[Response] = []
        self._networks: list[Network] = []
        self._hosts: list[HostPattern] = []
        self._warnings: list[Remark] = []
        self._skipped: tuple[Skipped, ...] = ()
        self._not_ours: tuple[Skipped, ...] = ()

    def read(self, sections: Sequence[Element]) -> None:
        """Reads everything; what is wrong with one section doesn't hide what is wrong with the next."""
        by_name = {name: [section for section in sections if section.name == name] for name in _OURS}
        options = [option for section in by_name["global"] for option in section.children]
        listed = [option for option in options if option.name == "white_list"]
        others = [option for option in options if option.name != "white_list"]
        foreign = [section for section in sections if section.name not in _OURS]
        self._skipped, self._not_ours = skipped(foreign), skipped(others)
        self._attempt(_misspelt, foreign + others)
        self._attempt(self._command, by_name["command"])  # before the responses: the order in the file is free
        self._attempt(self._response, by_name["active-response"])
        self._attempt(self._white_list, listed)

    def configuration(self) -> Configuration:
        return Configuration(
            responses=tuple(each for each in self._responses if not each.disabled),
            disabled=tuple(each for each in self._responses if each.disabled),
            commands=tuple(self._declared.values()),
            allowlist=Allowlist((network, BECAUSE) for network in self._networks),
            hosts=tuple(self._hosts),
            warnings=tuple(sorted(self._warnings, key=lambda each: each.line)),
            skipped=self._skipped,
            not_ours=self._not_ours,
        )

    def _attempt(self, read: Callable[[Element], None], elements: Sequence[Element]) -> None:
        for element in elements:
            try:
                read(element)
            except ConfigurationError as wrong:
                self.errors.append(wrong)

    def _command(self, section: Element) -> None:
        command = commands.read(section)
        if earlier := self._declared.get(command.name):
            fail(section, f"a second command `{command.name}`; the first is at {earlier.where}")
        self._declared[command.name] = self._known[command.name] = command

    def _response(self, section: Element) -> None:
        names = {child.name for child in section.children}
        if names and names <= _AGENTS_OWN:
            self._warn(section, section.line, "skipped: these are settings of Wazuh's agents, and switch off nothing")
            return
        one, warnings = active_response.read(section, self._known)
        for line, message in warnings:
            self._warn(section, line, message)
        for earlier in self._responses:
            if earlier.identity == one.identity:
                self._twin(section, one, earlier)
        self._responses.append(one)

    def _twin(self, section: Element, one: Response, earlier: Response) -> None:
        """Two of one identity would share their offenders. Without a name they are the same but for the timeouts."""
        if section.named("name"):
            fail(section, f"a second response is called `{one.identity}`; the first is at {earlier.where}")
        if not one.disabled and not earlier.disabled:
            wins = "" if one.one_shot and earlier.one_shot else "; the longer timeout wins"
            self._warn(section, section.line, f"does the same as the one at {earlier.where}{wins}")

    def _white_list(self, element: Element) -> None:
        entry = white_list.entry(element)
        if isinstance(entry, HostPattern):
            self._hosts.append(entry)
            if "localhost" not in entry.text:  # loopback is never blocked anyway, and Wazuh's own file has that entry
                self._warn(element, element.line, f"`{entry.text}`: {_NO_LOOKUP}")
            return
        self._networks.append(entry)
        if entry.prefixlen == 0:
            self._warn(element, element.line, f"{text_of(entry)} protects everything: no address is ever blocked")

    def _warn(self, element: Element, line: int, message: str) -> None:
        self._warnings.append(Remark(path=element.path, line=line, message=message))


def _misspelt(other: Element) -> None:
    """What isn't ours is skipped, but a response or a protected address must not be lost to a slip of the pen."""
    if meant := get_close_matches(other.name, (*_OURS, "white_list"), n=1, cutoff=0.85):
        fail(other, f"<{other.name}> is nothing that is known; was <{meant[0]}> meant?")
