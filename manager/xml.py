"""Read the loose XML of `ossec.conf`, rules and decoders; the only module that imports lxml. Lines are the file's own.

Such a file is not quite XML: it has several roots, remarks between elements, `\\<` for a literal `<`, bare `&` and
comments with `--` in them. All of that is made harmless before lxml sees the text, and nothing moves to another line.
Entities, a DOCTYPE and the network don't exist here, so neither do external entities nor billion laughs.
"""

import re
from pathlib import Path
from typing import NoReturn, cast

from lxml import etree
from msgspec import Struct

from shared.errors import ConfigurationError

MAX_BYTES = 16 * 1024 * 1024  # of one file; the largest ruleset in one file is about 1 MiB

_COMMENT = re.compile(r"<!--.*?(-->|\Z)", re.DOTALL)
_DECLARATION = re.compile(r"<\?xml\s[^<>]{0,200}\?>")
_DOCTYPE = re.compile(r"<!\s*(?:DOCTYPE|ENTITY)", re.IGNORECASE)
_ESCAPED_LESS_THAN = re.compile(r"(?<!\\)((?:\\\\)*)\\<")  # an odd number of backslashes
_BARE_AMPERSAND = re.compile(r"&(?!(?:amp|lt|gt|quot|apos|#[0-9]+|#x[0-9A-Fa-f]+);)")
_TAG = re.compile(r"<(/?)([A-Za-z_][\w.-]*+)[^<>]*?(/?)>")  # `*+`: a name of a megabyte is looked at once
_ROOT = "thwart-root"
_UTF16 = (b"\xff\xfe", b"\xfe\xff")


class Element(Struct, frozen=True, kw_only=True):
    """One element. `text` is what comes before its first child, untrimmed, because spaces count in a `<match>`."""

    path: Path
    line: int
    name: str
    attributes: dict[str, str]
    text: str
    children: "tuple[Element, ...]"

    @property
    def value(self) -> str:
        """`text` without white space around it."""
        return self.text.strip()

    def named(self, name: str) -> "list[Element]":
        """The children of that name, in order."""
        return [child for child in self.children if child.name == name]

    @property
    def content(self) -> tuple[object, ...]:
        """What it says, equal for equal elements wherever they are; white space between children says nothing."""
        inside: object = tuple(child.content for child in self.children) or self.text
        return self.name, self.attributes, inside

    def where(self) -> str:
        """`file:line`."""
        return f"{self.path}:{self.line}"


def read_elements(path: Path, error: type[ConfigurationError] = ConfigurationError) -> list[Element]:
    """The top-level elements of the file, in order. Raises `error`, which names file and line."""
    text = _read(path, error)
    elements = parse_elements(text, path, error)
    if not elements and _COMMENT.sub("", text).strip():
        raise error("holds text, and no element; is it the right file?", path=path)
    return elements


def parse_elements(text: str, path: Path, error: type[ConfigurationError] = ConfigurationError) -> list[Element]:
    """As `read_elements`, from text; `path` is only for errors."""
    text = _harmless(text, path, error)
    parser = etree.XMLParser(
        resolve_entities=False, no_network=True, load_dtd=False, recover=False, remove_pis=True, huge_tree=False
    )
    try:
        root = etree.fromstring(f"<{_ROOT}>{text}\n</{_ROOT}>".encode(), parser)
    except etree.XMLSyntaxError as wrong:
        _explain(wrong, text, path, error)
    return [_element(child, path) for child in root]


def _read(path: Path, error: type[ConfigurationError]) -> str:
    try:
        with path.open("rb") as file:
            body = file.read(MAX_BYTES + 1)  # /dev/zero has no end
    except OSError as wrong:
        raise error(f"can't be read: {wrong.strerror or wrong}", path=path) from wrong
    if len(body) > MAX_BYTES:
        raise error(f"is larger than {MAX_BYTES // 1024 // 1024} MiB", path=path)
    if b"\0" in body and not body.startswith(_UTF16):
        line = body.count(b"\n", 0, body.index(b"\0")) + 1
        raise error("holds a zero byte, so it is no text; is it the right file?", path=path, line=line)
    try:
        return body.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as wrong:
        line = body.count(b"\n", 0, wrong.start) + 1
        raise error("is not UTF-8; save it in that encoding", path=path, line=line) from wrong


def _harmless(text: str, path: Path, error: type[ConfigurationError]) -> str:
    for comment in _COMMENT.finditer(text):
        if not comment.group(1):
            raise error("a comment opens here with `<!--` and never closes", path=path, line=_line(text, comment))
    text = _DECLARATION.sub(_newlines, _COMMENT.sub(_newlines, text))
    if doctype := _DOCTYPE.search(text):
        raise error("a DOCTYPE or ENTITY isn't allowed; remove it", path=path, line=_line(text, doctype))
    text = _ESCAPED_LESS_THAN.sub(r"\1&lt;", text)
    return _BARE_AMPERSAND.sub("&amp;", text)


def _newlines(found: re.Match[str]) -> str:
    return "\n" * found.group().count("\n")


def _line(text: str, found: re.Match[str]) -> int:
    return text.count("\n", 0, found.start()) + 1


def _element(node: etree._Element, path: Path) -> Element:
    return Element(
        path=path,
        line=cast(int, node.sourceline),
        name=str(node.tag),
        attributes={str(name): str(value) for name, value in node.attrib.items()},
        text=node.text or "",
        children=tuple(_element(child, path) for child in node),
    )


def _explain(wrong: etree.XMLSyntaxError, text: str, path: Path, error: type[ConfigurationError]) -> NoReturn:
    """Raise with what was probably meant: an element that opens inside its own kind was to close it."""
    if "Excessive depth" in str(wrong.msg):
        raise error("elements are nested deeper than anybody means", path=path, line=wrong.lineno) from wrong
    opened: list[tuple[str, int]] = []
    line, counted = 1, 0
    for tag in _TAG.finditer(text):
        closes, name, empty = tag.groups()
        line, counted = line + text.count("\n", counted, tag.start()), tag.start()
        if closes:
            if not opened:
                raise error(f"`</{name}>` closes nothing that is open", path=path, line=line) from wrong
            inner, at = opened.pop()
            if inner != name:
                raise error(
                    f"`</{name}>` where `</{inner}>` was expected: `<{inner}>` opens in line {at} and doesn't close",
                    path=path,
                    line=line,
                ) from wrong
        elif opened and opened[-1][0] == name and not empty:
            raise error(
                f"`<{name}>` opens inside the `<{name}>` of line {opened[-1][1]}; was `</{name}>` meant?",
                path=path,
                line=line,
            ) from wrong
        elif not empty:
            opened.append((name, line))
    if opened:
        name, at = opened[-1]
        raise error(f"`<{name}>` opens here and never closes", path=path, line=at) from wrong
    message = str(wrong.msg).strip().replace(_ROOT, "the file").split(", line ")[0]
    raise error(
        f"isn't well-formed: {message}", path=path, line=min(wrong.lineno or 1, text.count("\n") + 1)
    ) from wrong
