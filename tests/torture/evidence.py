"""Gathers what the judge goes by, once nobody is killed any more: from outside, and from each witness itself."""

import asyncio
import time
from collections.abc import Sequence

import httpx

from shared.messages import Acknowledgement, Expiry, Order
from tests.torture.a_fleet import LIMIT, Fleet
from tests.torture.case import LATE
from tests.torture.history import Asked, Away, History, Host, Written
from tests.torture.spans import stays

ASKING = 10.0  # s that it may take to ask all hosts, one after the other


def gather(fleet: Fleet, asked: Sequence[Asked], away: Sequence[Away]) -> History:
    """Everything that was heard so far, and what ledger, journals and kernels say now."""
    ledger = fleet.outside.call(lambda: asyncio.run(_ledger(fleet, [each.order.id for each in asked])))
    hosts = {name: fleet.host(name) for name in fleet.agents}
    over_at = time.time()
    record = fleet.judge.record()
    seen: dict[str, float] = {}
    for at, message in record:
        if isinstance(message, Order):
            seen.setdefault(message.id, at)
    return History(
        asked=tuple(asked),
        seen=seen,
        answers=tuple(message for _, message in record if isinstance(message, Acknowledgement)),
        ends=tuple(message for _, message in record if isinstance(message, Expiry)),
        hosts=hosts,
        ledger=ledger,
        away=tuple(away),
        over_at=over_at,
    )


def doubts(fleet: Fleet, history: History) -> list[str]:
    """Why this can't be believed, if so: a watch that ended, or one that heard something else than nft lists."""
    ended = [f"the watch on {name} has ended" for name, watch in fleet.watches.items() if not watch.alive]
    return ended + [words for name, host in history.hosts.items() if (words := _contradiction(name, host, history))]


def _contradiction(name: str, host: Host, history: History) -> str:
    """What was listed and must be gone by what was announced, and the other way round; not what just ends or began."""
    ends = {member: spans[-1].until for member, spans in stays(host.changes).items()}
    gone = sorted(member for member in host.listed if ends.get(member, 0.0) < history.over_at - ASKING)
    there = sorted(member for member, end in ends.items() if end > history.over_at + LATE and member not in host.listed)
    return f"{name}: announced as gone and listed: {gone}; the other way round: {there}" if gone or there else ""


async def _ledger(fleet: Fleet, ids: Sequence[str]) -> dict[tuple[str, str], Written]:
    """What it says about each of these orders and each agent."""
    rows: dict[tuple[str, str], Written] = {}
    few = asyncio.Semaphore(8)

    async def one(http: httpx.AsyncClient, order_id: str) -> None:
        async with few:
            answer = await http.get(f"{fleet.url}/v1/orders/{order_id}", headers=fleet.headers)
        if answer.status_code != 404:
            for each in answer.raise_for_status().json()["view"]["agents"]:
                rows[order_id, each["agent_id"]] = Written(state=each["state"], status=each["status"])

    async with httpx.AsyncClient(timeout=10 * LIMIT, trust_env=False) as http:
        await asyncio.gather(*(one(http, each) for each in ids))
    return rows
