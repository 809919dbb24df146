"""Checks configuration and rule files as the daemon would read them, and goes on after the first error."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal

from msgspec import Struct

from manager.correlation import Ruleset, load, shipped
from manager.correlation.ruleset import patterns
from manager.responses.configuration import Configuration, Remark, examine
from manager.responses.review import notes, review
from manager.xml import read_elements
from shared.errors import ConfigurationError

_EXPLOSIVE = (
    "may take for ever over some lines, where it is given up and counts as not matching; write it without one repeat "
    "inside another"
)
_OF_RULES = frozenset({"group", "rule", "decoder", "var"})

Kind = Literal["ossec.conf", "rules"]


class Checked(Struct, frozen=True, kw_only=True):
    """One file or folder, and what it was taken for."""

    path: Path
    kind: Kind


class Report(Struct, frozen=True, kw_only=True):
    """What the files say, and what is wrong with them. `ruleset` is what of the rules could be read."""

    files: tuple[Checked, ...]
    configurations: tuple[Configuration, ...]
    ruleset: Ruleset
    errors: tuple[Remark, ...]
    warnings: tuple[Remark, ...]
    notes: tuple[Remark, ...]  # what is well to know, and no reason to change anything


def check(files: Sequence[Path], rules: Sequence[Path]) -> Report:
    """Checks `files`, each an ossec.conf or a rule file by its content, with the shipped rules and `rules`.

    Rules are read in the order given, after the shipped ones; a file may be one of these. Raises nothing for
    what is in a file.
    """
    errors: list[ConfigurationError] = []
    return report([each for each in (_checked(path, errors) for path in files) if each], rules, errors)


def report(checked: Sequence[Checked], rules: Sequence[Path], errors: list[ConfigurationError]) -> Report:
    """With what was found wrong so far."""
    ruleset = _ruleset([*rules, *_of(checked, "rules")], errors)
    configurations, warnings = [], []
    for path in _of(checked, "ossec.conf"):
        configuration, wrong = examine(path)
        configurations.append(configuration)
        errors += wrong
        warnings += _warnings(path, configuration, ruleset)
    return Report(
        files=tuple(checked),
        configurations=tuple(configurations),
        ruleset=ruleset,
        errors=tuple(Remark(path=each.path, line=each.line or 0, message=each.message) for each in errors),
        warnings=(*warnings, *_explosive(ruleset)),
        notes=tuple(note for each in configurations for note in notes(each)),
    )


def _checked(path: Path, errors: list[ConfigurationError]) -> Checked | None:
    """None for what can't be read at all, which is an error."""
    try:
        if path.is_dir():
            return Checked(path=path, kind="rules")
        elements = read_elements(path)
    except ConfigurationError as wrong:
        errors.append(wrong)
        return None
    except OSError as wrong:  # a folder on the way there that may not be looked into
        errors.append(ConfigurationError(f"can't be read: {wrong.strerror or wrong}", path=path))
        return None
    return Checked(path=path, kind="rules" if elements and elements[0].name in _OF_RULES else "ossec.conf")


def _of(checked: Iterable[Checked], kind: Kind) -> list[Path]:
    return [each.path for each in checked if each.kind == kind]


def _ruleset(paths: Sequence[Path], errors: list[ConfigurationError]) -> Ruleset:
    """The shipped rules and those of `paths` that are in order: one bad file doesn't hide what is wrong elsewhere."""
    good = [shipped()]
    ruleset = load(good)
    for path in paths:
        try:
            ruleset = load([*good, path])
            good.append(path)
        except ConfigurationError as wrong:
            errors.append(wrong)
        except OSError as wrong:
            errors.append(ConfigurationError(f"can't be read: {wrong.strerror or wrong}", path=wrong.filename or path))
    return ruleset


def _explosive(ruleset: Ruleset) -> list[Remark]:
    """Patterns that can take for ever over a short line; the search for them is given up."""
    found = []
    for place, each in patterns(ruleset):
        if each.bounded.explodes:
            message = f"`{each.source}` {_EXPLOSIVE} ({place.what})"
            found.append(Remark(path=place.element.path, line=place.element.line, message=message))
    return found


def _warnings(path: Path, configuration: Configuration, ruleset: Ruleset) -> list[Remark]:
    """In the file's order."""
    found = [*configuration.warnings, *review(configuration, ruleset)]
    if not configuration.responses:
        found.append(Remark(path=path, line=0, message="holds no response that is on, so nothing is ever ordered"))
    return sorted(found, key=lambda remark: remark.line)
