"""A ruleset and its responses as people read them: which rule is where, what it asks, and what it sets off."""

from collections.abc import Collection
from difflib import get_close_matches

from msgspec import Struct

from manager.api.bodies.responses import Firing, Responses, ResponseStory, ResponseView
from manager.api.bodies.rules import Counts, RuleFilter, RuleRow, Rules, RuleStory
from manager.correlation import Rule, Ruleset
from manager.explaining.counting import counted_by
from manager.explaining.reacting import selected
from manager.explaining.trying import tests
from manager.responses.breaker import usual_limit
from manager.responses.configuration import Configuration
from manager.responses.response import Response
from manager.roster import Members
from shared.errors import UnknownRule


class Rulebook(Struct, frozen=True, kw_only=True):
    """What is in force. `read_at` is when it was read, None offline; `tripped` are responses by identity; `members` are
    those who tell what they have from a package from a script, which are nobody offline.
    """

    ruleset: Ruleset
    configuration: Configuration
    read_at: float | None = None
    tripped: Collection[str] = ()
    members: Members = Members(())

    def rules(self, wanted: RuleFilter) -> Rules:
        """Those that fit, in file order."""
        found = [rule for rule in self.ruleset.rules.values() if _fits(rule, wanted)]
        return Rules(
            rules=tuple(map(self._row, found)),
            of=len(self.ruleset.rules),
            decoders=len(self.ruleset.decoders),
            read_at=self.read_at,
        )

    def rule(self, rule_id: str) -> RuleStory:
        """One rule. Raises UnknownRule."""
        rule = self.ruleset.rules.get(rule_id.strip().lstrip("0") or "0")
        if rule is None:
            raise UnknownRule(f"no rule in force has the id {rule_id[:64]!r}{self._near(rule_id)}")
        children = self.ruleset.children
        parents = [parent for parent, below in children.items() if parent and rule.id in below]
        return RuleStory(
            id=rule.id,
            level=rule.level,
            description=rule.description,
            groups=rule.groups,
            mitre=rule.mitre,
            options=tuple(sorted(rule.options)),
            where=rule.element.where(),
            tests=tests(rule),
            parents=self._rows(parents),
            children=self._rows(children.get(rule.id, ())),
            counts=_counts(rule),
            counted_by=self._rows(counted_by(self.ruleset.rules).get(rule.id, ())),
            ignore=rule.ignore,
            ignore_scope=rule.ignore_scope,
            noalert=rule.noalert,
            overwrite=rule.overwrite,
            responds=rule.responds,
            responses=tuple(self._response_row(each, rule) for each in self._fired_by(rule)),
        )

    def responses(self) -> Responses:
        """All responses."""
        every = (*self.configuration.responses, *self.configuration.disabled)
        return Responses(responses=tuple(map(self._view, every)), read_at=self.read_at)

    def response(self, name: str) -> ResponseStory:
        """One response, by its identity or the beginning of one. Raises UnknownRule."""
        every = (*self.configuration.responses, *self.configuration.disabled)
        exact = [each for each in every if each.identity == name]
        found = exact or [each for each in every if name and each.identity.startswith(name)]
        if len(found) != 1:
            known = ", ".join(each.identity for each in (found or every)) or "there is none"
            several = "several responses begin with" if found else "no response is called"
            raise UnknownRule(f"{several} {name[:64]!r}: {known}")
        rules = [rule for rule in self.ruleset.rules.values() if found[0].fires_on(rule)]
        return ResponseStory(response=self._view(found[0]), fired_by=tuple(_firing(found[0], rule) for rule in rules))

    def _near(self, rule_id: str) -> str:
        near = get_close_matches(rule_id.strip(), self.ruleset.rules, n=3, cutoff=0.7)
        return f"; there is {', '.join(near)}" if near else "; `thwart rules list` shows all"

    def _rows(self, ids: Collection[str]) -> tuple[RuleRow, ...]:
        return tuple(self._row(self.ruleset.rules[each]) for each in ids)

    def _row(self, rule: Rule) -> RuleRow:
        return RuleRow(
            id=rule.id,
            level=rule.level,
            description=rule.description,
            groups=rule.groups,
            where=rule.element.where(),
            responses=tuple(each.identity for each in self._fired_by(rule)),
        )

    def _fired_by(self, rule: Rule) -> list[Response]:
        return [each for each in self.configuration.responses if each.fires_on(rule)]

    def _response_row(self, response: Response, rule: Rule) -> RuleRow:
        why = f"{response.command.name}, {response.spelt_location}: {selected(response, rule)}"
        return RuleRow(id=response.identity, level=rule.level, description=why, groups=(), where=response.where)

    def _view(self, response: Response) -> ResponseView:
        some = self.members.servers() if response.location == "server" else response.agents or self.members.ids()
        one_shot = response.one_shot and not self.members.hold(response.command.action, some)
        return ResponseView(
            identity=response.identity,
            where=response.where,
            command=response.command.name,
            action=response.command.action,
            arguments=response.command.arguments,
            location=response.spelt_location,
            agents=response.agents,
            exclude=response.exclude,
            rules_id=response.rules,
            level=response.level,
            rules_group=response.groups,
            timeout=response.timeout,
            repeated_offenders=response.repeats,
            one_shot=one_shot,
            target=response.target,
            white_list_exempt=response.exempt,
            dry_run=response.dry_run,
            approval=response.approval,
            limit=usual_limit(response, one_shot=one_shot) if response.limit is None else response.limit,
            tripped=response.identity in self.tripped,
            disabled=response.disabled,
            fires=sum(response.fires_on(rule) for rule in self.ruleset.rules.values()),
        )


def _fits(rule: Rule, wanted: RuleFilter) -> bool:
    if wanted.group is not None and wanted.group not in rule.groups:
        return False
    if wanted.level is not None and rule.level < wanted.level:
        return False
    return wanted.text is None or wanted.text.casefold() in f"{rule.id} {rule.description}".casefold()


def _firing(response: Response, rule: Rule) -> Firing:
    return Firing(rule=rule.id, level=rule.level, description=rule.description, why=selected(response, rule))


def _counts(rule: Rule) -> Counts | None:
    if not rule.frequency:
        return None
    return Counts(
        frequency=rule.frequency,
        timeframe=rule.timeframe,
        rules=rule.counts_rules,
        group=rule.counts_group,
        same=rule.same,
        different=rule.different,
    )
