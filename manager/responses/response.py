"""A response: what fires it, what it orders, where, and for how long; one `<active-response>` of the file."""

from msgspec import Struct

from manager.correlation.rules import Rule
from manager.responses.commands import Command
from shared.messages import AlertRule, Location

LOCATIONS: dict[str, Location] = {"local": "local", "server": "server", "defined-agent": "agent", "all": "all"}

_SPELT = {location: word for word, location in LOCATIONS.items()}


class Response(Struct, frozen=True, kw_only=True):
    """One response. Spans are seconds; a timeout of None is until lifted, or of no meaning for a one-shot."""

    identity: str
    command: Command
    location: Location
    where: str  # file:line
    agents: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()  # of `all`
    rules: tuple[str, ...] = ()
    level: int | None = None
    groups: tuple[str, ...] = ()
    timeout: float | None = None
    repeats: tuple[float, ...] = ()  # timeouts of the first repeat, the second, and so on
    exempt: bool = False
    target: str = ""  # a field path, when it isn't the action's own
    dry_run: bool = False
    limit: int | None = None  # of the breaker, new targets a minute, when it isn't the usual one
    approval: bool = False  # every order waits for a person
    disabled: bool = False

    @property
    def one_shot(self) -> bool:
        """True when nothing is held: by the command's nature, or a script that is given no end.

        Agents may have what is no built-in action from a package, and hold it: see `Members.hold`.
        """
        return self.command.one_shot or (self.command.kind == "script" and self.timeout is None)

    @property
    def spelt_location(self) -> str:
        """The location in the file's word."""
        return _SPELT[self.location]

    def fires_on(self, rule: Rule) -> bool:
        """True when alerts of the rule fire it."""
        return rule.responds and not rule.noalert and self.selects(rule)

    def selects(self, rule: AlertRule | Rule) -> bool:
        """True when `rules_id` names the rule, or all that is given of `level` and `rules_group` fits it."""
        if rule.id in self.rules:
            return True
        if self.level is None and not self.groups:
            return False
        high_enough = self.level is None or rule.level >= self.level
        return high_enough and (not self.groups or not set(self.groups).isdisjoint(rule.groups))

    def timeout_of(self, offence: int) -> float | None:
        """How long the block for an offence is; the last entry sticks."""
        if offence == 1 or not self.repeats:
            return self.timeout
        return self.repeats[min(offence - 2, len(self.repeats) - 1)]
