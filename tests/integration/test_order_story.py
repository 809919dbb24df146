"""`thwart orders show`: one order in time, from the lines that were counted to the last agent's word."""

import asyncio
import json

import pytest

from tests.integration.a_manager_daemon import ATTACKER, attack, state_of

pytestmark = pytest.mark.broker


async def test_a_story_goes_from_the_log_lines_to_the_end(manager, web1):
    """Each counted line, the alert, the order, its way, the answer with how long it took, who extended it, who lifted
    it, its end: in time, as a table and as JSON."""
    await web1.log(attack())
    order = await web1.order("web1")
    await web1.answer(order, "web1")
    await state_of(manager, order, {"web1": "applied"})
    assert manager.thwart("block", ATTACKER, "--for", "2h", "--no-wait").returncode == 0
    longer = await web1.order("web1")
    await web1.answer(longer, "web1", "unchanged")
    await state_of(manager, longer, {"web1": "unchanged"})
    running = asyncio.create_task(asyncio.to_thread(manager.thwart, "unblock", ATTACKER, "--reason", "it is us"))
    delete = await web1.order("web1")
    await web1.end(order, "web1", cause="lifted")
    await web1.answer(delete, "web1", "lifted")
    assert (await running).returncode == 0
    await state_of(manager, order, {"web1": "ended"})

    told = json.loads(manager.thwart("orders", "show", order.id, "-o", "json").stdout)
    timeline = told["timeline"]
    assert [each["text"].split()[8:11] for each in timeline[:3]] == [["invalid", "user", f"u{n}"] for n in range(3)]
    kinds = [each["what"] for each in timeline]
    assert kinds[:5] == ["line", "line", "line", "alert", "order"]
    assert set(kinds[5:7]) == {"sent", "answer"}, "an agent may be quicker than the broker's confirm"
    assert set(kinds[7:]) == {"extended", "lift", "end"}
    assert timeline == sorted(timeline, key=lambda each: each["at"] or 0)
    by_kind = {each["what"]: each["text"] for each in timeline}
    assert "rule 5712" in by_kind["alert"]
    assert "applied" in by_kind["answer"] and "after 0." in by_kind["answer"]
    assert longer.id[:12] in by_kind["extended"]
    assert any("it is us" in each["text"] for each in timeline if each["what"] == "lift")
    assert told["view"]["id"] == order.id

    shown = manager.thwart("orders", "show", order.id[:8]).stdout.partition("WHEN")[2]
    words = (" u0 ", " u1 ", " u2 ", "rule 5712, level 10", "the broker has it", "extended")
    places = [shown.index(word) for word in words]
    assert places == sorted(places)
    assert "reverted" in shown
