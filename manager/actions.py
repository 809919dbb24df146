"""What may be said of an action that somebody names. It imports nothing heavy: a command line may ask.

The rule it keeps: what no agent could take is told from what one could, before anything is written down.
"""

from typing import Literal, NoReturn

from msgspec import Struct

from shared.actions import kind_of
from shared.errors import InvalidTarget, JustHappens, UnknownAction
from shared.targets import normalise_account, normalise_address, normalise_target

RENAMED = {"netsh": "netsh.exe", "win_route-null": "route-null.exe", "win_route-null.exe": "route-null.exe"}
LONGEST_NAME = 255  # characters: what an order can carry


class Term(Struct, frozen=True, kw_only=True):
    """How long an effect is to stay. A one-shot has none: it just happens."""

    timeout: float | None = None  # s; None: until lifted
    one_shot: bool = False


def name_of(text: str) -> str:
    """What a person means who names an action: a built-in one, a package's, or a file in the agents' script folder.

    Raises UnknownAction for what can be none of them.
    """
    name = RENAMED.get(text, text)
    if not 0 < len(name) <= LONGEST_NAME or set("/\\") & set(name) or name.startswith(".") or not name.isprintable():
        raise UnknownAction(
            f"{name[:80]!r} is no action: name a built-in one, a package's, or a file in the agents' script folder"
        )
    return name


def term(action: str, said: float | Literal["forever"] | None, usual: float, *, ends: bool = False) -> Term:
    """How long `action` is to stay when that was `said`; spans in seconds, None when nothing was.

    Without a word addresses and accounts have the `usual` time, and so has what is known to be one that `ends`. A
    script is then only told to act, once: whether what it does can be ended nobody knows. Raises JustHappens for a time
    that means nothing, UnknownAction.
    """
    action = name_of(action)
    kind = kind_of(action)
    if kind == "nothing" and said is not None:
        raise JustHappens(f"{action} just happens and has no end: leave the time out")
    if said is None:
        once = kind == "nothing" or (kind == "script" and not ends)
        return Term(one_shot=True) if once else Term(timeout=usual)
    return Term(timeout=None if said == "forever" else said)


def target_of(action: str, text: str) -> str:
    """The one spelling of what `action` is to act on. Raises InvalidTarget for what it can't, UnknownAction."""
    action, text = name_of(action), text.strip()
    match kind_of(action):
        case "nothing":
            if text:
                raise InvalidTarget(f"{action} acts on nothing: leave {text[:80]!r} out")
            return ""
        case "script":
            return normalise_target(text) if text else ""
        case "address":
            return normalise_address(text or _missing(action, "address or network"))
        case "account":
            return normalise_account(text or _missing(action, "account"))


def _missing(action: str, what: str) -> NoReturn:
    raise InvalidTarget(f"{action} acts on an {what}: name one")
