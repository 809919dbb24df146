"""The routes of rules and responses: what is in force, and reading it anew."""

from starlette.requests import Request

from manager.api import requests
from manager.api.bodies.rules import Reloaded, RuleFilter
from manager.api.route import Answer, Route
from manager.explaining.rulebook import Rulebook
from manager.panic import Panic
from manager.reload import Reload
from manager.roster import Roster
from shared.errors import ReloadRefused


class RuleRoutes:
    """Handlers of requests; each gets the name that the request's token stands for."""

    def __init__(self, reload: Reload, panic: Panic, roster: Roster) -> None:
        self._reload, self._panic, self._roster = reload, panic, roster

    def routes(self) -> list[Route]:
        return [
            Route("GET", "/v1/rules", self._rules),
            Route("POST", "/v1/rules/reload", self._read_anew),
            Route("GET", "/v1/rules/{rule_id}", self._rule),
            Route("GET", "/v1/responses", self._responses),
            Route("GET", "/v1/responses/{identity:path}", self._response),
        ]

    async def _rules(self, request: Request, _: str) -> Answer:
        return 200, self._rulebook().rules(requests.query(request, RuleFilter))

    async def _rule(self, request: Request, _: str) -> Answer:
        return 200, self._rulebook().rule(request.path_params["rule_id"])

    async def _read_anew(self, _: Request, __: str) -> Answer:
        refused = await self._reload.anew()
        if refused:
            raise ReloadRefused(f"refused, and what was in force stays: {refused}")
        loaded = self._reload.loaded
        return 200, Reloaded(
            rules=len(loaded.rules.rules),
            decoders=len(loaded.rules.decoders),
            responses=len(loaded.configuration.responses),
            read_at=self._reload.since,
        )

    async def _responses(self, _: Request, __: str) -> Answer:
        return 200, (await self._with_breakers()).responses()

    async def _response(self, request: Request, _: str) -> Answer:
        return 200, (await self._with_breakers()).response(request.path_params["identity"])

    def _rulebook(self, tripped: tuple[str, ...] = ()) -> Rulebook:
        loaded = self._reload.loaded
        return Rulebook(
            ruleset=loaded.rules,
            configuration=loaded.configuration,
            read_at=self._reload.since,
            tripped=tripped,
            members=self._roster.members(),
        )

    async def _with_breakers(self) -> Rulebook:
        return self._rulebook((await self._panic.status()).tripped)
