"""Explaining and reading anew over the API of a real manager: by what is in force there, and touching none of it."""

import json

import pytest

from tests.integration.a_manager_daemon import ATTACKER, COUNT, OSSEC_CONF, RULES, attack

pytestmark = pytest.mark.broker

LINE = f"Nov 24 16:00:00 web1 sshd[4711]: Failed password for invalid user x from {ATTACKER} port 4022 ssh2"


async def test_an_explanation_touches_nothing_of_what_it_explains(manager, web1):
    """Lines that would be blocked are explained to the order, each time anew, and neither ordered nor counted with the
    real ones: these still have to be as many."""
    for _ in range(2):
        done = manager.thwart("explain", *[LINE] * COUNT, "-o", "json")
        assert done.returncode == 0, done.stderr
        lines = json.loads(done.stdout)["lines"]
        assert [each["counted"] for each in lines] == [1, 1, COUNT]
        assert (lines[-1]["rule"], [order["target"] for order in lines[-1]["orders"]]) == ("5712", [ATTACKER])
    assert manager.thwart("explain", *[LINE] * (COUNT - 1)).returncode == 0
    await web1.log(attack())
    order = await web1.order("web1")
    assert (order.target, order.offence) == (ATTACKER, 1)
    assert f" u{COUNT - 1} " in manager.get(f"/v1/orders/{order.id}")["alert"]["full_log"], "not one line sooner"
    assert manager.rows("SELECT id FROM orders") == [(order.id,)]


def test_too_much_at_once_is_refused_with_a_sentence(manager):
    """No request makes the manager explain more lines, or longer ones, than it may."""
    for lines in (["x"] * 1_001, ["x" * 20_000], []):
        answer = manager.call("POST", "/v1/explain", json={"lines": lines})
        assert answer.status_code == 400, answer.text
    assert manager.call("POST", "/v1/explain", content=b" " * 1_048_577).status_code == 413


def test_rules_are_read_anew_or_refused_with_the_place(manager):
    """`thwart rules reload` puts files in force, or says what is wrong with them; then the old ones stay."""
    (manager.folder / "rules.xml").write_text(RULES.replace('level="10"', 'level="13"'))
    done = manager.thwart("rules", "reload")
    assert done.returncode == 0, done.stderr
    assert manager.get("/v1/rules/5712")["level"] == 13
    (manager.folder / "rules.xml").write_text(RULES.replace("frequency", "frequenzy"))
    wrong = manager.thwart("rules", "reload")
    assert wrong.returncode == 1
    assert "rules.xml:3" in wrong.stderr
    assert "frequenzy" in wrong.stderr
    shown = json.loads(manager.thwart("rules", "list", "--text", "brute", "--level", "13", "-o", "json").stdout)
    assert [each["id"] for each in shown] == ["5712"]
    (manager.folder / "rules.xml").write_text(RULES)
    (manager.folder / "ossec.conf").write_text(OSSEC_CONF.replace("600", "700"))
    assert manager.thwart("rules", "reload").returncode == 0
    (response,) = json.loads(manager.thwart("responses", "-o", "json").stdout)
    assert (response["timeout"], response["tripped"]) == (700, False)
    shown = manager.thwart("responses", "show", response["identity"])
    assert "5712" in shown.stdout
