"""Completes values at the shell with what the manager knows: quickly, or not at all, and never with a word.

Which manager, and whose token, is as the command line says so far, or the environment.
"""

import shlex
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from manager.client import Client

PATIENCE = 1.0  # s: who presses Tab waits for it
MOST = 200

Complete = Callable[[click.Context, click.Parameter, str], "list[CompletionItem]"]
Offer = tuple[str, str]  # a value, and a word about it for shells that show one


def _from(offers: "Callable[[Client], Iterable[Offer]]") -> Complete:
    """Completes with `offers` that begin as what is typed does."""

    def complete(ctx: click.Context, _: click.Parameter, incomplete: str) -> "list[CompletionItem]":
        from click.shell_completion import CompletionItem

        from shared.tables import plain

        try:
            with _client(ctx) as client:
                some = dict(offers(client))
        except Exception:  # an error's words would end up in the middle of what is being typed
            return []
        fit = (value for value in some if value.startswith(incomplete) and _is_a_word(value))
        return [CompletionItem(value, help=plain(some[value])) for value in fit]

    return complete


def _is_a_word(value: str) -> bool:
    """Shells put it onto the command line as it is, and it may be from a log or an agent: `x;reboot` would be run."""
    return shlex.quote(value) == value


def _client(ctx: click.Context) -> "Client":
    from manager.cli import options
    from manager.client import Client

    given = {name: ctx.params.get(name) for name in ("api", "token_file")}
    return Client(given["api"] or options.API_URL, given["token_file"] or options.token_file(), limit=PATIENCE)


def _orders(client: "Client", **query: Any) -> Iterable[Offer]:
    from manager.api.bodies.orders import Orders

    found = client.get("/v1/orders", Orders, limit=MOST, **query).orders
    return [(each.id, f"{each.action} {each.target}, {each.state}") for each in found]


def _agents(client: "Client") -> Iterable[Offer]:
    from manager.api.bodies.agents import Agents

    return [(each.id, each.state) for each in client.get("/v1/agents", Agents).agents]


def _actions(client: "Client") -> Iterable[Offer]:
    from manager.api.bodies.agents import Agents

    agents = client.get("/v1/agents", Agents).agents
    return [(action, backend) for each in agents for action, backend in each.actions.items()]


def _blocked(client: "Client") -> Iterable[Offer]:
    from manager.api.bodies.blocks import Blocks

    return [(each.target, each.action) for each in client.get("/v1/blocks", Blocks).blocks]


def _offenders(client: "Client") -> Iterable[Offer]:
    from manager.api.bodies.offenders import Offenders

    found = client.get("/v1/offenders", Offenders).offenders
    return [(each.target, f"offence {each.offence}") for each in found]


def _rules(client: "Client") -> Iterable[Offer]:
    from manager.api.bodies.rules import Rules

    return [(each.id, each.description) for each in client.get("/v1/rules", Rules).rules]


def _responses(client: "Client") -> Iterable[Offer]:
    from manager.api.bodies.responses import Responses

    return [(each.identity, each.action) for each in client.get("/v1/responses", Responses).responses]


orders = _from(_orders)
on_hold = _from(lambda client: _orders(client, state="on-hold"))
actions = _from(_actions)
agents = _from(_agents)
blocked = _from(_blocked)
offenders = _from(_offenders)
rules = _from(_rules)
responses = _from(_responses)
