"""Cases for rules, from `.ini` files: lines that were logged, and what they have to come to.

    [a user that doesn't exist, eight times]
    log 1 pass = Nov 24 16:00:00 web1 sshd[1]: Failed password for invalid user a from 203.0.113.9 port 1 ssh2
    log 2 pass = Nov 24 16:00:01 web1 sshd[1]: Failed password for invalid user b from 203.0.113.9 port 1 ssh2
    rule = 5712
    alert = 10
    decoder = sshd
    field srcip = 203.0.113.9

* A section is a case. Its lines are read in order and in one session, so that what counts counts; their own times say
  how long lies between them, and a line without one comes with the line before.
* `log N pass` is a line that comes to what is expected: each of them, or only the last one where the rule counts others
  or stands under one that does. `log N fail` must not come to it. `log N` is read and not judged.
* `rule` is the id of the rule that the line comes to, fired or not (empty: none); `alert` its level; `decoder` the name
  that an alert gives (empty: none); `field NAME` what was decoded (empty: it must be absent). At least one is given.
* A line of a log is everything behind `log N … = `, to the line's end and as it stands: quotes, `%`, `;`, `#`, `=` and
  spaces mean nothing. A comment is a whole line that begins with `;` or `#`. What isn't known is an error.
"""

import re
from pathlib import Path
from typing import Literal, NoReturn

from msgspec import Struct

from manager.correlation.rules import MAX_LEVEL
from shared.errors import CaseFileError

_MAX_BYTES = 16 * 1024 * 1024  # of one file
_EXPECTED = ("rule", "alert", "decoder")

Verdict = Literal["pass", "fail", ""]

_LOG = re.compile(r"log (\d{1,6})(?: (pass|fail))?", re.ASCII | re.IGNORECASE)


class CaseLine(Struct, frozen=True, kw_only=True):
    """One line that was logged. `verdict` says whether it comes to what the case expects; empty: either will do."""

    number: int
    text: str
    verdict: Verdict
    line: int  # in the case's file


class Case(Struct, frozen=True, kw_only=True):
    """One section. `expected` is by key: rule, alert, decoder, or the name of a field behind `field `."""

    name: str
    path: str
    line: int
    lines: tuple[CaseLine, ...]
    expected: dict[str, str]


def read_cases(paths: list[Path]) -> list[Case]:
    """The cases in these files, and in the `*.ini` of these folders. Raises CaseFileError with file and line."""
    return [case for path in _files(paths) for case in _read(path)]


def _files(paths: list[Path]) -> list[Path]:
    found = []
    for path in paths:
        if not path.is_dir():
            found.append(path)
            continue
        inside = sorted(path.rglob("*.ini"))
        if not inside:
            raise CaseFileError("the folder holds no *.ini file", path=path)
        found += inside
    return found


def _read(path: Path) -> list[Case]:
    try:
        with path.open("rb") as file:
            raw = file.read(_MAX_BYTES + 1)  # /dev/zero has no end
    except OSError as wrong:
        raise CaseFileError(f"can't be read: {wrong.strerror or wrong}", path=path) from wrong
    if len(raw) > _MAX_BYTES:
        raise CaseFileError(f"is over {_MAX_BYTES} bytes; split it", path=path)
    reader = _Reader(path)
    for number, line in enumerate(raw.removeprefix(b"\xef\xbb\xbf").split(b"\n"), 1):
        # as logs themselves are read, and by line feeds alone: a log line may hold any other break
        reader.read(number, line.removesuffix(b"\r").decode("utf-8", "backslashreplace"))
    return reader.cases()


class _Reader:
    """Collects sections, line by line."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._begun: dict[str, int] = {}  # sections by name: where they begin
        self._done: list[Case] = []
        self._name, self._at = "", 0
        self._lines: list[CaseLine] = []
        self._expected: dict[str, str] = {}

    def read(self, number: int, text: str) -> None:
        if not text.strip() or text[0] in ";#":
            return
        if text[0] in " \t":
            self._fail(
                number, "begins with white space; a value is one line, and each log line has a `log N` of its own"
            )
        if text.startswith("["):
            self._section(number, text)
            return
        key, equals, value = text.partition("=")
        if not equals:
            self._fail(number, f"`{text[:80]}` is neither [a section] nor `key = value`")
        if not self._at:
            self._fail(number, "stands before the first [section]")
        self._key(number, " ".join(key.split()), value)

    def cases(self) -> list[Case]:
        self._close()
        if not self._done:
            self._fail(0, "holds no [section]: no case")
        return self._done

    def _section(self, number: int, text: str) -> None:
        name = text.strip()[1:-1].strip()
        if not text.rstrip().endswith("]") or not name:
            self._fail(number, f"`{text[:80]}` is no [section]")
        if earlier := self._begun.get(name):
            self._fail(number, f"a second [{name}]; the first is in line {earlier}")
        self._close()
        self._name, self._at, self._begun[name] = name, number, number

    def _close(self) -> None:
        if not self._at:
            return
        if not self._lines:
            self._fail(self._at, f"[{self._name}] has no `log 1 pass = …`")
        if not any(each.verdict for each in self._lines):
            self._fail(self._at, f"[{self._name}] judges no line; write `pass` or `fail` behind a `log N`")
        if not self._expected:
            self._fail(self._at, f"[{self._name}] expects nothing; write `rule = …`, `alert = …` or `decoder = …`")
        self._done.append(
            Case(
                name=self._name,
                path=str(self._path),
                line=self._at,
                lines=tuple(self._lines),
                expected=self._expected,
            )
        )
        self._lines, self._expected = [], {}

    def _key(self, number: int, key: str, value: str) -> None:
        if found := _LOG.fullmatch(key):
            self._log(number, int(found[1]), (found[2] or "").lower(), value.removeprefix(" "))
            return
        known = key.lower() if key.lower() in _EXPECTED else key
        if known not in _EXPECTED and not (known.startswith("field ") and len(known) > len("field ")):
            self._fail(
                number, f"`{key[:80]}` isn't known; use log N pass, log N fail, rule, alert, decoder, field NAME"
            )
        if known in self._expected:
            self._fail(number, f"a second `{known}` in [{self._name}]")
        self._expected[known] = self._checked(number, known, value.strip())

    def _log(self, number: int, which: int, verdict: str, text: str) -> None:
        if any(each.number == which for each in self._lines):
            self._fail(number, f"a second `log {which}` in [{self._name}]")
        if not text:
            self._fail(number, f"`log {which}` is empty")
        judged: Verdict = "pass" if verdict == "pass" else "fail" if verdict == "fail" else ""
        self._lines.append(CaseLine(number=which, text=text, verdict=judged, line=number))

    def _checked(self, number: int, key: str, value: str) -> str:
        if key in ("rule", "alert") and value:
            if not value.isascii() or not value.isdigit() or (key == "alert" and int(value) > MAX_LEVEL):
                meant = "the id of a rule" if key == "rule" else f"a level from 0 to {MAX_LEVEL}"
                self._fail(number, f"`{key}` is {meant}, or empty for none, not `{value[:80]}`")
            return str(int(value))
        return value

    def _fail(self, number: int, message: str) -> NoReturn:
        raise CaseFileError(message, path=self._path, line=number or None)
