"""Blocking by Windows' own firewall, with netsh: rules of our own, in and out, each with a list of addresses.

The rule it keeps: a rule is never without an address, because to Windows that means every address there is. They come
in pages: two rules for each address would be 20,000 of them for 10,000 blocks. What netsh says is in the host's
language, so that only addresses are read from it, with one exception: what it calls off, disabled or allowed in
English is so.

Facts are from Microsoft's pages on `netsh advfirewall firewall` (`set` and `delete` go for all rules of a name), and on
how rules take precedence: one that blocks goes before all that allow. CreateProcess takes 32,767 characters.
"""

import re
from collections.abc import Collection, Sequence
from contextlib import suppress
from itertools import count

from agent.actions.firewall_drop.address_list import AddressList, keys_of
from agent.actions.tools.halves import in_halves
from agent.actions.tools.lookout import Lookout
from agent.actions.tools.places import with_length
from agent.actions.tools.problems import Problems
from agent.actions.tools.tool import Tool, Tools
from shared.errors import ActionError, ToolHangs

WAYS = ("in", "out")  # also what this host begins to talk to an attacker is dropped
SIZE = 500  # addresses on a page: an IPv6 address has up to 43 characters, and a command line room for 700

Page = list[set[str]]  # the addresses of each of its rules; whole when it has both

_RULES = ("advfirewall", "firewall")
_STATE = ("advfirewall", "show", "currentprofile", "state")
_ADDRESS = re.compile(r"(\d+\.[\d.]+|[0-9A-Fa-f]*:[0-9A-Fa-f:.]+)(/\d+)?")
_OFF = re.compile(r"^State\s+OFF\s*$", re.MULTILINE)
_OF_NO_USE = re.compile(r"^(Enabled:\s+No|Action:\s+(Allow|Bypass))\s*$", re.MULTILINE)


def rule(page: int) -> str:
    """The name of its rules: without blanks, which would want quotes."""
    return f"thwart-{page}"


def added(way: str, page: int, keys: Collection[str]) -> list[str]:
    """The arguments that make one of its rules."""
    return [*_RULES, "add", "rule", f"name={rule(page)}", f"dir={way}", "action=block", _addresses(keys)]


def changed(page: int, keys: Collection[str]) -> list[str]:
    """The arguments that give its rules another list of addresses."""
    return [*_RULES, "set", "rule", f"name={rule(page)}", "new", "enable=yes", "action=block", _addresses(keys)]


def deleted(page: int) -> list[str]:
    """The arguments that delete its rules."""
    return [*_RULES, "delete", "rule", f"name={rule(page)}"]


def _addresses(keys: Collection[str]) -> str:
    if not keys:
        raise ValueError("without an address a rule is for everybody")
    return f"remoteip={','.join(map(with_length, sorted(keys)))}"


def told(printed: str, page: int) -> Page:
    """The rules of a page as `show rule` prints them. One that somebody has made useless has no addresses."""
    _, *rules = re.split(rf"\s{rule(page)}\s*$", printed, flags=re.MULTILINE)
    return [set() if _OF_NO_USE.search(each) else _named(each) for each in rules]


def _named(text: str) -> set[str]:
    return keys_of(word for word in re.split(r"[\s,]+", text) if _ADDRESS.fullmatch(word))


class Netsh(AddressList):
    """Implements `Action`."""

    name = "netsh.exe"
    backend = "netsh"

    def __init__(self, *, tools: Tools = Tools(), lookout: Lookout | None = None, size: int = SIZE) -> None:
        super().__init__(lookout or Lookout())
        self._netsh, self._size = Tool("netsh", tools), size
        self._whole: set[str] = set()  # what was dropped both ways at the last look

    def prepare(self) -> None:
        self._netsh.find()
        if not self._counts():
            on = "netsh advfirewall set currentprofile state on"
            raise ActionError(f"netsh: Windows' firewall is off for the network that this host is in; `{on}`")

    def inspect(self) -> dict[str, float | None]:
        """What is dropped one way alone isn't in force: so it is put right."""
        found = super().inspect()
        return {key: left for key, left in found.items() if key in self._whole}

    def _counts(self) -> bool:
        return not _OFF.search(self._netsh.run(*_STATE))

    def _members(self) -> set[str]:
        """Also what is dropped one way alone: it is still to be taken out."""
        pages = self._pages()
        self._whole = set().union(*map(_both, pages))
        return set().union(*(keys for page in pages for keys in page))

    def _apply(self, keys: Sequence[str]) -> Problems:
        problems = super()._apply(keys)
        half = "netsh took it, but it isn't dropped both ways"
        return dict.fromkeys(set(keys) - self._whole, half) | problems

    def _put(self, keys: Sequence[str]) -> Problems:
        pages = self._pages()
        there = set().union(*map(_both, pages))
        wanting = [key for key in keys if key not in there]
        problems: Problems = {}
        for number in count(1):
            if not wanting:
                break
            page: Page = pages[number - 1] if number <= len(pages) else []
            room = max(0, self._size - len(_both(page)))  # somebody may have made it longer
            problems |= self._fill(number, page, wanting[:room])
            wanting = wanting[room:]
        return problems

    def _fill(self, number: int, page: Page, keys: Sequence[str]) -> Problems:
        have = _both(page)

        def bring(some: Sequence[str]) -> None:
            if some:
                self._write(number, page, have | set(some))
                have.update(some)
            else:
                self._counts()

        problems = in_halves(keys, bring)
        if problems:
            with suppress(ActionError):  # what was refused may have come into one of the rules
                self._write(number, page, have)
        return problems

    def _take_out(self, keys: Sequence[str]) -> Problems:
        pages = self._pages()
        try:
            for number, content in enumerate(without_gaps([_both(page) - set(keys) for page in pages]), start=1):
                self._write(number, pages[number - 1], content)
        except ActionError as error:
            return dict.fromkeys(keys, str(error))
        return {}

    def _pages(self) -> list[Page]:
        """All of them, in order. Raises ActionError."""
        pages: list[Page] = []
        while page := self._page(len(pages) + 1):
            pages.append(page)
        if not pages:
            self._counts()  # netsh exits alike when there is no such rule and when it is of no use
        return pages

    def _page(self, number: int) -> Page:
        """None at all when there is no rule of that name. Raises ToolHangs."""
        try:
            printed = self._netsh.run(*_RULES, "show", "rule", f"name={rule(number)}")
        except ToolHangs:
            raise
        except ActionError:
            return []
        return told(printed, number)

    def _write(self, number: int, page: Page, keys: set[str]) -> None:
        """Has both rules of a page as they should be; `page` is what is there. Raises ActionError."""
        if not keys:
            if page:
                self._netsh.run(*deleted(number))
                page.clear()
            return
        if len(page) < len(WAYS):  # of one that is alone nobody can tell which way it goes
            self._write(number, page, set())
            self._make(number, keys)
            page.extend(set(keys) for _ in WAYS)
        elif any(each != keys for each in page):
            page[:] = [set[str]() for _ in page]  # nobody knows, should it fail
            self._netsh.run(*changed(number, keys))
            page[:] = [set(keys) for _ in page]

    def _make(self, number: int, keys: set[str]) -> None:
        """Both rules of a page that has none, or none."""
        try:
            for way in WAYS:
                self._netsh.run(*added(way, number, keys))
        except ActionError:
            with suppress(ActionError):
                self._netsh.run(*deleted(number))
            raise


def without_gaps(contents: Sequence[set[str]]) -> list[set[str]]:
    """The same pages with the empty ones last: the first that isn't there ends a look. What moves comes before what is
    deleted, so that nobody is let in for a moment.
    """
    full = [each for each in contents if each]
    kept = [each or full.pop() for each in contents[: len(full)]]
    return kept + [set[str]() for _ in contents[len(kept) :]]


def _both(page: Page) -> set[str]:
    """What is dropped whichever way it goes."""
    return set.intersection(*page) if len(page) >= len(WAYS) else set()
