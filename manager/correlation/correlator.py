"""Lines in, firings out: the walk down the rule tree. It knows no rule, no program and no clock; files say everything.

A line's *final* rule is the deepest one that it passes; children are tried in the ruleset's order and the first that
matches is descended into. Counting goes by final rules. Levels of 0 fire nothing and count for nothing; `noalert`
fires nothing but counts. A rule that its own `ignore` swallows leaves the line to its parent.
"""

from collections.abc import Callable, Iterable
from ipaddress import ip_address

from msgspec import Struct

from manager.correlation.decoders import Decoder
from manager.correlation.dialects import Pattern, lower
from manager.correlation.events import Event, LogLine
from manager.correlation.lookup import Lookup
from manager.correlation.rules import AddressTest, FieldTest, Rule
from manager.correlation.ruleset import Ruleset, patterns
from manager.correlation.windows import Silence, Windows

_PROGRAMS = 4096  # program names whose branch is remembered; a hostile log may hold any number

Test = Callable[[Event], bool]


class Firing(Struct, frozen=True, kw_only=True):
    """A rule fired. `previous` are the lines that it counted besides `line`, oldest first."""

    rule: Rule
    line: LogLine
    event: Event
    previous: tuple[LogLine, ...] = ()

    @property
    def at(self) -> float:
        """The instant of the line, Unix seconds."""
        return self.line.at

    @property
    def fields(self) -> dict[str, str]:
        """What was decoded from the line, by name."""
        return self.event.fields

    @property
    def count(self) -> int:
        """How many lines it took."""
        return len(self.previous) + 1


class CutShort(Struct, frozen=True, kw_only=True):
    """A pattern whose searches were given up so many times, with the rule or decoder that it is of."""

    where: str
    pattern: str
    times: int


class Node:
    """A rule, ready to be tried."""

    __slots__ = ("alerts", "children", "listeners", "rule", "silence", "test", "tests", "windows")

    def __init__(self, rule: Rule) -> None:
        self.rule = rule
        first = rule.match or rule.regex
        self.test = first.matches if first else None  # what nearly every rule has, and has alone
        self.tests = _tests(rule)
        self.windows: Windows | None = None
        self.silence = Silence(rule) if rule.ignore else None
        self.listeners: tuple[Windows, ...] = ()
        self.children: Lookup[Node] = Lookup(())
        self.alerts = rule.level > 0 and not rule.noalert

    @property
    def leads(self) -> tuple[str, ...] | None:
        """The beginnings that a message must have; None when any will do."""
        match, regex = self.rule.match, self.rule.regex
        return (match.leads if match else None) or (regex.leads if regex else None)


class Branch(Struct, frozen=True):
    """What a program's lines can meet: decoders whose program fits, and root rules that those can lead to.

    `trunk` is the one root that every such line passes, as most programs have; the walk begins behind it.
    """

    decoders: tuple[Decoder, ...]
    roots: Lookup[Node]
    empty: bool
    trunk: Node | None


class Correlator:
    """One rule tree with its open windows. Feed it lines, preferably in order; it isn't for several threads."""

    def __init__(self, ruleset: Ruleset) -> None:
        self._decoders = ruleset.decoders
        nodes = self._nodes = {rule_id: Node(rule) for rule_id, rule in ruleset.rules.items()}
        _listen(nodes)
        for rule_id, node in nodes.items():
            node.children = _lookup(nodes[child] for child in ruleset.children.get(rule_id, ()))
        self._roots = tuple(nodes[root] for root in ruleset.children[""])
        self._windows = tuple(node.windows for node in nodes.values() if node.windows)
        self._most = max((rule.frequency for rule in ruleset.rules.values()), default=0) or 1
        self._branches: dict[str, Branch] = {}
        self._endable = tuple((str(place), each) for place, each in patterns(ruleset) if each.bounded.may_be_cut)

    def feed(self, line: LogLine) -> Firing | None:
        """What the line makes fire. One that stands for several counts as often and fires its highest rule."""
        event = Event(line)
        branch = self._branches.get(event.program) or self._branch(event.program)
        if branch.empty:
            return None
        firing = self._try(event, branch)
        if event.repeats == 1:
            return firing
        for _ in range(min(event.repeats, self._most) - 1):
            again = self._try(Event(line), branch)
            if again and (firing is None or again.rule.level > firing.rule.level):
                firing = again
        return firing

    def forget(self, target: str, before: float | None = None) -> None:
        """Drop what was counted of a source, or what of it is older than an instant (a block's end)."""
        for spelling in spellings(target):
            for windows in self._windows:
                windows.forget(spelling, before)

    def adopt(self, former: "Correlator") -> None:
        """Go on with what another one has counted and silenced, for rules that are the same in both."""
        same = {
            rule_id: before
            for rule_id, node in self._nodes.items()
            if (before := former._nodes.get(rule_id)) and node.rule.same_as(before.rule)
        }
        for rule_id, before in same.items():
            node = self._nodes[rule_id]
            if node.silence and before.silence:
                node.silence.adopt(before.silence)
            if node.windows and before.windows and same.keys() >= {*_counted(node.rule, self._nodes)}:
                node.windows.adopt(before.windows)

    def cut_short(self) -> list[CutShort]:
        """The patterns whose searches were given up since the last time that this was asked."""
        found = []
        for where, pattern in self._endable:
            if times := pattern.bounded.cut():
                found.append(CutShort(where=where, pattern=pattern.source, times=times))
        return found

    def forget_everything(self) -> None:
        """Drop what was counted of anybody."""
        for windows in self._windows:
            windows.forget_everything()

    def _branch(self, program: str) -> Branch:
        lowered = lower(program)
        decoders = tuple(
            each for each in self._decoders if each.program is None or each.program.matches(program, lowered)
        )
        names = {"", *(each.name for each in decoders)}
        roots = [
            node
            for node in self._roots
            if node.rule.decoded_as in names
            and (node.rule.program is None or node.rule.program.matches(program, lowered))
        ]
        if len(self._branches) >= _PROGRAMS:
            self._branches.clear()
        branch = Branch(decoders, _lookup(roots), not roots, _trunk(decoders, roots))
        self._branches[program] = branch
        return branch

    def _try(self, event: Event, branch: Branch) -> Firing | None:
        """Walks down to the deepest rule that the event passes. One function: a call costs as much as a rule."""
        for decoder in branch.decoders:
            if decoder.prematch is None or decoder.prematch.matches(event.message, event.lowered):
                event.decoder = decoder
                break
        message, lowered, lead = event.message, event.lowered, event.lead
        parent: Node | None = None
        final = branch.trunk
        nodes = branch.roots if final is None else final.children
        counted: tuple[Event, ...] = ()
        searching = True
        while searching:
            searching = False
            for node in nodes.remembered.get(lead) or nodes.candidates(lead):
                if node.test is not None and not node.test(message, lowered):
                    continue
                if node.tests and not _passes(event, node.tests):
                    continue
                if node.windows is not None:
                    taken = node.windows.take(event)
                    if taken is None:
                        continue
                    counted = taken
                parent, final, nodes, searching = final, node, node.children, True
                break
        if final is not None and final.silence is not None and final.silence.swallows(event):
            final, counted = parent, ()
        if final is None or not (final.alerts or final.listeners):
            return None
        return _told(final, event, counted)


def _told(final: Node, event: Event, counted: tuple[Event, ...]) -> Firing | None:
    """Counts the event for whoever counts its rule; the firing, if that rule makes one."""
    for windows in final.listeners:
        windows.add(event)
    if not final.alerts:
        return None
    previous = tuple([each.line for each in counted]) if counted else ()
    return Firing(rule=final.rule, line=event.line, event=event, previous=previous)


def _trunk(decoders: tuple[Decoder, ...], roots: list[Node]) -> Node | None:
    """The only root, if it asks for no more than the first decoder, which takes every line."""
    if len(roots) != 1 or not decoders or decoders[0].prematch is not None:
        return None
    root = roots[0]
    asks = root.test or root.windows or len(root.tests) > 1
    return None if asks or root.rule.decoded_as != decoders[0].name else root


def _passes(event: Event, tests: tuple[Test, ...]) -> bool:
    for test in tests:  # noqa: SIM110 (a generator costs several times as much, and this runs for each line and rule)
        if not test(event):
            return False
    return True


def _lookup(nodes: Iterable[Node]) -> Lookup[Node]:
    return Lookup([(node, node.leads) for node in nodes])


def _listen(nodes: dict[str, Node]) -> None:
    """Give each composite its windows, and tell the rules that it counts to fill them."""
    counted_by: dict[str, list[Node]] = {}
    for node in nodes.values():
        for rule_id in _counted(node.rule, nodes):
            counted_by.setdefault(rule_id, []).append(node)
    shared = {node.rule.id for composites in counted_by.values() if len(composites) > 1 for node in composites}
    for node in nodes.values():
        if node.rule.frequency:
            node.windows = Windows(node.rule, shared=node.rule.id in shared)
    for rule_id, composites in counted_by.items():
        windows = tuple(composite.windows for composite in composites if composite.windows)
        nodes[rule_id].listeners = windows if nodes[rule_id].rule.level else ()


def _counted(rule: Rule, nodes: dict[str, Node]) -> list[str]:
    if not rule.counts_group:
        return list(rule.counts_rules)
    return [other for other, node in nodes.items() if rule.counts_group in node.rule.groups]


def _tests(rule: Rule) -> tuple[Test, ...]:
    """What a rule has besides its `match`, or without one its `regex`; the cheap first."""
    tests: list[Test] = []
    if rule.decoded_as:
        tests.append(_decoded_test(rule.decoded_as))
    if rule.maxsize:
        tests.append(_size_test(rule.maxsize))
    if rule.program:
        tests.append(_program_test(rule))
    if rule.host:
        tests.append(_host_test(rule))
    if rule.match and rule.regex:
        tests.append(_regex_test(rule.regex))
    tests.extend(_field_test(each) for each in rule.fields)
    tests.extend(_address_test(each) for each in rule.addresses)
    return tuple(tests)


def _decoded_test(name: str) -> Test:
    return lambda event: event.decoder is not None and event.decoder.name == name


def _regex_test(pattern: Pattern) -> Test:
    return lambda event: pattern.matches(event.message, event.lowered)


def _size_test(size: int) -> Test:
    return lambda event: len(event.line.text) > size


def _program_test(rule: Rule) -> Test:
    pattern = rule.program
    return lambda event: pattern is not None and pattern.matches(event.program, lower(event.program))


def _host_test(rule: Rule) -> Test:
    pattern = rule.host
    return lambda event: pattern is not None and pattern.matches(event.host, lower(event.host))


def _field_test(test: FieldTest) -> Test:
    """A field that the line doesn't have matches nothing, negated or not."""

    def holds(event: Event) -> bool:
        text = event.fields.get(test.field)
        return text is not None and test.pattern.matches(text, lower(text))

    return holds


def _address_test(test: AddressTest) -> Test:
    def holds(event: Event) -> bool:
        try:
            address = ip_address(event.fields.get(test.field, ""))
        except ValueError:
            return False
        return any(address in network for network in test.networks) is not test.negated

    return holds


def spellings(target: str) -> set[str]:
    """The target as it may stand in a log: as given, and for IPv4 as IPv6 maps it."""
    return {target, f"::ffff:{target}"} if ":" not in target else {target}
