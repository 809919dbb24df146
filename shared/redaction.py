"""Takes secrets out of what leaves a host: by the names of values, by the form of URLs, and wherever they occur again.

It rather takes out too much: whoever helps asks for what is missing, a secret that got out is out.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import unquote

MARK = "***"
SHORTEST = 4  # characters of a secret that is looked for everywhere: shorter ones are in every other word
# A URL's password, which may have a comma in it; the other of several URLs with commas between.
PASSWORD = re.compile(r"(?P<before>://[^\s:/@\"'<>]*:)(?P<secret>[^\s\"'<>]+)(?P<after>@)")
_PASSWORD_OF_ONE = re.compile(r"(?P<before>://[^\s:/@\"'<>]*:)(?P<secret>[^\s\"'<>,]+)(?P<after>@)")
KNOWN_TO_ALL = ("guest", MARK)  # RabbitMQ's own first password is no secret

_NAMES = r"passw|passphrase|pwd|secret|token|api[-_]?key|private[-_]?key|access[-_]?key|credential|authorization|bearer"
_SECRET = re.compile(_NAMES, re.IGNORECASE)
_PLACE = re.compile(r"(file|path|dir|listen|url)s?$", re.IGNORECASE)  # where a secret is isn't one
_VALUE = r"(?P<secret>\"[^\"]*\"|'[^']*'|[^\s<>]+)"
_SCHEME = r"(?:(?:basic|bearer)\s+)?"  # of an `Authorization:` the secret is what comes behind it
_NAMED = re.compile(
    rf"(?P<before>(?P<name>[\w.-]*(?:{_NAMES})[\w.-]*)[\"']?\s*[=:]\s*{_SCHEME}){_VALUE}", re.IGNORECASE
)
_OPTION = re.compile(rf"(?P<before>(?P<name>-{{1,2}}[\w-]*(?:{_NAMES})[\w-]*|\bbearer)\s+){_VALUE}", re.IGNORECASE)
_COMMENT = re.compile(r"<!--.*?(-->|\Z)", re.DOTALL)
_ELEMENT = re.compile(
    rf"(?P<before><(?P<name>extra_args|[\w.-]*(?:{_NAMES})[\w.-]*)(?:\s[^>]*)?>)(?P<secret>.*?)(?=</)",
    re.DOTALL | re.IGNORECASE,
)


class Redactor:
    """What it has taken out once it takes out everywhere."""

    def __init__(self) -> None:
        self._known: set[str] = set()

    def learn(self, secrets: Iterable[str]) -> None:
        """These are secret, wherever they occur."""
        for each in secrets:
            bare = each.strip().strip("\"'")
            self._known |= {one for one in (bare, unquote(bare)) if len(one) >= SHORTEST and one not in KNOWN_TO_ALL}

    def text(self, text: str) -> str:
        """Any text, without what looks like a secret."""
        for pattern in (_PASSWORD_OF_ONE, PASSWORD, _NAMED, _OPTION):
            text = pattern.sub(self._taken, text)
        return text

    def xml(self, text: str) -> str:
        """An XML file, without comments, without arguments of commands; lines keep their numbers."""
        text = _COMMENT.sub(lambda found: "\n" * found[0].count("\n"), text)
        return self.text(_ELEMENT.sub(self._taken, text))

    def document(self, value: Any, name: str = "") -> Any:
        """What a settings file holds."""
        if _SECRET.search(name) and not _PLACE.search(name):
            self.learn(_texts(value))
            return MARK
        if isinstance(value, Mapping):
            return {key: self.document(each, str(key)) for key, each in value.items()}
        if isinstance(value, list | tuple):
            return [self.document(each, name) for each in value]
        return self.text(value) if isinstance(value, str) else value

    def once_more(self, text: str) -> str:
        """A text that is finished, without anything that was secret elsewhere."""
        for each in sorted(self._known, key=len, reverse=True):
            text = text.replace(each, MARK)
        return text

    def _taken(self, found: re.Match[str]) -> str:
        parts = found.groupdict()
        if _PLACE.search(parts.get("name") or ""):
            return found[0]
        secret = parts["secret"]
        self.learn([secret, *secret.split()])
        return f"{parts['before']}{MARK}" + "\n" * secret.count("\n") + (parts.get("after") or "")


def _texts(value: Any) -> Iterable[str]:
    if isinstance(value, Mapping):
        return [text for each in value.values() for text in _texts(each)]
    if isinstance(value, list | tuple):
        return [text for each in value for text in _texts(each)]
    return [str(value)]
