"""What the parts of a simulated Windows have in common: its language, and how netsh reads parameters."""

from tests.stage.simulators.host import State

GERMAN = {
    "Rule Name": "Regelname",
    "Enabled": "Aktiviert",
    "Direction": "Richtung",
    "In": "Eingehend",
    "Out": "Ausgehend",
    "Profiles": "Profile",
    "Grouping": "Gruppierung",
    "LocalIP": "Lokales IP",
    "RemoteIP": "Remote-IP",
    "Protocol": "Protokoll",
    "Any": "Beliebig",
    "Edge traversal": "Edgeausnahme",
    "Action": "Aktion",
    "Block": "Blocken",
    "Allow": "Zulassen",
    "Yes": "Ja",
    "No": "Nein",
    "State": "Status",
    "ON": "EIN",
    "OFF": "AUS",
    "Manual": "Manuell",
    "Public Profile Settings:": "Einstellungen für öffentliches Profil:",
    "Ok.": "OK.",
    "No rules match the specified criteria.": "Es stimmen keine Regeln mit den angegebenen Kriterien überein.",
}


SYNTAX = "The syntax supplied for this command is not valid. Check help for the correct syntax."


class RefusedError(Exception):
    """What netsh says instead of doing it."""


def words(state: State, english: str) -> str:
    """As the host's language has it."""
    return GERMAN.get(english, english) if state.get("language") == "de" else english


def parameters(given: list[str], known: tuple[str, ...]) -> dict[str, str]:
    """By name, in lower case. Raises RefusedError for one that isn't known, is given twice, or has no name."""
    found: dict[str, str] = {}
    for each in given:
        name, equals, value = each.partition("=")
        name = name.lower()
        if not equals or name not in known or name in found:
            raise RefusedError(f"{each} is not a valid argument for this command.\n{SYNTAX}")
        found[name] = value
    return found
