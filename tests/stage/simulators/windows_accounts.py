"""What `net user` and PowerShell know of a Windows' local users, kept in the simulated host: by name, in lower case."""

from tests.stage.simulators import host

DOMAIN = "S-1-5-21-1004336348-1177238915-682003330"
SYSTEM = {"Administrator": "500", "Guest": "501", "DefaultAccount": "503"}


def users() -> dict[str, dict[str, object]]:
    """Each with its name as it is shown, whether it is enabled, and its SID."""
    found: dict[str, dict[str, object]] = host.load().get("users", {})
    return found or {name.lower(): user(name, number) for name, number in SYSTEM.items()}


def user(name: str, number: str) -> dict[str, object]:
    """One that is enabled."""
    return {"name": name, "enabled": True, "sid": f"{DOMAIN}-{number}"}


def keep(some: dict[str, dict[str, object]]) -> None:
    """What others see from now on."""
    host.save({**host.load(), "users": some})
