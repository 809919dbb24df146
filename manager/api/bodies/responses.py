"""The responses that are in force: a list, and one with the rules that fire it."""

from msgspec import Struct


class ResponseView(Struct, frozen=True, kw_only=True):
    """One response. Spans are seconds; a timeout of None is until lifted, or of no meaning for a one-shot."""

    identity: str
    where: str
    command: str
    action: str
    arguments: tuple[str, ...]
    location: str
    agents: tuple[str, ...]
    exclude: tuple[str, ...]
    rules_id: tuple[str, ...]
    level: int | None
    rules_group: tuple[str, ...]
    timeout: float | None
    repeated_offenders: tuple[float, ...]
    one_shot: bool
    target: str
    white_list_exempt: bool
    dry_run: bool
    approval: bool
    limit: int  # of the breaker: new targets a minute
    tripped: bool
    disabled: bool
    fires: int  # how many rules in force fire it


class Responses(Struct, frozen=True, kw_only=True):
    """All of them, in the file's order, those that are switched off last; `read_at` is None offline."""

    responses: tuple[ResponseView, ...]
    read_at: float | None = None


class Firing(Struct, frozen=True, kw_only=True):
    """A rule that fires a response, and by which of its selectors."""

    rule: str
    level: int
    description: str
    why: str


class ResponseStory(Struct, frozen=True, kw_only=True):
    """One response, and every rule in force that fires it."""

    response: ResponseView
    fired_by: tuple[Firing, ...]
