"""Log lines to firings by Wazuh-style rules and decoders. Pure: instants are handed in, only `ruleset` reads files."""

from manager.correlation.alerts import alert, alert_id
from manager.correlation.correlator import Correlator, Firing
from manager.correlation.events import LogLine
from manager.correlation.rules import Rule
from manager.correlation.ruleset import Ruleset, load, shipped

__all__ = ["Correlator", "Firing", "LogLine", "Rule", "Ruleset", "alert", "alert_id", "load", "shipped"]
