"""What happens to orders, as whoever listens hears it: one object each, told apart by `type`, and when (`at`).

`at` is the manager's clock in Unix seconds; other instants are the agent's. Light: the command line reads it too.
"""

from typing import Literal

from msgspec import Struct

from shared.messages import Acknowledgement, Expiry, Order

Origin = Literal["alert", "person", "approval", "foreign"]  # what an order comes from


class News(Struct, frozen=True, kw_only=True, tag_field="type"):
    """Base of everything that is told."""

    at: float


class Listening(News, frozen=True, kw_only=True, tag="listening"):
    """The first of a stream: what happens from now on is told."""

    version: str


class OrderNews(News, frozen=True, kw_only=True, tag="order"):
    """An order was given, or is kept back until a person decides."""

    order: Order
    origin: Origin
    on_hold: bool = False

    @property
    def order_id(self) -> str:
        return self.order.id

    @property
    def target(self) -> str:
        return self.order.target


class AnswerNews(News, frozen=True, kw_only=True, tag="acknowledgement"):
    """An agent answered. `seconds` since the order was issued, by the manager's clock; None for a foreign order."""

    order_id: str
    agent_id: str
    action: str
    target: str
    seconds: float | None
    said: Acknowledgement


class ExpiryNews(News, frozen=True, kw_only=True, tag="expiry"):
    """An order no longer holds its effect on an agent."""

    order_id: str
    agent_id: str
    action: str
    target: str
    said: Expiry


class OverNews(News, frozen=True, kw_only=True, tag="over"):
    """Nothing more is to be heard of an order; with how many agents it ended in which state."""

    order_id: str
    action: str
    target: str
    agents: dict[str, int]


class CutOff(News, frozen=True, kw_only=True, tag="cut-off"):
    """The last of a stream that doesn't go on, and why."""

    why: str


Told = OrderNews | AnswerNews | ExpiryNews | OverNews
AnyNews = Listening | Told | CutOff


class Interest(Struct, frozen=True, kw_only=True):
    """What somebody wants to hear of; nothing set: of everything."""

    order: str | None = None  # the beginning of its id
    agent: str | None = None
    target: str | None = None  # normalised

    def covers(self, news: Told) -> bool:
        """An order for a role names nobody, and may be for any agent. That an order is over says no agent."""
        if self.order is not None and not news.order_id.startswith(self.order):
            return False
        if self.target is not None and news.target != self.target:
            return False
        return self.agent is None or _concerns(news, self.agent)


def _concerns(news: Told, agent: str) -> bool:
    match news:
        case OrderNews():
            return agent in news.order.agents or not news.order.agents
        case AnswerNews() | ExpiryNews():
            return news.agent_id == agent
        case _:
            return True
