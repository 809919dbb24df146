"""Addresses on a command line, and files full of them: what is none is wrong usage, said with what to do instead."""

import re
from collections.abc import Iterable
from typing import Literal

import click
from msgspec import Struct

from shared.errors import InvalidDuration, InvalidTarget

_NAME = re.compile(r"(?=.*[A-Za-z])[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*\.?")
SHOWN = 10  # bad lines that are printed


class Line(Struct, frozen=True, kw_only=True):
    """A line of a file of addresses; `why` says what is wrong with it, and is empty for a good one."""

    number: int
    text: str
    why: str = ""


def target_of(address: str, *, hint: str = "ADDRESS") -> str:
    """The address or network as orders spell it; what is none is wrong usage."""
    from shared.targets import normalise_address

    try:
        return normalise_address(address)
    except InvalidTarget as error:
        raise click.BadParameter(f"{error}{advice(address)}", param_hint=hint) from error


def network_of(text: str, *, hint: str = "NETWORK") -> str:
    """An address or network in one spelling, whether or not a block of it could be meant; else it is wrong usage."""
    from shared.targets import parse_network, text_of

    try:
        return text_of(parse_network(text.strip()))
    except InvalidTarget as error:
        raise click.BadParameter(f"{error}{advice(text)}", param_hint=hint) from error


def advice(address: str) -> str:
    """What to do about a word that is no address; empty when there is nothing to add."""
    if not _NAME.fullmatch(address.strip()):
        return ""
    return (
        f"; names aren't looked up, because they may point elsewhere tomorrow: `getent ahosts {address.strip()[:80]}`"
    )


def read(lines: Iterable[str]) -> list[Line]:
    """One address or network a line; `#` begins a comment, blank lines are passed over, each address comes once."""
    from shared.targets import normalise_address

    found: dict[str, Line] = {}
    for number, line in enumerate(lines, 1):
        text = line.partition("#")[0].strip().lstrip("\ufeff")
        if not text:
            continue
        try:
            target = normalise_address(text)
        except InvalidTarget as error:
            found[f"bad line {number}"] = Line(number=number, text=text[:80], why=f"{error}{advice(text)}")
        else:
            found.setdefault(target, Line(number=number, text=target))
    return list(found.values())


def span_of(text: str | None, *, hint: str) -> float | None:
    """Seconds, or None when nothing was given."""
    from shared.durations import seconds

    if text is None:
        return None
    try:
        span = seconds(text)
    except InvalidDuration as error:
        raise click.BadParameter(str(error), param_hint=hint) from error
    if not span:
        raise click.BadParameter("0 is no time", param_hint=hint)
    return span


def timeout_of(text: str | None) -> float | Literal["forever"] | None:
    """How long to block: seconds, or None for what the manager is set to."""
    if text == "forever":
        return "forever"
    try:
        return span_of(text, hint="--for")
    except click.BadParameter as error:
        wrong = f"{error.message}; or write forever for a block that stays until it is lifted"
        raise click.BadParameter(wrong, param_hint="--for") from error
