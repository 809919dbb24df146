"""Addresses and spans on a command line: what is none is wrong usage, said with what to do instead."""

import re
from typing import Literal

import click

from shared.errors import InvalidDuration, InvalidTarget

_NAME = re.compile(r"(?=.*[A-Za-z])[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*\.?")


def target_of(address: str, *, hint: str = "ADDRESS") -> str:
    """The address or network as orders spell it; what is none is wrong usage."""
    from shared.targets import normalise_address

    try:
        return normalise_address(address)
    except InvalidTarget as error:
        raise click.BadParameter(f"{error}{advice(address)}", param_hint=hint) from error


def any_target_of(text: str, *, hint: str = "TARGET") -> str:
    """An address or network as orders spell it, or a name as it is; what can be neither is wrong usage."""
    from shared.targets import normalise_target

    try:
        return normalise_target(text)
    except InvalidTarget as error:
        raise click.BadParameter(str(error), param_hint=hint) from error


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


def advice_on_host(target: str) -> str:
    """The same for a name that may be a host's; an account's has no dots, mostly."""
    return advice(target) if "." in target else ""


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
