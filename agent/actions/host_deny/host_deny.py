"""`host-deny` by tcp_wrappers: a line for each address in /etc/hosts.deny, which sshd and others look at.

The rule it keeps: its lines come first in the file, since the first that matches counts, and every other line stays as
it is, byte for byte. On FreeBSD there is only /etc/hosts.allow, whose lines say `deny` themselves (hosts_options(5)).
It ends nothing that is connected already, and what looks at no such file isn't kept from anybody: that is a firewall's.
"""

import ctypes
import platform
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import tenacity

from agent.actions.action import Effect, Result
from agent.actions.host_deny.hosts_access import Line, Rule, line_for, lines, rule_in, who_lets_in
from agent.actions.tools import whole_file
from agent.actions.tools.problems import Problems, results
from agent.actions.tools.whole_file import Mark
from shared.errors import ActionError, FileChanged
from shared.targets import normalise_address

DENY, ALLOW = "hosts.deny", "hosts.allow"
MODE = 0o644
ATTEMPTS = 5  # while others write, too
LIBRARIES = {"FreeBSD": "libwrap.so.6"}
LIBRARY = "libwrap.so.0"
# Since OpenSSH 9.8 what judges a client is a program of its own.
SSHD = (
    "/usr/sbin/sshd",
    "/usr/lib/openssh/sshd-session",
    "/usr/libexec/openssh/sshd-session",
    "/usr/libexec/sshd-session",
)

Change = Callable[[Mapping[str, Line], Collection[str]], Collection[str]]  # our lines, and some keys: whose stay


class HostDeny:
    """Implements `Action`. The file is `hosts.deny`, or `hosts.allow`, in the folder `etc`."""

    name = "host-deny"
    network = False  # who is connected stays so, and the broker is called from here
    exact = False

    def __init__(
        self,
        *,
        etc: Path = Path("/etc"),
        file: str = ALLOW if platform.system() == "FreeBSD" else DENY,
        library: str = LIBRARIES.get(platform.system(), LIBRARY),
        sshd: Sequence[str] = SSHD,
    ) -> None:
        """`library` is what programs that look at the file are linked with, `sshd` where the most wanted of them is."""
        self.backend = file
        self._etc, self._file, self._library, self._sshd = etc, etc / file, library, sshd
        self._seen: tuple[Mark | None, ...] | None = None  # both files', when `inspect` told, or we changed one since

    def key(self, target: str, arguments: Sequence[str]) -> str:
        """The address or network in its one spelling; `arguments` make no difference."""
        return normalise_address(target)

    def prepare(self) -> None:
        """Writes nothing: what an earlier run wrote stays."""
        try:
            ctypes.CDLL(self._library)
        except OSError as error:
            raise ActionError(
                f"{self.backend}: no program here looks at it ({self._library}: not found); firewall-drop needs none"
            ) from error
        there = [path for path in map(Path, self._sshd) if path.exists()]
        if there and not any(self._library.encode() in whole_file.read(path) for path in there):
            raise ActionError(f"{self.backend}: {there[-1]} doesn't look at it; use firewall-drop")
        whole_file.may_replace(self._etc)

    def apply(self, effects: Sequence[Effect]) -> list[Result]:
        return self._carry_out(effects, lambda ours, keys: dict.fromkeys([*ours, *keys]), wanted=True)

    def revert(self, effects: Sequence[Effect]) -> list[Result]:
        return self._carry_out(effects, lambda ours, keys: [key for key in ours if key not in keys], wanted=False)

    def inspect(self) -> dict[str, float | None]:
        """Without what a line above ours lets in all the same."""
        self._seen = self._marks()
        return dict.fromkeys(_Files(self._etc, self.backend).in_force())

    def moved(self) -> bool:
        """Either file: what hosts.allow lets in, hosts.deny doesn't keep out."""
        return self._seen is None or self._marks() != self._seen

    def _marks(self) -> tuple[Mark | None, ...]:
        return tuple(whole_file.mark(self._etc / name) for name in (DENY, ALLOW))

    def _carry_out(self, effects: Sequence[Effect], change: Change, *, wanted: bool) -> list[Result]:
        keys = dict.fromkeys(effect.key for effect in effects)
        try:
            with whole_file.alone(self._etc):
                problems = self._changed(keys, change, wanted=wanted)
        except ActionError as error:
            problems = dict.fromkeys(keys, str(error))
        return results(effects, problems)

    def _changed(self, keys: Collection[str], change: Change, *, wanted: bool) -> Problems:
        """What failed, once the file was written and read again."""
        attempts = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(FileChanged),
            stop=tenacity.stop_after_attempt(ATTEMPTS),
            reraise=True,
        )
        problems = attempts(self._write, keys, change, wanted=wanted)
        there = _Files(self._etc, self.backend).in_force()
        return {key: "somebody else has changed the file" for key in keys if (key in there) != wanted} | problems

    def _write(self, keys: Collection[str], change: Change, *, wanted: bool) -> Problems:
        """What is not to be written. Raises ActionError, and FileChanged when it is to be tried again."""
        files = _Files(self._etc, self.backend)
        unseen = self.moved()
        problems = self._let_in(keys, files.above) if wanted else {}
        files.keep(change(files.ours, [key for key in keys if key not in problems]))
        if not unseen:
            self._seen = self._marks()
        return problems

    def _let_in(self, keys: Collection[str], rules: Sequence[Rule]) -> Problems:
        """A line that keeps nobody out isn't written."""
        found = {key: who_lets_in(key, rules) for key in keys} if rules else {}
        return {
            key: f"{self._etc / ALLOW}:{rule.number} lets it in, whatever {self.backend} says: {rule.text}; "
            f'take that line out, or set host_deny_file = "{ALLOW}" in [actions]'
            for key, rule in found.items()
            if rule is not None
        }


class _Files:
    """What both files say just now."""

    def __init__(self, etc: Path, name: str) -> None:
        self._path, self._denies = etc / name, name == ALLOW
        self._content = whole_file.read(self._path)
        self._lines = list(lines(self._content.decode(errors="surrogateescape")))
        # What comes before our first line; within hosts.allow nothing does, once we have written there.
        self.above = () if self._denies else tuple(_rules(lines(_text(etc / ALLOW)), lets_in=True))
        self.ours = {line.key: line for line in self._lines if line.key}

    def keep(self, keys: Collection[str]) -> None:
        """Puts our lines for `keys` on top, and takes all others of ours out. Raises ActionError."""
        mine = [f"{line_for(key, deny=self._denies)}\n" for key in keys]
        content = "".join([*mine, *(line.text for line in self._lines if not line.key)]).encode(
            errors="surrogateescape"
        )
        if content != self._content:
            whole_file.replace(self._path, content, was=self._content, mode=MODE)

    def in_force(self) -> Collection[str]:
        """Whom our lines keep out: those that no line above lets in."""
        rules = list(self.above)
        some_are_let_in = any(rule.lets_in for rule in rules)
        found: set[str] = set()
        for line in self._lines:
            if not line.key:
                new = list(_rules([line], lets_in=self._denies))
                rules += new
                some_are_let_in = some_are_let_in or any(rule.lets_in for rule in new)
            elif line.is_whole and (not some_are_let_in or who_lets_in(line.key, rules) is None):
                found.add(line.key)
        return found


def _rules(some: Iterable[Line], *, lets_in: bool) -> Iterator[Rule]:
    return (rule for line in some if (rule := rule_in(line, lets_in=lets_in)) is not None)


def _text(path: Path) -> str:
    return whole_file.read(path).decode(errors="surrogateescape")
