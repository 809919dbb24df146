"""SIGHUP on a real manager: ossec.conf and rules anew, whole or not at all, and nothing that runs is disturbed."""

import signal
import time

import pytest

from tests.integration.a_manager_daemon import ATTACKER, OSSEC_CONF, Hands, RunningManager, attack, known
from tests.waiting import eventually

pytestmark = pytest.mark.broker

RULES = """
<group name="local,">
  <rule id="5712" level="10" frequency="5" timeframe="120" overwrite="yes">
    <if_matched_sid>5710</if_matched_sid>
    <same_source_ip />
    <description>sshd: brute force</description>
  </rule>
</group>
"""
OTHER = """
  <active-response>
    <command>firewall-drop</command>
    <location>local</location>
    <rules_id>5763</rules_id>
    <timeout>300</timeout>
  </active-response>
"""
BOTH = OSSEC_CONF.replace("</ossec_config>", f"{OTHER}</ossec_config>")
TURNED = OSSEC_CONF.replace("<ossec_config>", f"<ossec_config>{OTHER}")


@pytest.fixture
def manager(guard, broker, tmp_path):
    running = RunningManager(guard, broker, tmp_path)
    _write(running, rules=RULES)
    running.start()
    return running


async def test_a_window_goes_on_over_a_reload(manager, broker):
    """Three of five failures before, two after: the fifth is blocked, though the file was rewritten around the rule."""
    async with Hands(broker, "web1") as hands:
        await _attacked(manager, hands, attack(count=3))
        _write(manager, rules=f"<!-- another first line -->\n\n{RULES}".replace("  <if", "      <if"))
        await _reload(manager)
        await hands.log(attack(first=3, count=2))
        assert (await hands.order("web1")).target == ATTACKER


async def test_a_rule_that_changed_counts_afresh(manager, broker):
    """What was counted by another rule says nothing about the new one."""
    async with Hands(broker, "web1") as hands:
        await _attacked(manager, hands, attack(count=3))
        _write(manager, rules=RULES.replace('frequency="5"', 'frequency="4"'))
        await _reload(manager)
        await _attacked(manager, hands, attack(first=3, count=3), lines=6)
        assert manager.rows("SELECT count(*) FROM orders") == [(0,)]
        await hands.log(attack(first=6, count=1))
        assert (await hands.order("web1")).target == ATTACKER


@pytest.mark.parametrize(
    ("name", "text", "where"),
    [
        ("ossec.conf", OSSEC_CONF.replace("</active-response>", "<active-response>"), ":10"),
        ("ossec.conf", OSSEC_CONF.replace("firewall-drop", "firewall-dorp"), ":5"),
        ("ossec.conf", OSSEC_CONF[:200], ""),
        ("ossec.conf", "", ""),
        ("ossec.conf", None, ""),
        ("rules.xml", RULES.replace("5710", "999999"), ":3"),
        ("rules.xml", "", ""),
        ("rules.xml", None, ""),
    ],
)
async def test_what_is_wrong_is_refused_and_the_old_stays(manager, web1, name, text, where):
    """It is said with file and line, shown by health and counted; rules and responses go on as they were."""
    path = manager.folder / name
    before = manager.get("/v1/health")["configured_at"]
    path.unlink() if text is None else path.write_text(text)
    manager.process.signal(signal.SIGHUP)
    (said,) = await eventually(lambda: manager.said("configuration_refused"))
    assert said["where"].startswith(f"{path}{where}")
    assert "thwart check-config" in said["event"]
    health = manager.get("/v1/health")
    assert (health["configured_at"], health["configuration_refused"][: len(str(path))]) == (before, str(path))
    assert manager.metric('thwart_configuration_reloads_total{result="refused"}') == 1
    await web1.log(attack(count=5))
    assert (await web1.order("web1")).timeout == 600.0
    _write(manager, rules=RULES, conf=OSSEC_CONF)
    await _reload(manager)
    health = manager.get("/v1/health")
    assert (health["configured_at"] > before, health["configuration_refused"]) == (True, "")


async def test_escalation_survives_another_order_of_the_blocks(manager, web1):
    """A response is known by what it says: after the blocks changed places the second offence is the second."""
    _write(manager, conf=BOTH)
    await _reload(manager)
    await web1.log(attack(count=5))
    first = await web1.order("web1")
    assert (first.offence, first.timeout) == (1, 600.0)
    _write(manager, conf=TURNED)
    await _reload(manager)
    manager.thwart("unblock", ATTACKER, "--no-wait")
    assert (await web1.order("web1")).operation == "delete"
    await web1.log(attack(first=10, count=5, at=time.time() + 0.5))
    second = await web1.order("web1")
    assert (second.response, second.offence, second.timeout) == (first.response, 2, 20 * 60.0)


async def test_what_the_white_list_gains_is_protected_at_once(manager, broker):
    """An attacker that the new file lists is not blocked any more."""
    async with Hands(broker, "web1") as hands:
        _write(manager, conf=OSSEC_CONF.replace("<global>", f"<global><white_list>{ATTACKER}</white_list>"))
        await _reload(manager)
        await _attacked(manager, hands, attack(count=5))
        (refusal,) = await eventually(lambda: manager.said("not_ordered"))
        assert refusal["reason"] == "protected"
        assert manager.rows("SELECT count(*) FROM orders") == [(0,)]


async def test_what_the_white_list_lifts_is_told(manager, web1):
    """It is an order like any other: it has its line in the log, and is counted."""
    manager.thwart("block", ATTACKER, "--no-wait")
    assert (await web1.order("web1")).operation == "add"
    _write(manager, conf=OSSEC_CONF.replace("<global>", f"<global><white_list>{ATTACKER}</white_list>"))
    await _reload(manager)
    delete = await web1.order("web1")
    assert [each["order_id"] for each in manager.said("ordered")][1:] == [delete.id]
    assert manager.metric('thwart_orders_total{location="all",operation="delete",origin="person"}') == 1


async def test_a_burst_loses_no_line_to_reloads(manager, web1):
    """While lines pour in the files are read again and again: each line counts, each attacker is blocked once."""
    attackers = [f"203.0.113.{number}" for number in range(1, 101)]
    _write(manager, conf=OSSEC_CONF.replace("<location>all", "<location>local"))  # of `all` 20 a minute pass
    await _reload(manager)
    for part in range(5):
        for number, source in enumerate(attackers):
            await web1.log(attack(first=part, count=1, source=source, file=f"1:{number}"))
            if number % 25 == 0:
                manager.process.signal(signal.SIGHUP)
    orders = await web1.orders("web1", 20, within=20)
    await eventually(lambda: manager.metric("thwart_log_lines_total") == 5 * len(attackers), 15)
    counted = manager.rows("SELECT count(*), count(DISTINCT target) FROM orders WHERE operation = 'add'")
    assert (counted, len(orders)) == ([(100, 100)], 20)
    assert manager.metric('thwart_configuration_reloads_total{result="ok"}') >= 3


async def test_many_signals_are_few_reloads(manager):
    """What is asked again while it is being done is done once more, not a hundred times."""
    for _ in range(100):
        manager.process.signal(signal.SIGHUP)
    await _reload(manager)
    reloads = await eventually(lambda: manager.metric('thwart_configuration_reloads_total{result="ok"}'))
    assert 1 <= reloads <= 50
    assert manager.process.running


async def _attacked(manager: RunningManager, hands: Hands, batch, lines: int | None = None) -> None:
    """Returns when the lines have been counted."""
    await hands.beat("web1")
    await known(manager, "web1")
    await hands.log(batch)
    await eventually(lambda: manager.metric("thwart_log_lines_total") == (lines or len(batch.lines)))


async def _reload(manager: RunningManager) -> None:
    """Returns when the manager goes by what the files say now."""
    before = time.time()
    manager.process.signal(signal.SIGHUP)
    await eventually(lambda: manager.get("/v1/health")["configured_at"] >= before)


def _write(manager: RunningManager, *, rules: str | None = None, conf: str | None = None) -> None:
    for name, text in (("rules.xml", rules), ("ossec.conf", conf)):
        if text is not None:
            (manager.folder / name).write_text(text)
