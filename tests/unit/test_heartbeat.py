"""What an agent says of itself, and that managers take it however much there is to say."""

import pytest

from agent.heartbeat import SHORT, fitting
from shared import codec
from tests.unit.a_manager import heartbeat

ACTIONS = {"firewall-drop": "nftables"}
WHY = "others than its owner can write to /etc/thwart/scripts/it: chmod go-w /etc/thwart/scripts/it " * 3


def named(count: int, length: int, said: str) -> dict[str, str]:
    return {f"{number:03}".ljust(length, "x"): said for number in range(count)}


def test_what_is_of_a_usual_size_is_said_whole() -> None:
    """Every reason as it is."""
    said = heartbeat("web1", actions=ACTIONS, unsupported=named(20, 20, WHY), passed_over={"firewall-drop": WHY})
    assert fitting(said) == said


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ({"actions": ACTIONS, "unsupported": named(200, 100, WHY)}, {"actions", "unsupported"}),
        ({"actions": ACTIONS, "unsupported": named(200, 255, WHY)}, {"actions"}),
        ({"actions": named(300, 255, "script")}, set()),
        ({"addresses": tuple(f"2001:db8::{number:x}:1" for number in range(5_000)), "trouble": WHY * 100}, set()),
    ],
)
def test_an_agent_with_much_to_say_is_heard_of_all_the_same(said, kept) -> None:
    """Managers take no heartbeat over a limit: a folder of scripts that can't be used would make a host silent."""
    told = fitting(heartbeat("web1", **said))
    assert len(codec.encode(told)) <= codec.MAX_HEARTBEAT
    assert {name for name in ("actions", "unsupported", "addresses") if getattr(told, name)} == kept
    assert all(len(why) <= SHORT for why in told.unsupported.values())
    assert ("more than can be said" in told.trouble) is (not kept)
