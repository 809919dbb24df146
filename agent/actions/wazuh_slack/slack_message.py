"""What is written to a Slack channel: one message, however many alerts or ends it tells of. Pure.

The rule it keeps: whatever an attacker wrote into a log calls nobody, and no link leads elsewhere than it says. `&`,
`<` and `>` are what Slack gives a meaning (docs.slack.dev, "Formatting message text"); attachments have markup only
where `mrkdwn_in` says so. Mattermost, Rocket.Chat and Discord (with `/slack` behind its URL) take the same, but to them
`@all` is a mention and `[bank](https://evil)` a link, so that something without width is put in between.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate
from typing import Any, Literal

from msgspec import Struct, json

from shared.messages import Expiry

Color = Literal["good", "warning", "danger"]

GROUPS = 10  # told of one by one; Slack advises against more than 20 attachments
NAMES = 20  # addresses, or users, that are named
LONGEST_FIELD = 1_000  # characters of all their names; Discord refuses a message with more than 1,024 in a field
LONGEST = 300  # characters of what an alert says
LONGEST_LOG = 1_500
WARNING, DANGER = 5, 8  # rule levels from which on it is one
_SPECIAL = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})
# of a mention, and the middle of a link; Mattermost reads over an underscore before it
_BEGINS = re.compile(r"(?<![^\W_])@(?=\w)|\](?=\()")
_JOINER = "\N{WORD JOINER}"


class Telling(Struct, frozen=True, kw_only=True):
    """What is said of one alert."""

    rule: str
    level: int
    what: str
    agent: str
    source: str
    user: str
    line: str


def telling(alert: Mapping[str, Any], target: str) -> Telling:
    """Of an alert in Wazuh's shape, which may hold anything; empty when a person gave the order."""
    rule, data, agent = (_part(alert, name) for name in ("rule", "data", "agent"))
    level = rule.get("level")
    return Telling(
        rule=_text(rule.get("id")),
        level=level if isinstance(level, int) and not isinstance(level, bool) else 0,
        what=_text(rule.get("description")) or ("an alert" if alert else "ordered by hand"),
        agent=_text(agent.get("name")) or _text(agent.get("id")),
        source=_text(target) or _text(data.get("srcip")),
        user=_text(data.get("dstuser")) or _text(data.get("srcuser")),
        line=_text(alert.get("full_log"), LONGEST_LOG),
    )


def of_alerts(some: Sequence[Telling], host: str) -> bytes:
    """One message for all of them; `host` is whose they are when they don't say so."""
    groups: dict[str, list[Telling]] = defaultdict(list)
    for each in some:
        groups[each.rule or each.what].append(each)
    ordered = sorted(groups.values(), key=lambda group: (-_worst(group), -len(group)))
    attachments = [_group(group) for group in ordered[:GROUPS]]
    if rest := ordered[GROUPS:]:
        number = sum(map(len, rest))
        what = f"and {number} more of {_counted(len(rest), 'other rule')}"
        attachments.append(_attachment(max(map(_worst, rest)), what, {}))
    what = _counted(len(some), "alert") if len(some) > 1 else some[0].what
    return _message(f"{what} on {_where(some, host)}", attachments)


def of_ends(some: Sequence[Expiry], more: Mapping[str, int], host: str) -> bytes:
    """One message for all of them and `more`, of which no more than how many had which outcome is known."""
    failed = [each for each in some if each.outcome == "failed"]
    attachments = [
        _colored("good", f"{action}: ended", {"Targets": _named(each.target for each in ends)})
        for action, ends in _by_action(each for each in some if each.outcome == "reverted").items()
    ]
    attachments += [
        _colored("danger", f"{each.action}: {each.target} could not be ended", {"Problem": each.detail})
        for each in failed[:GROUPS]
    ]
    number = len(failed) + more.get("failed", 0)
    left = f", {number} could not be" if number else ""
    ended = len(some) + sum(more.values()) - number
    return _message(f"{_counted(ended, 'block')} ended on {host}{left}", attachments)


def _where(some: Iterable[Telling], host: str) -> str:
    """The attacked, which need not be who tells of it."""
    named = {each.agent for each in some if each.agent} or {host}
    return named.pop() if len(named) == 1 else _counted(len(named), "host")


def _group(group: Sequence[Telling]) -> dict[str, Any]:
    first = group[0]
    title = first.what if len(group) == 1 else f"{len(group)} × {_common(each.what for each in group)}"
    fields = {
        "Rule": f"{first.rule} (level {first.level})" if first.rule else "",
        "Agent": _named(each.agent for each in group),
        "Source": _named(each.source for each in group),
        "User": _named(each.user for each in group),
    }
    return _attachment(_worst(group), title, fields, first.line if len(group) == 1 else "")


def _common(texts: Iterable[str]) -> str:
    """What all of them say, word for word: many a rule's description has the address in it."""
    words = zip(*(text.split(" ") for text in dict.fromkeys(texts)), strict=False)
    return " ".join(some[0] if len(set(some)) == 1 else "…" for some in words)


def _attachment(level: int, title: str, fields: Mapping[str, str], text: str = "") -> dict[str, Any]:
    return _colored("danger" if level >= DANGER else "warning" if level >= WARNING else "good", title, fields, text)


def _colored(color: Color, title: str, fields: Mapping[str, str], text: str = "") -> dict[str, Any]:
    return {
        "color": color,
        "fallback": _escaped(title),
        "title": _escaped(title),
        "text": _escaped(text),
        "mrkdwn_in": [],
        "fields": [
            {"title": name, "value": _escaped(value), "short": len(value) < 40}
            for name, value in fields.items()
            if value
        ],
    }


def _message(text: str, attachments: Sequence[Mapping[str, Any]]) -> bytes:
    plain = {"mrkdwn": False, "unfurl_links": False, "unfurl_media": False, "link_names": False}
    return json.encode({"text": _escaped(text), "attachments": attachments, **plain})


def _by_action(ends: Iterable[Expiry]) -> Mapping[str, list[Expiry]]:
    actions: dict[str, list[Expiry]] = defaultdict(list)
    for each in ends:
        actions[each.action].append(each)
    return actions


def _worst(group: Iterable[Telling]) -> int:
    return max(each.level for each in group)


def _named(words: Iterable[str]) -> str:
    """Each once, and no more than can be read."""
    known = [*dict.fromkeys(filter(None, words))]
    lengths = accumulate(len(each) + len(", ") for each in known[:NAMES])
    named = known[: sum(length <= LONGEST_FIELD for length in lengths)]
    more = f" and {len(known) - len(named)} more" if len(known) > len(named) else ""
    return ", ".join(named) + more


def _counted(number: int, thing: str) -> str:
    return f"{number} {thing}{'' if number == 1 else 's'}"


def _part(alert: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    part = alert.get(name)
    return part if isinstance(part, dict) else {}


def _text(value: object, longest: int = LONGEST) -> str:
    """One line of it."""
    if not isinstance(value, str | int) or isinstance(value, bool):
        return ""
    text = "".join(letter if letter.isprintable() else " " for letter in str(value)).strip()
    return text if len(text) <= longest else text[: longest - 1] + "…"


def _escaped(text: str) -> str:
    return _BEGINS.sub(rf"\g<0>{_JOINER}", text).translate(_SPECIAL)
