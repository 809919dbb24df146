"""Down the rule tree in the plainest way, and every step told: what `Correlator` does, without any of its shortcuts.

It goes by what rules, decoders and windows mean, so that it shows what the correlator must come to, and is the judge
of that in the tests. A session of its own: what it counts touches no other windows.
"""

from msgspec import Struct

from manager.correlation import Firing, LogLine, Rule, Ruleset
from manager.correlation.correlator import spellings
from manager.correlation.events import Event
from manager.explaining import decoding
from manager.explaining.counting import Count, Quiet, Seen, counted_by, key_of
from manager.explaining.explanation import Attempt, Counting, Decoding, Outcome
from manager.explaining.trying import Failure, Subject, failure


class Trace(Struct, frozen=True, kw_only=True):
    """How one line went. `rule` is the final one; `firing` what it made fire."""

    event: Event
    decoding: Decoding | None
    tried: tuple[Attempt, ...]
    rule: Rule | None
    firing: Firing | None
    counts_for: tuple[Counting, ...] = ()


class Walk:
    """One rule tree and what was counted. Feed it lines; it isn't for several threads."""

    def __init__(self, ruleset: Ruleset) -> None:
        self._ruleset = ruleset
        self._roots = decoding.roots(ruleset.definitions)
        self._counts = {rule.id: Count(rule) for rule in ruleset.rules.values() if rule.frequency}
        self._quiet = {rule.id: Quiet(rule) for rule in ruleset.rules.values() if rule.ignore}
        self._counted_by = counted_by(ruleset.rules)
        self._most = max((rule.frequency for rule in ruleset.rules.values()), default=0) or 1

    def feed(self, line: LogLine) -> Trace:
        """How the line goes. One that stands for several counts as often; the highest that fires is told."""
        event = Event(line)
        told = self._once(event)
        for _ in range(min(event.repeats, self._most) - 1):
            again = self._once(Event(line))
            higher = again.firing and (told.firing is None or again.firing.rule.level > told.firing.rule.level)
            if higher or told.firing is None:
                told = again
        return told

    def forget(self, target: str, before: float) -> None:
        """Drops what was counted of a source from before an instant, a block's end."""
        for value in spellings(target):
            for count in self._counts.values():
                count.forget(value, before)

    def _once(self, event: Event) -> Trace:
        found = decoding.decoded(self._roots, event.program, event.message)
        decoded = found.decoding if found else None
        event.decoder = self._ruleset.decoders[found.place] if found else None
        seen = Seen(event.line, {each.name: each.value for each in decoded.fields} if decoded else {})
        descent = _Descent(self._ruleset, self._counts, self._quiet, _subject(event, decoded, seen), seen)
        rule = descent.final()
        counts_for = self._count(rule, seen) if rule else ()
        firing = None
        if rule and rule.level and not rule.noalert:
            previous = tuple(each.line for each in descent.counted)
            firing = Firing(rule=rule, line=event.line, event=event, previous=previous)
        return Trace(
            event=event,
            decoding=decoded,
            tried=tuple(descent.tried),
            rule=rule,
            firing=firing,
            counts_for=counts_for,
        )

    def _count(self, rule: Rule, seen: Seen) -> tuple[Counting, ...]:
        found = []
        for rule_id in self._counted_by.get(rule.id, ()):
            self._counts[rule_id].add(seen)
            found.append(_counting(self._counts[rule_id], seen))
        return tuple(found)


class _Descent:
    """One line's way: `tried` and `counted` grow with it."""

    def __init__(
        self, ruleset: Ruleset, counts: dict[str, Count], quiet: dict[str, Quiet], subject: Subject, seen: Seen
    ) -> None:
        self._ruleset, self._counts, self._quiet = ruleset, counts, quiet
        self._subject, self._seen = subject, seen
        self.tried: list[Attempt] = []
        self.counted: list[Seen] = []

    def final(self) -> Rule | None:
        """The deepest rule that the line passes, or what is left of that when it is silent."""
        way: list[Rule] = []
        while (deeper := self._first_of(way[-1].id if way else "", len(way))) is not None:
            way.append(deeper)
        if not way or way[-1].id not in self._quiet:
            return way[-1] if way else None
        rule = way[-1]
        since = self._quiet[rule.id].since(self._seen)
        if since is None:
            return rule
        self.counted = []
        why = f"fired {since:.0f} s ago{_for(rule, self._seen)}"
        self._tell(rule, len(way) - 1, "silent", Failure(test=f"ignore {rule.ignore} s", why=why))
        return way[-2] if len(way) > 1 else None

    def _first_of(self, parent: str, depth: int) -> Rule | None:
        for rule_id in self._ruleset.children.get(parent, ()):
            rule = self._ruleset.rules[rule_id]
            failed = failure(rule, self._subject) or self._too_few(rule)
            self._tell(rule, depth, "failed" if failed else "matched", failed)
            if failed is None:
                return rule
        return None

    def _too_few(self, rule: Rule) -> Failure | None:
        if not rule.frequency:
            return None
        count = self._counts[rule.id]
        reached = count.count(self._seen)
        taken = count.take(self._seen)
        if taken is not None:
            self.counted = taken
            return None
        missing = [field for field in rule.same if not self._seen.fields.get(field)]
        why = f"{reached} of {rule.frequency}{_from(rule, self._seen)} in {rule.timeframe} s"
        return Failure(test="frequency", why=f"the line has no {missing[0]} to compare" if missing else why)

    def _tell(self, rule: Rule, depth: int, outcome: Outcome, failed: Failure | None) -> None:
        self.tried.append(
            Attempt(
                rule=rule.id,
                level=rule.level,
                description=rule.description,
                where=rule.element.where(),
                depth=depth,
                outcome=outcome,
                test=failed.test if failed else "",
                why=failed.why if failed else "",
            )
        )


def _subject(event: Event, decoded: Decoding | None, seen: Seen) -> Subject:
    return Subject(
        text=event.line.text,
        message=event.message,
        program=event.program,
        host=event.host,
        decoder=decoded.name if decoded else "",
        fields=seen.fields,
    )


def _counting(count: Count, seen: Seen) -> Counting:
    rule = count.rule
    missing = [field for field in rule.same if not seen.fields.get(field)]
    return Counting(
        rule=rule.id,
        count=0 if missing else count.count(seen),
        needed=rule.frequency,
        timeframe=rule.timeframe,
        key={field: seen.fields.get(field, "") for field in rule.same},
        why=f"the line has no {missing[0]} to compare" if missing else "",
    )


def _from(rule: Rule, seen: Seen) -> str:
    same = " ".join(key_of(rule.same, seen.fields) or ())
    different = f" with another {', '.join(rule.different)}" if rule.different else ""
    return (f" from {same}" if same else "") + different


def _for(rule: Rule, seen: Seen) -> str:
    same = " ".join(key_of(rule.same, seen.fields) or ()) if rule.ignore_scope == "key" else ""
    return f" for {same}" if same else ""
