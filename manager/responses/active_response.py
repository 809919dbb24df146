"""Reads `<active-response>`. Where Wazuh silently ignores or truncates, this says so."""

import re
from collections.abc import Mapping
from itertools import pairwise

from msgspec.structs import replace

from manager.responses.commands import Command
from manager.responses.options import Options
from manager.responses.response import LOCATIONS, Response
from manager.xml import Element
from shared.durations import seconds
from shared.errors import InvalidDuration
from shared.ids import digest
from shared.messages import Location
from shared.names import agent_id

OPTIONS = (
    "command",
    "location",
    "agent_id",
    "rules_id",
    "level",
    "rules_group",
    "timeout",
    "repeated_offenders",
    "disabled",
    "name",
    "white_list_exempt",
    "target",
    "dry_run",
    "exclude",
    "limit",
    "approval",
)
_LISTS = ("agent_id", "rules_id", "rules_group", "exclude")
_MANAGER = "000"  # Wazuh's own id for the manager
_AGENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}", re.ASCII)
_MAX_LEVEL = 16
_LEAST = 1.0  # s: what is shorter is over before an agent has it
_LONGEST_NAME = 255  # characters
_HIGHEST_LIMIT = 100_000  # targets in a minute: that many rows the ledger keeps


def read(element: Element, commands: Mapping[str, Command]) -> tuple[Response, list[tuple[int, str]]]:
    """The response in an `<active-response>` element, and warnings with their lines. Raises ConfigurationError."""
    options = Options(element, OPTIONS, lists=_LISTS)
    _check_complete(options)
    command = _command(options, commands)
    timeout, repeats = _timeout(options), _repeats(options)
    warnings = [*_about_place(options), *_about_command(options, command), *_about_time(options, command)]
    if command.one_shot or not command.timeout_allowed:
        timeout, repeats = None, ()
    response = Response(
        identity="",
        command=command,
        location=_location(options),
        where=element.where(),
        agents=_agents(options),
        exclude=_excluded(options),
        rules=_rules(options),
        level=_level(options),
        groups=options.items("rules_group", r"[,|]"),
        timeout=timeout,
        repeats=repeats,
        exempt=options.yes("white_list_exempt"),
        target=options.text("target"),
        dry_run=options.yes("dry_run"),
        limit=_limit(options),
        approval=options.yes("approval"),
        disabled=options.yes("disabled"),
    )
    return _identified(response, _given_name(options)), warnings


def _identified(response: Response, name: str) -> Response:
    """Without a name the identity is of all that says when, what and where: not the timeouts, not the place."""
    place = (response.location, tuple(sorted(response.agents)), tuple(sorted(response.exclude)))
    selectors = (tuple(sorted(response.rules)), response.level, tuple(sorted(response.groups)), response.target)
    made = f"{response.command.name}-{digest(response.command.name, *place, *selectors, response.dry_run)[:12]}"
    return replace(response, identity=name or made)


def _check_complete(options: Options) -> None:
    if "command" not in options:
        options.fail("command", "<active-response> has no <command>, so there is nothing to do")
    if "location" not in options:
        options.fail("location", f"<active-response> has no <location>; write one of {', '.join(LOCATIONS)}")
    if not any(name in options for name in ("rules_id", "level", "rules_group")):
        options.fail("command", "nothing fires this response: give it <rules_id>, <level> or <rules_group>")


def _command(options: Options, commands: Mapping[str, Command]) -> Command:
    name = options.text("command")
    if name not in commands:
        options.fail("command", f"there is no command `{name}`; declare it with <command>, or use a stock one")
    return commands[name]


def _location(options: Options) -> Location:
    word = options.text("location")
    if word.lower() not in LOCATIONS:
        options.fail("location", f"<location> is one of {', '.join(LOCATIONS)}, not `{word}`")
    return LOCATIONS[word.lower()]


def _agents(options: Options) -> tuple[str, ...]:
    if _location(options) != "agent":
        return ()
    agents = _names(options, "agent_id")
    if not agents:
        options.fail("location", "<location> defined-agent needs <agent_id>: the agents, parted by commas")
    return agents


def _excluded(options: Options) -> tuple[str, ...]:
    if "exclude" in options and _location(options) != "all":
        options.fail("exclude", "<exclude> leaves agents out of <location> all, and means nothing elsewhere")
    return _names(options, "exclude")


def _names(options: Options, option: str) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(agent_id(name) for name in options.items(option)))
    for name in names:
        if name == _MANAGER:
            options.fail(option, "000 is Wazuh's manager and no agent; the managers' hosts are <location> server")
        if not _AGENT.fullmatch(name):
            options.fail(option, f"`{name[:80]}` is no agent's id: letters, digits, `-` and `_`, at most 63")
    return names


def _rules(options: Options) -> tuple[str, ...]:
    rules = options.items("rules_id")
    for rule in rules:
        if not (rule.isascii() and rule.isdigit()):
            options.fail("rules_id", f"a rule's id is a number, not `{rule[:80]}`")
    return tuple(dict.fromkeys(str(int(rule)) for rule in rules))


def _level(options: Options) -> int | None:
    if "level" not in options:
        return None
    text = options.text("level")
    if not (text.isascii() and text.isdigit() and int(text) <= _MAX_LEVEL):
        options.fail("level", f"<level> is a number from 0 to {_MAX_LEVEL}, not `{text[:80]}`")
    return int(text)


def _limit(options: Options) -> int | None:
    if "limit" not in options:
        return None
    text = options.text("limit")
    if text.isascii() and text.isdigit() and int(text) == 0:
        options.fail("limit", "a <limit> of 0 lets nothing through; <approval>yes</approval> is for a person to decide")
    if not (text.isascii() and text.isdigit() and int(text) <= _HIGHEST_LIMIT):
        options.fail("limit", f"<limit> is new targets a minute, 1 to {_HIGHEST_LIMIT}, not `{text[:80]}`")
    return int(text)


def _given_name(options: Options) -> str:
    name = options.text("name")
    if len(name) > _LONGEST_NAME or not name.isprintable():
        options.fail("name", f"a name is one line of at most {_LONGEST_NAME} characters")
    return name


def _timeout(options: Options) -> float | None:
    """None for 0 and for none at all. Garbage is an error, never a block without an end."""
    if "timeout" not in options:
        return None
    span = _span(options, "timeout", options.text("timeout"), 1.0)
    if 0 < span < _LEAST:
        options.fail("timeout", "a timeout is at least 1 s; 0 is until lifted")
    return span or None


def _repeats(options: Options) -> tuple[float, ...]:
    if "repeated_offenders" not in options:
        return ()
    entries = options.text("repeated_offenders").split(",")
    spans = tuple(_span(options, "repeated_offenders", entry, 60.0) for entry in entries)
    if any(span < _LEAST for span in spans):
        options.fail("repeated_offenders", "each entry is at least 1 s (`10s`); bare numbers are minutes")
    return spans


def _span(options: Options, option: str, text: str, bare: float) -> float:
    try:
        return seconds(text, bare)
    except InvalidDuration as wrong:
        options.fail(option, f"<{option}>: {wrong}")


def _about_place(options: Options) -> list[tuple[int, str]]:
    if "agent_id" in options and _location(options) != "agent":
        return [(options.line("agent_id"), "<agent_id> is ignored: it belongs to <location> defined-agent")]
    return []


def _about_command(options: Options, command: Command) -> list[tuple[int, str]]:
    line, found = options.line("command"), []
    if command.advice:
        found.append((line, command.advice))
    if command.one_shot and "target" in options:
        found.append((options.line("target"), f"<target> is ignored: `{command.name}` acts on nothing"))
    return found


def _about_time(options: Options, command: Command) -> list[tuple[int, str]]:
    """What is said about an end, and doesn't become one."""
    given = [name for name in ("timeout", "repeated_offenders") if name in options]
    if command.one_shot:
        return [(options.line(name), f"<{name}> is ignored: `{command.name}` just happens") for name in given]
    if not command.timeout_allowed:
        why = f"command `{command.name}` has <timeout_allowed>no</timeout_allowed>"
        return [(options.line(name), f"<{name}> is ignored: {why}") for name in given]
    if "repeated_offenders" not in options:
        return []
    line, timeout, repeats = options.line("repeated_offenders"), _timeout(options), _repeats(options)
    if timeout is None:
        return [(line, "without a <timeout> the first block has no end, so that no repeat comes before it is lifted")]
    spans = (timeout, *repeats)
    if any(later < earlier for earlier, later in pairwise(spans)):
        return [(line, "a later offence is blocked for a shorter time; bare numbers here are minutes")]
    return []
