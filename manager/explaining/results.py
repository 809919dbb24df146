"""How a case went: the shape that is printed."""

from msgspec import Struct


class Difference(Struct, frozen=True, kw_only=True):
    """What a line came to, where that isn't what was expected. `line` is that of the case's file."""

    log: int
    line: int
    key: str
    expected: str
    got: str
    why: str


class Result(Struct, frozen=True, kw_only=True):
    """One case, and what is wrong with it."""

    name: str
    path: str
    line: int
    passed: bool
    differences: tuple[Difference, ...] = ()
