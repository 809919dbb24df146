"""Rule files of any shape, and lines that such rules tell apart: what a property over all rulesets draws from."""

from hypothesis import strategies as some

SOURCES = ["203.0.113.9", "203.0.113.9", "203.0.113.9", "203.0.113.10", "nobody"]
USERS = ["root", "root", "anna"]
VERBS = ["Failed login", "Failed login", "Failed login", "Good login", "failed login", "Kept: Failed login"]

DECODERS = r"""
<decoder name="door"><program_name>^door</program_name></decoder>
<decoder name="door-login">
  <parent>door</parent>
  <prematch>login</prematch>
  <regex offset="after_prematch">^ of (\w+) from (\S+)</regex>
  <order>user, srcip</order>
</decoder>
<decoder name="door-login"><parent>door</parent><regex offset="after_regex">^ port (\d+)</regex><order>srcport</order></decoder>
<decoder name="door-other"><parent>door</parent><use_own_name>yes</use_own_name><regex>(\w+)</regex><order>id</order></decoder>
<decoder name="gate"><program_name>^gate$</program_name><prematch>^Failed |^Good </prematch></decoder>
<decoder name="gate-any"><parent>gate</parent><regex offset="after_parent">^login of (\w+) from (\S+)</regex><order>user, srcip</order></decoder>
<decoder name="any"><prematch type="pcre2">(?i)kept: \w+</prematch></decoder>
"""  # noqa: E501

_MATCHES = ["^Failed", "^failed |Good", "login", "!login", "^Good login", "port 1$", "Gone", "^Kept: |^Gone$"]
_REGEXES = [r"^Failed \w+", r"from (\S+)", r"of root|of anna", r"login \.+ port \d$"]
_PCRE = ["^Failed", "(?i)^failed login", "root|anna", r"port \d+$"]
_TESTS = some.one_of(
    some.sampled_from(_MATCHES).map("<match>{}</match>".format),
    some.sampled_from(_REGEXES).map("<regex>{}</regex>".format),
    some.sampled_from(_PCRE).map('<regex type="pcre2">{}</regex>'.format),
    some.sampled_from(_PCRE).map('<match type="pcre2" negate="yes">{}</match>'.format),
    some.sampled_from(["^root$", "!root", "n"]).map("<user>{}</user>".format),
    some.sampled_from(["203.0.113.9", "203.0.113.0/28", "!203.0.113.9"]).map("<srcip>{}</srcip>".format),
    some.sampled_from(["door", "gate", "any"]).map("<decoded_as>{}</decoded_as>".format),
    some.sampled_from(["^door", "gate$", "!door"]).map("<program_name>{}</program_name>".format),
    some.sampled_from(["web1", "^web2$"]).map("<hostname>{}</hostname>".format),
    some.just('<field name="srcport">^1$</field>'),
)
_COMPARED = [
    "",
    "<same_source_ip />",
    "<same_user />",
    "<same_source_ip /><same_user />",
    "<same_source_ip /><different_user />",
    "<different_source_ip />",
]
# of a file's only root: such a one is passed over, if it asks for no more than the decoder
_ONE_ROOT = some.builds(
    "<decoded_as>{}</decoded_as>{}".format,
    some.sampled_from(["door", "door", "gate"]),
    some.sampled_from(["", "", "<match>Failed</match>", "<hostname>web1</hostname>"]),
)
_LEVELS = some.sampled_from([0, 3, 5, 5, 8, 10, 12])
_GROUPS = ["red", "blue"]


@some.composite
def texts(draw: some.DrawFn) -> str:
    """A file of rules and decoders that holds together: each rule refers to earlier ones alone."""
    written: list[str] = []
    one_root = draw(some.booleans())
    for number in range(draw(some.integers(3, 8))):
        counts = number > 0 and draw(some.sampled_from([True, True, False]))
        written.append(draw(_counting(number)) if counts else draw(_plain(number, one_root)))
    return f'<group name="all,">{"".join(written)}</group>{DECODERS}'


@some.composite
def _plain(draw: some.DrawFn, number: int, one_root: bool) -> str:
    placed = number and (one_root or draw(some.integers(0, 3)))
    place = f"<if_sid>{draw(_earlier(number))}</if_sid>" if placed else ""
    if number:
        tests = draw(some.lists(_TESTS, min_size=1, max_size=2, unique_by=lambda each: each[:7]))
    else:  # it takes all lines, or most, or hardly anything would ever be counted
        tests = [draw(_ONE_ROOT)] if one_root else []
    attributes = draw(some.sampled_from(["", "", ' noalert="1"', ' ignore="10"', ' maxsize="60"']))
    return _rule(number, draw(_LEVELS), attributes, place + "".join(tests), draw(some.sampled_from(_GROUPS)))


@some.composite
def _counting(draw: some.DrawFn, number: int) -> str:
    counted = draw(_earlier(number))
    what = draw(some.sampled_from([f"<if_matched_sid>{counted}</if_matched_sid>", *_groups()]))
    compared = draw(some.sampled_from(_COMPARED))
    ignore = draw(some.sampled_from(["", "", ' ignore="10"', ' ignore="10" ignore_scope="rule"']))
    frequency, timeframe = draw(some.integers(2, 4)), draw(some.sampled_from([5, 10, 30]))
    attributes = f' frequency="{frequency}" timeframe="{timeframe}"{ignore}'
    return _rule(number, draw(_LEVELS), attributes, what + compared, draw(some.sampled_from(_GROUPS)))


def _groups() -> list[str]:
    return [f"<if_matched_group>{each}</if_matched_group>" for each in _GROUPS]


@some.composite
def _earlier(draw: some.DrawFn, number: int) -> int:
    return 100 + draw(some.integers(0, number - 1))


def _rule(number: int, level: int, attributes: str, inside: str, group: str) -> str:
    return (
        f'<rule id="{100 + number}" level="{level}"{attributes}>{inside}'
        f"<group>{group}</group><description>$(srcip)</description></rule>"
    )


MESSAGES = some.builds(
    "{} of {} from {} port {}".format,
    some.sampled_from(VERBS),
    some.sampled_from(USERS),
    some.sampled_from(SOURCES),
    some.integers(1, 2),
) | some.sampled_from(["Gone", "Good", "", "message repeated 3 times: [ Failed login of root from 203.0.113.9 port 1]"])
# how much later than the line before, in seconds; who said what where
LINES = some.lists(
    some.tuples(
        some.sampled_from([0, 1, 1, 1, 2, 2, 5, 5, 10, -1, -5, 620, -610]),
        some.sampled_from(["door", "door", "door", "gate", "wall"]),
        some.sampled_from(["web1", "web1", "web2"]),
        MESSAGES,
    ),
    min_size=20,
    max_size=60,
)
