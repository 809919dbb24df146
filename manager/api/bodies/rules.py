"""The rules that are in force: a list, one as it is understood, and reading them anew."""

from typing import Annotated

from msgspec import Meta, Struct

from manager.api.bodies.body import Body, Some

MAX_LEVEL = 16


class RuleFilter(Body, frozen=True, kw_only=True):
    """`text` is looked for in the description and the id, whatever its case; `level` is the least one."""

    group: Some | None = None
    level: Annotated[int, Meta(ge=0, le=MAX_LEVEL)] | None = None
    text: Some | None = None


class RuleRow(Struct, frozen=True, kw_only=True):
    """One rule of a list. `responses` are the identities of those that it fires."""

    id: str
    level: int
    description: str
    groups: tuple[str, ...]
    where: str
    responses: tuple[str, ...] = ()


class Rules(Struct, frozen=True, kw_only=True):
    """The rules that fit, in file order, of how many; `read_at` is None offline."""

    rules: tuple[RuleRow, ...]
    of: int
    decoders: int
    read_at: float | None = None


class Counts(Struct, frozen=True, kw_only=True):
    """What a rule with a frequency counts. Spans are seconds."""

    frequency: int
    timeframe: int
    rules: tuple[str, ...]
    group: str
    same: tuple[str, ...]
    different: tuple[str, ...]


class RuleStory(Struct, frozen=True, kw_only=True):
    """One rule as it is understood. `parents` is empty for a root; `children` are in the order of being tried."""

    id: str
    level: int
    description: str
    groups: tuple[str, ...]
    mitre: tuple[str, ...]
    options: tuple[str, ...]
    where: str
    tests: tuple[str, ...]
    parents: tuple[RuleRow, ...]
    children: tuple[RuleRow, ...]
    counts: Counts | None
    counted_by: tuple[RuleRow, ...]
    ignore: int
    ignore_scope: str
    noalert: bool
    overwrite: bool
    responds: bool
    responses: tuple[RuleRow, ...] = ()  # as rows: the id is the response's identity, the description why it fires


class NewReload(Body, frozen=True, kw_only=True):
    """That everything be read anew; there is nothing to choose."""


class Reloaded(Struct, frozen=True, kw_only=True):
    """What is in force after a reload."""

    rules: int
    decoders: int
    responses: int
    read_at: float
