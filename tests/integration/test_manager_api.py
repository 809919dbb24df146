"""The HTTP API's contract: who may, what it answers, and that a request sent twice is one order."""

import json
import stat

import httpx
import pytest

from manager.api.requests import LARGEST_BODY
from shared.errors import SettingsError
from tests.integration.a_manager_daemon import ATTACKER, LISTED, Hands, RunningManager, known, state_of

pytestmark = pytest.mark.broker

BLOCK = {"request_id": "request-1", "address": ATTACKER, "location": "all", "timeout": 60}

WRONG_WISHES = (
    ({"address": "localhost"}, 422, "not an IP address"),
    ({"address": "127.0.0.1"}, 422, "loopback"),
    ({"address": "0.0.0.0/0"}, 422, "everything"),
    ({"address": LISTED}, 409, "white_list"),
    ({"address": "198.51.0.0/16"}, 409, LISTED),
    ({"location": "local"}, 400, "location"),
    ({"location": "agent"}, 422, "agents"),
    ({"agents": ["web1"]}, 422, "agents"),
    ({"location": "agent", "agents": ["nobody"]}, 422, "nobody"),
    ({"timeout": 0}, 400, "timeout"),
    ({"timeout": -5}, 400, "timeout"),
    ({"timeout": None}, 400, "timeout"),
    ({"timeout": "for ever"}, 400, "timeout"),
    ({"tiemout": 60}, 400, "tiemout"),
    ({"request_id": "x"}, 400, "request_id"),
    ({"request_id": "request-1\n"}, 400, "request_id"),
    ({"location": "agent", "agents": ["web1\n"]}, 400, "agents"),
    ({"dry_run": "yes"}, 400, "dry_run"),
    ({"reason": "x" * 501}, 400, "reason"),
)

WRONG_PATHS = (
    ("GET", "/v1/nothing", 404),
    ("GET", "/v1/orders/0000", 404),
    ("PUT", "/v1/blocks", 405),
    ("GET", "/v1/orders?limit=0", 400),
    ("GET", "/v1/orders?limit=many", 400),
    ("GET", "/v1/orders?state=lost", 400),
    ("GET", "/v1/orders?colour=red", 400),
)


def test_only_who_has_the_token_is_answered(manager):
    """Every route but `/metrics` wants the bearer token; anything else is 401 and changes nothing."""
    for path in ("/v1/orders", "/v1/orders/x", "/v1/blocks", "/v1/agents", "/v1/health"):
        for headers in (
            {},
            {"Authorization": "Bearer"},
            {"Authorization": f"Bearer {manager.token[:-1]}"},
            {"Authorization": f"Basic {manager.token}"},
            {"Authorization": "Bearer \xfc"},
        ):
            answer = manager.call("GET", path, headers=httpx.Headers(headers, encoding="latin-1"))
            assert answer.status_code == 401, path
            assert answer.headers["WWW-Authenticate"] == "Bearer"
            assert "token" in answer.json()["error"]
    assert manager.call("POST", "/v1/blocks", headers={}, json=BLOCK).status_code == 401
    assert manager.rows("SELECT count(*) FROM orders") == [(0,)]
    assert "# HELP thwart_" in httpx.get(f"{manager.url}/metrics", trust_env=False).text


def test_the_token_is_for_its_owner_alone(manager):
    """The file that the first start made can be read by nobody else, and a restart keeps it."""
    file = manager.folder / "state" / "api.token"
    before = file.read_text()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    manager.stop()
    manager.start()
    assert file.read_text() == before


def test_a_request_that_is_sent_again_is_one_order(manager):
    """The same request id answers the same order; for something else it is a conflict."""
    first = manager.call("POST", "/v1/blocks", json=BLOCK)
    assert (first.status_code, first.json()["repeated"]) == (201, False)
    again = manager.call("POST", "/v1/blocks", json=BLOCK)
    assert (again.status_code, again.json()["repeated"]) == (200, True)
    assert again.json()["orders"] == first.json()["orders"]
    other = manager.call("POST", "/v1/blocks", json={**BLOCK, "address": "203.0.113.10"})
    assert other.status_code == 409
    assert manager.rows("SELECT count(*) FROM orders") == [(1,)]


def test_who_gave_it_and_for_how_long_is_in_the_order(manager):
    """The token's name is the issuer; without a timeout it is the setting's, and `forever` has no end and says so."""
    plain = manager.call("POST", "/v1/blocks", json={**BLOCK, "timeout": 60}).json()["orders"][0]
    assert (plain["issuer"], plain["timeout"]) == ("operator", 60)
    wish = {name: value for name, value in BLOCK.items() if name != "timeout"}
    unsaid = manager.call("POST", "/v1/blocks", json={**wish, "request_id": "request-2"}).json()
    assert unsaid["orders"][0]["timeout"] == 14_400
    forever = manager.call("POST", "/v1/blocks", json={**wish, "request_id": "request-3", "timeout": "forever"}).json()
    assert forever["orders"][0]["expires_at"] is None
    assert any("until it is lifted" in note for note in forever["notes"])


def test_what_can_not_be_done_is_said_in_a_sentence(manager):
    """A wrong wish is refused with the word that is wrong, and orders nothing."""
    for change, status, words in WRONG_WISHES:
        answer = manager.call("POST", "/v1/blocks", json={**BLOCK, **change})
        assert answer.status_code == status, change
        assert words in answer.json()["error"], change
    assert manager.rows("SELECT count(*) FROM orders") == [(0,)]


def test_what_is_no_request_is_400(manager):
    """Anything but a JSON object of the right shape is refused in JSON."""
    for body in (b"", b"{", b"[]", b"null", b"\xff\xfe", b'{"request_id": 1}', b"[" * 50_000):
        answer = manager.call("POST", "/v1/blocks", content=body)
        assert answer.status_code == 400, body
        assert set(answer.json()) == {"error"}


def test_a_body_that_is_too_large_is_413(manager):
    """It is read no further than the limit, with and without a length."""
    large = json.dumps({**BLOCK, "reason": "x" * LARGEST_BODY}).encode()
    assert manager.call("POST", "/v1/blocks", content=large).status_code == 413
    chunks = (large[start : start + 10_000] for start in range(0, len(large), 10_000))
    assert manager.call("POST", "/v1/blocks", content=chunks).status_code == 413


def test_every_error_is_json(manager):
    """Whatever is asked for, an error is `{"error": sentence}`."""
    for method, path, status in WRONG_PATHS:
        answer = manager.call(method, path)
        assert answer.status_code == status, path
        assert set(answer.json()) == {"error"}


async def test_orders_are_found_by_what_they_are(manager, broker):
    """State, target, agent and limit select; the beginning of an id that is no other's finds one."""
    async with Hands(broker, "web1", "web2") as hands:
        await hands.beat("web1")
        await hands.beat("web2")
        await known(manager, "web1", "web2")
        everywhere = manager.call("POST", "/v1/blocks", json=BLOCK).json()["orders"][0]
        wish = {**BLOCK, "request_id": "request-2", "address": "2001:DB8::9", "location": "agent", "agents": ["web2"]}
        one = manager.call("POST", "/v1/blocks", json=wish).json()["orders"][0]
        order = await hands.order("web1")
        await hands.answer(order, "web1")
        await state_of(manager, order, {"web1": "applied", "web2": "waiting"})
        found = {
            query: [each["id"] for each in manager.get(f"/v1/orders?{query}")["orders"]]
            for query in ("limit=1", "target=2001:db8:0::9", "agent=web1", "state=waiting", "state=ended")
        }
    assert found == {
        "limit=1": [one["id"]],
        "target=2001:db8:0::9": [one["id"]],
        "agent=web1": [everywhere["id"]],
        "state=waiting": [one["id"], everywhere["id"]],
        "state=ended": [],
    }
    assert manager.get(f"/v1/orders/{one['id'][:8]}")["view"]["id"] == one["id"]


async def test_a_lift_names_what_it_ends(manager, web1):
    """Unblocking orders a delete of every block of the address; of an address that isn't blocked it orders nothing."""
    manager.call("POST", "/v1/blocks", json=BLOCK)
    block = await web1.order("web1")
    await web1.answer(block, "web1")
    lifted = manager.call("POST", "/v1/unblocks", json={"request_id": "request-2", "address": ATTACKER})
    assert lifted.status_code == 201
    order = await web1.order("web1")
    assert (order.operation, order.lifts, order.issuer) == ("delete", (block.id,), "operator")
    await web1.answer(order, "web1", "lifted")
    await web1.end(block, "web1", cause="lifted")
    await state_of(manager, block, {"web1": "ended"})
    other = manager.call("POST", "/v1/unblocks", json={"request_id": "request-2", "address": "203.0.113.10"})
    assert other.status_code == 409
    nothing = manager.call("POST", "/v1/unblocks", json={"request_id": "request-3", "address": ATTACKER})
    assert (nothing.status_code, nothing.json()["orders"]) == (200, [])


def test_a_request_id_that_was_used_for_another_keeps_nothing(manager):
    """409 before anything is changed, whether the first lifted by itself or by what it put on the allowlist."""
    for number, first in enumerate(({}, {"keep": 60}), 1):
        target, request_id = f"203.0.113.{number}", f"request-{number}"
        manager.call("POST", "/v1/blocks", json={**BLOCK, "request_id": f"ordered-{number}", "address": target})
        wish = {"request_id": request_id, "address": target, **first}
        assert manager.call("POST", "/v1/unblocks", json=wish).status_code == 201
        before = manager.get("/v1/allow")
        other = manager.call("POST", "/v1/unblocks", json={**wish, "address": "203.0.113.10", "keep": 60})
        assert (other.status_code, request_id in other.json()["error"]) == (409, True)
        assert manager.get("/v1/allow") == before
        assert manager.call("POST", "/v1/unblocks", json={**wish, "keep": 60}).status_code in (200, 201)


async def test_agents_are_shown_as_they_said_they_are(manager, broker):
    """A heartbeat's words come out again, with the manager's judgement."""
    async with Hands(broker, roles=("server",)) as hands:
        await hands.beat("manager1", actions={"firewall-drop": "nftables"}, trouble="journal full", unsent=3, drift=2)
        await known(manager, "manager1")
    (agent,) = manager.get("/v1/agents")["agents"]
    assert (agent["state"], agent["roles"], agent["actions"]) == ("living", ["server"], {"firewall-drop": "nftables"})
    assert (agent["trouble"], agent["unsent"], agent["holds"], agent["drift"]) == ("journal full", 3, 0, 2)
    assert manager.metric('thwart_agents{state="living"}') == 1


def test_a_token_file_of_ones_own_names_who_ordered(guard, broker, tmp_path):
    """`name token` a line: the name becomes the order's issuer; a token that is too short is refused at the start."""
    tokens = tmp_path / "tokens"
    tokens.write_text("# people\nann 0123456789abcdef-ann\nbob 0123456789abcdef-bob\n")
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "api.token").write_text("x 0123456789abcdef-ann\n")
    manager = RunningManager(guard, broker, tmp_path, api_token_file=tokens)
    manager.start()
    headers = {"Authorization": "Bearer 0123456789abcdef-bob"}
    assert manager.call("POST", "/v1/blocks", headers=headers, json=BLOCK).json()["orders"][0]["issuer"] == "bob"
    manager.stop()
    tokens.write_text("ann short\n")
    failed = manager.fails()
    assert failed.returncode == 2
    assert "at least 16 characters" in failed.stderr
    assert SettingsError.__name__ not in failed.stderr
