"""The alert as an order carries it: whole where it fits, else shortened where scripts miss it least."""

from typing import Any

import msgspec

from shared import codec
from shared.messages import Alert

LIMIT = 64 * 1024  # bytes
MARK = " [cut]"

_FIRST = ("previous_output", "full_log")
_LARGE = 1024  # bytes: single fields over this go before all of them do


def enclosed(alert: Alert) -> dict[str, Any]:
    """The alert in Wazuh's JSON shape, in at most LIMIT bytes; what was shortened ends in MARK."""
    fields: dict[str, Any] = msgspec.to_builtins(alert)
    fields["rule"]["groups"] = list(alert.rule.groups)  # as it is after a journey, so that stored and made are equal
    return fields if codec.size(fields) <= LIMIT else _cut(fields, alert)


def _cut(fields: dict[str, Any], alert: Alert) -> dict[str, Any]:
    for name in _FIRST:
        over = codec.size(fields) - LIMIT
        if over > 0:
            fields[name] = _shortened(fields[name], over)
    if codec.size(fields) > LIMIT:
        fields["data"] = {name: value for name, value in fields["data"].items() if codec.size(value) <= _LARGE}
    if codec.size(fields) > LIMIT:
        rule = {"id": alert.rule.id[:_LARGE], "level": alert.rule.level}
        return {"id": alert.id, "timestamp": alert.timestamp[:_LARGE], "rule": rule}
    return fields


def _shortened(text: str, by: int) -> str:
    """`text` with at least `by` bytes less, as far as it has them."""
    body = text.encode("utf-8", "backslashreplace")
    return body[: max(0, len(body) - by - len(MARK))].decode("utf-8", "ignore") + MARK if body else ""
