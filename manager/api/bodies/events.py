"""Events: which to hear. What is heard is in `manager.news`."""

from manager.api.bodies.body import Body, Some


class EventFilter(Body, frozen=True, kw_only=True):
    """The query of GET /v1/events."""

    order: Some | None = None
    agent: Some | None = None
    target: Some | None = None
