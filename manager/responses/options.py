"""The options of one section of `ossec.conf`: what isn't known, empty or given twice is an error with file and line."""

import re
from collections.abc import Collection
from difflib import get_close_matches
from typing import NoReturn

from manager.xml import Element
from shared.errors import ConfigurationError


class Options:
    """Reads the children of `section`, whose options are `known`.

    `lists` may be repeated and hold several items each; `hollow` may be empty.
    """

    def __init__(
        self, section: Element, known: Collection[str], *, lists: Collection[str] = (), hollow: Collection[str] = ()
    ) -> None:
        self.section, self._lists, self._hollow = section, lists, hollow
        self._found: dict[str, list[Element]] = {}
        _check_attributes(section)
        for child in section.children:
            self._admit(child, known)

    def __contains__(self, name: object) -> bool:
        return name in self._found

    def text(self, name: str, default: str = "") -> str:
        """The option as it is written, without white space around it."""
        return self._found[name][0].value if name in self._found else default

    def yes(self, name: str, default: bool = False) -> bool:
        """A yes or no. Raises ConfigurationError for anything else."""
        word = self.text(name).lower()
        if name in self and word not in ("yes", "no"):
            self.fail(name, f"<{name}> is yes or no, not `{self.text(name)}`")
        return word == "yes" if name in self else default

    def items(self, name: str, parted_by: str = r"[,\s]+") -> tuple[str, ...]:
        """Everything in an option that is a list, once each, in order."""
        words = [word.strip() for each in self._found.get(name, ()) for word in re.split(parted_by, each.value)]
        return tuple(dict.fromkeys(word for word in words if word))

    def line(self, name: str) -> int:
        """The line of the option, or of the section when it isn't there."""
        return self._found[name][0].line if name in self._found else self.section.line

    def fail(self, name: str, message: str) -> NoReturn:
        """Raise the ConfigurationError that names the option's line."""
        raise ConfigurationError(message, path=self.section.path, line=self.line(name))

    def _admit(self, child: Element, known: Collection[str]) -> None:
        if child.name not in known:
            meant = get_close_matches(child.name, known, n=1, cutoff=0.75)
            hint = f"was <{meant[0]}> meant?" if meant else f"known are {', '.join(sorted(known))}"
            fail(child, f"<{self.section.name}> has no option <{child.name}>; {hint}")
        _check_attributes(child)
        if child.children:
            fail(child.children[0], f"<{child.children[0].name}> inside of <{child.name}>, which holds text alone")
        if not child.value and child.name not in self._hollow:
            fail(child, f"<{child.name}> is empty; fill it in or remove it")
        if child.name in self._found and child.name not in self._lists:
            fail(child, f"a second <{child.name}>; the first is in line {self.line(child.name)}")
        self._found.setdefault(child.name, []).append(child)


def fail(element: Element, message: str) -> NoReturn:
    """Raise the ConfigurationError that names the element's file and line."""
    raise ConfigurationError(message, path=element.path, line=element.line)


def _check_attributes(element: Element) -> None:
    for attribute in element.attributes:
        fail(element, f"<{element.name}> takes no attribute, but has `{attribute}`")
