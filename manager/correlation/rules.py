"""Rules as their files have them: what a line must hold, where the rule stands in the tree, what it counts."""

import ipaddress
from typing import Literal

from msgspec import Struct

from manager.correlation.dialects import Dialect, Pattern
from manager.correlation.reading import check_attributes, fail, meant, one, pattern, value, whole, words, yes
from manager.xml import Element

MAX_LEVEL, MAX_FREQUENCY, MAX_SECONDS = 16, 9999, 999_999

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
IgnoreScope = Literal["key", "rule"]

_ATTRIBUTES = ("id", "level", "frequency", "timeframe", "ignore", "ignore_scope", "noalert", "overwrite", "maxsize")
_OPTIONS = frozenset({"alert_by_email", "no_email_alert", "no_full_log", "no_counter", "no_ar"})
_DESCRIBING = frozenset({"description", "group", "options", "mitre", "info"})
_PLACING = frozenset({"if_sid", "if_group", "if_level", "if_matched_sid", "if_matched_group", "decoded_as"})

# the test's element -> the field that it looks at; these are asked for as OS_Match
_FIELD_TESTS = {
    "user": "dstuser",
    "dstuser": "dstuser",
    "srcuser": "srcuser",
    "srcport": "srcport",
    "dstport": "dstport",
    "protocol": "protocol",
    "id": "id",
    "url": "url",
    "action": "action",
    "status": "status",
    "data": "data",
    "extra_data": "extra_data",
    "system_name": "system_name",
}
_ADDRESS_TESTS = frozenset({"srcip", "dstip"})
_HEADER_TESTS = {"program_name": "program", "hostname": "host"}

# the element behind `same_` or `different_` -> the field
_KEYS = {
    "source_ip": "srcip",
    "srcip": "srcip",
    "dst_ip": "dstip",
    "dstip": "dstip",
    "src_port": "srcport",
    "srcport": "srcport",
    "dst_port": "dstport",
    "dstport": "dstport",
    "user": "dstuser",
    "dstuser": "dstuser",
    "srcuser": "srcuser",
    "id": "id",
    "url": "url",
    "protocol": "protocol",
    "action": "action",
    "status": "status",
    "data": "data",
    "extra_data": "extra_data",
    "system_name": "system_name",
}


class FieldTest(Struct, frozen=True, kw_only=True):
    """A pattern that one decoded field must match."""

    field: str
    pattern: Pattern


class AddressTest(Struct, frozen=True, kw_only=True):
    """Networks that an address field must be in, or with `negated` outside."""

    field: str
    networks: tuple[Network, ...]
    negated: bool


class Rule(Struct, frozen=True, kw_only=True):
    """One `<rule>`. `frequency` is 0 for a rule that counts nothing; spans are seconds."""

    element: Element
    id: str
    level: int
    description: str
    groups: tuple[str, ...]
    mitre: tuple[str, ...] = ()
    options: frozenset[str] = frozenset()
    noalert: bool = False
    overwrite: bool = False
    maxsize: int = 0  # characters: only a line that is longer matches
    if_sid: tuple[str, ...] = ()
    if_group: tuple[str, ...] = ()
    if_level: int | None = None
    decoded_as: str = ""
    match: Pattern | None = None
    regex: Pattern | None = None
    program: Pattern | None = None
    host: Pattern | None = None
    fields: tuple[FieldTest, ...] = ()
    addresses: tuple[AddressTest, ...] = ()
    frequency: int = 0
    timeframe: int = 0
    ignore: int = 0
    ignore_scope: IgnoreScope = "key"
    counts_rules: tuple[str, ...] = ()  # if_matched_sid
    counts_group: str = ""  # if_matched_group
    same: tuple[str, ...] = ()
    different: tuple[str, ...] = ()

    @property
    def placed(self) -> bool:
        """Whether it says itself where in the tree it stands."""
        return any(child.name in _PLACING for child in self.element.children)

    def same_as(self, other: "Rule") -> bool:
        """Whether both say the same, wherever it is written."""
        return _said(self) == _said(other)

    @property
    def responds(self) -> bool:
        """Whether responses may fire on it."""
        return self.level > 0 and "no_ar" not in self.options


def define(element: Element, enclosing: tuple[str, ...]) -> Rule:
    """The rule in a `<rule>` element inside a `<group>` of these names. Raises RuleFileError."""
    check_attributes(element, _ATTRIBUTES)
    children = element.children
    for child in children:
        _check_known(child)
    rule = Rule(
        element=element,
        id=_rule_id(element, element.attributes.get("id", "")),
        level=whole(element, "level", low=0, high=MAX_LEVEL),
        description=_description(element),
        groups=_groups(element, enclosing),
        mitre=tuple(each.value for mitre in element.named("mitre") for each in mitre.named("id")),
        options=_options(element),
        noalert=yes(element, "noalert"),
        overwrite=yes(element, "overwrite"),
        maxsize=whole(element, "maxsize", low=0, high=1_000_000, default=0),
        if_sid=_rule_ids(element, "if_sid"),
        if_group=tuple(each.value for each in element.named("if_group")),
        if_level=_if_level(element),
        decoded_as=value(children, "decoded_as"),
        match=pattern(element.named("match"), "osmatch"),
        regex=pattern(element.named("regex"), "osregex"),
        program=pattern(element.named("program_name"), "osmatch"),
        host=pattern(element.named("hostname"), "osmatch"),
        fields=_field_tests(element),
        addresses=tuple(_address_test(child) for child in children if child.name in _ADDRESS_TESTS),
        frequency=whole(element, "frequency", low=2, high=MAX_FREQUENCY, default=0),
        timeframe=whole(element, "timeframe", low=1, high=MAX_SECONDS, default=0),
        ignore=whole(element, "ignore", low=0, high=MAX_SECONDS, default=0),
        ignore_scope=_ignore_scope(element),
        counts_rules=_rule_ids(element, "if_matched_sid"),
        counts_group=value(children, "if_matched_group"),
        same=_keys(element, ("same_",)),
        different=_keys(element, ("different_", "not_same_")),
    )
    _check(rule)
    return rule


def _said(rule: Rule) -> tuple[object, ...]:
    """All that a rule goes by: its text, and what it has from its group or from the rule that it overwrites."""
    inherited = (rule.groups, rule.if_sid, rule.if_group, rule.if_level, rule.decoded_as)
    return (rule.element.content, *inherited, rule.counts_rules, rule.counts_group)


def _check_known(child: Element) -> None:
    name = child.name
    known = _DESCRIBING | _PLACING | _ADDRESS_TESTS | {"match", "regex", "field", *_FIELD_TESTS, *_HEADER_TESTS}
    if name not in known and _key_of(name) is None:
        fail(child, f"<{name}> in a rule isn't supported{meant(name, known)}")


def _check(rule: Rule) -> None:
    counting = bool(rule.counts_rules or rule.counts_group)
    if rule.frequency and not rule.timeframe:
        fail(rule.element, f"rule {rule.id} has a `frequency` but no `timeframe`")
    if rule.counts_rules and rule.counts_group:
        fail(rule.element, f"rule {rule.id} has both <if_matched_sid> and <if_matched_group>; choose one")
    if counting and not rule.frequency:
        fail(rule.element, f"rule {rule.id} counts other rules but has no `frequency`")
    if rule.frequency and not counting and not (rule.overwrite and not rule.placed):
        fail(rule.element, f"rule {rule.id} has a `frequency` but neither <if_matched_sid> nor <if_matched_group>")
    if (rule.same or rule.different) and not rule.frequency:
        fail(rule.element, f"rule {rule.id} compares fields (same_, different_) but has no `frequency`")


def _rule_id(element: Element, text: str) -> str:
    if not text.isascii() or not text.strip().isdigit():
        fail(element, f"a rule's id is a number, not `{text}`")
    return str(int(text))


def _rule_ids(element: Element, name: str) -> tuple[str, ...]:
    return tuple(_rule_id(each, word) for each in element.named(name) for word in words(each.value))


def _if_level(element: Element) -> int | None:
    found = one(element.children, "if_level")
    if found is None:
        return None
    if not found.value.isdigit() or not 1 <= int(found.value) <= MAX_LEVEL:
        fail(found, f"<if_level> is a level from 1 to {MAX_LEVEL}, not `{found.value}`")
    return int(found.value)


def _ignore_scope(element: Element) -> IgnoreScope:
    scope = element.attributes.get("ignore_scope", "key")
    if scope not in ("key", "rule"):
        fail(element, f"`ignore_scope` is key or rule, not `{scope}`")
    return "rule" if scope == "rule" else "key"


def _description(element: Element) -> str:
    return " ".join(" ".join(each.text.split()) for each in element.named("description"))


def _groups(element: Element, enclosing: tuple[str, ...]) -> tuple[str, ...]:
    own = [name.strip() for each in element.named("group") for name in each.text.split(",")]
    return tuple(dict.fromkeys(name for name in (*enclosing, *own) if name))


def _options(element: Element) -> frozenset[str]:
    found = set()
    for each in element.named("options"):
        for option in words(each.value):
            if option not in _OPTIONS:
                fail(each, f"option `{option}` isn't supported")
            found.add(option)
    return frozenset(found)


def _field_tests(element: Element) -> tuple[FieldTest, ...]:
    grouped: dict[str, list[Element]] = {}
    for child in element.children:
        if child.name in _FIELD_TESTS:
            grouped.setdefault(child.name, []).append(child)
    tests = [_field_test(_FIELD_TESTS[name], found, "osmatch") for name, found in grouped.items()]
    for child in element.named("field"):
        name = child.attributes.get("name", "").strip()
        if not name:
            fail(child, "<field> has no `name`")
        tests.append(_field_test(name, [child], "osregex"))
    return tuple(tests)


def _field_test(field: str, elements: list[Element], dialect: Dialect) -> FieldTest:
    compiled = pattern(elements, dialect, ("name",))
    if compiled is None:
        fail(elements[0], "nothing to test")
    return FieldTest(field=field, pattern=compiled)


def _address_test(element: Element) -> AddressTest:
    check_attributes(element, ("negate",))
    text = element.value
    negated = yes(element, "negate") is not text.startswith("!")
    try:
        networks = tuple(ipaddress.ip_network(each, strict=False) for each in words(text.removeprefix("!")))
    except ValueError:
        fail(element, f"<{element.name}> holds addresses and networks, not `{text}`")
    if not networks:
        fail(element, f"<{element.name}> is empty")
    return AddressTest(field=element.name, networks=networks, negated=negated)


def _key_of(name: str) -> str | None:
    for prefix in ("same_", "different_", "not_same_"):
        if name.startswith(prefix):
            rest = name.removeprefix(prefix)
            return "" if rest == "field" else _KEYS.get(rest)
    return None


def _keys(element: Element, prefixes: tuple[str, ...]) -> tuple[str, ...]:
    found = []
    for child in element.children:
        if child.name.startswith(prefixes) and (key := _key_of(child.name)) is not None:
            if not key and not child.value:
                fail(child, f"<{child.name}> names no field")
            found.append(key or child.value)
    return tuple(dict.fromkeys(found))
