"""Whether an alert is something to respond to at all. Which responses it fires is said by `Response.selects`."""

from manager.correlation.rules import Rule
from shared.messages import Alert

# what Thwart itself logs, and what scripts of active responses log: both hold the attacker's address once more
OWN_PROGRAMS = frozenset({"thwart", "thwart-agent"})
OWN_DECODERS = frozenset({"thwart", "ar_log", "ar_log_json"})


def responds(alert: Alert, rule: Rule | None) -> bool:
    """False for level 0 and rules with `no_ar`; a rule that isn't in the ruleset (None) goes by its level."""
    return alert.rule.level > 0 and (rule is None or rule.responds)


def is_own(alert: Alert) -> bool:
    """True for what Thwart said itself; a response to it would answer itself for ever.

    An attacker who forges the name hides only what was logged under that name, and no service logs under it.
    """
    decoders = {alert.decoder.get("name"), alert.decoder.get("parent")}
    return alert.predecoder.get("program_name") in OWN_PROGRAMS or not OWN_DECODERS.isdisjoint(decoders)
