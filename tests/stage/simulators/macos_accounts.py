"""What `dscl` and `pwpolicy` know of macOS's accounts: Open Directory's local node, kept in the simulated host."""

from tests.stage.simulators import host

NODE = "/Local/Default"
DISABLED = ";DisabledUser;"
AUTHORITY = ";ShadowHash;HASHLIST:<SALTED-SHA512-PBKDF2>"
SYSTEM = {"root": "0", "daemon": "1", "nobody": "-2", "_www": "70"}


def users() -> dict[str, dict[str, str]]:
    """By name the attributes of each record."""
    found: dict[str, dict[str, str]] = host.load().get("users", {})
    return found or {name: {"UniqueID": uid, "AuthenticationAuthority": AUTHORITY} for name, uid in SYSTEM.items()}


def keep(some: dict[str, dict[str, str]]) -> None:
    """What others see from now on."""
    host.save({**host.load(), "users": some})
