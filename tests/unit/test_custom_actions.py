"""Actions of an installed package: how they are found, and that none of their mistakes is the agent's end."""

import sys
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any, cast

import pytest

from agent.actions import custom
from agent.actions.action import Effect, Result
from agent.actions.catalogue import BUILT_IN, everything
from agent.actions.choice import Actions
from agent.actions.ip_customblock import IpCustomblock
from agent.contract.action import effect
from shared.errors import ActionError, InvalidTarget, ProtectedTarget
from shared.settings import ActionsSettings

EFFECTS = [effect("203.0.113.9", 60.0), effect("203.0.113.10", None)]


class Odd(IpCustomblock):
    """Somebody's first attempt."""

    name = "odd"

    def __init__(self, *, does: Callable[..., Any] = lambda *_: None) -> None:
        super().__init__(folder="/nowhere")
        self.does = does

    def key(self, target: str, arguments: Sequence[str]) -> str:
        return self.does(target)

    def prepare(self) -> None:
        self.does()

    def apply(self, effects: Sequence[Effect]) -> list[Result]:
        return self.does(effects)

    revert = apply

    def inspect(self) -> dict[str, float | None]:
        return self.does()

    def moved(self) -> bool:
        return self.does()


class Half:
    """What has a name and not much else."""

    name = "half"


class Scripted(IpCustomblock):
    """What starts a program, and says so."""

    name, backend = "scripted", "script"


class Broken(IpCustomblock):
    """What can't even say what it is."""

    name = "broken"

    @property
    def exact(self) -> bool:
        """Looks for something that isn't there."""
        raise KeyError("colour")


def other_name() -> Odd:
    return Odd()


CLASSES = {
    "odd": "Odd",
    "half": "Half",
    "even": "other_name",
    "scripted": "Scripted",
    "broken": "Broken",
    "absent": "Absent",
}
ENTRIES = {
    each: EntryPoint(name=each, value=f"{__name__}:{what}", group=custom.GROUP) for each, what in CLASSES.items()
}


@pytest.mark.parametrize(
    ("name", "settings", "says"),
    [
        ("absent", {}, f"{__name__}:Absent can't be used: AttributeError: "),
        ("odd", {"colour": "red"}, "TypeError: .*unexpected keyword argument 'colour'"),
        ("half", {}, f"{__name__}:Half is no action: it has no backend, network, exact, key, .*, moved"),
        ("even", {}, "calls itself 'odd', and its entry point 'even'"),
        ("broken", {}, f"{__name__}:Broken can't be used: KeyError: 'colour'"),
        ("scripted", {}, "has the backend 'script', which is what files"),
    ],
)
def test_what_is_no_action_is_turned_down_with_the_reason(name: str, settings: dict[str, Any], says: str) -> None:
    """At the start, for a person who then knows what to change."""
    with pytest.raises(ActionError, match=says):
        custom.made(ENTRIES[name], settings)


def test_its_settings_are_its_arguments(tmp_path: Path) -> None:
    """`[actions.own.ip-customblock] folder = …` is IpCustomblock(folder=…)."""
    (entry,) = [each for each in custom.found() if each.name == "ip-customblock"]
    action = custom.made(entry, {"folder": str(tmp_path / "there")})
    assert (action.name, action.backend, action.network, action.exact) == ("ip-customblock", "files", False, False)
    action.apply(EFFECTS[:1])
    assert (tmp_path / "there" / "203.0.113.9").exists()


def test_an_installed_package_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the entry point in its metadata and nothing else; the first of two with one name counts."""
    for each, value in (("a", "first:Deny"), ("b", "second:Deny")):
        metadata = tmp_path / each / f"{each}-1.0.dist-info"
        metadata.mkdir(parents=True)
        (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {each}\nVersion: 1.0\n")
        (metadata / "entry_points.txt").write_text(f"[{custom.GROUP}]\nedge-deny = {value}\n")
    monkeypatch.setattr(sys, "path", [str(tmp_path / "a"), str(tmp_path / "b"), *sys.path])
    assert [each.value for each in custom.found() if each.name == "edge-deny"] == ["first:Deny"]


def raising(*_: object) -> None:
    raise KeyError("colour")


def one_result(_: object) -> list[Result]:
    return [Result(key="203.0.113.9")]


def leaving(*_: object) -> None:
    sys.exit("not today")


def wordless(*_: object) -> None:
    raise ActionError


def no_text(effects: Sequence[Effect]) -> list[Result]:
    return [Result(key=each.key, problem=cast(str, None)) for each in effects]


def swapped(effects: Sequence[Effect]) -> list[Result]:
    return [Result(key=each.key) for each in reversed(effects)]


@pytest.mark.parametrize(
    ("does", "says"),
    [
        (raising, "failed: KeyError: 'colour'"),
        (one_result, "a result for each effect, in order"),
        (swapped, "a result for each effect, in order"),
        (lambda _: None, "TypeError"),
        (lambda _: ["done", "done"], "Expected `object`, got `str`"),
        (no_text, "Expected `str`, got `None` - at `$[0].problem`"),
        (leaving, "failed: SystemExit: not today"),
        (wordless, "failed, and didn't say why"),
    ],
)
def test_a_mistake_fails_the_orders_that_it_was_made_with(does: Callable[..., Any], says: str) -> None:
    """Each is answered `failed`, with whose mistake it was."""
    action = custom.made(ENTRIES["odd"], {"does": does})
    for results in (action.apply(EFFECTS), action.revert(EFFECTS)):
        assert [each.key for each in results] == [each.key for each in EFFECTS]
        assert all(says in each.problem for each in results)


def test_results_may_come_one_after_the_other() -> None:
    """Who writes `yield Result(…)` means it."""
    action = custom.made(ENTRIES["odd"], {"does": lambda effects: (Result(key=each.key) for each in effects)})
    assert action.apply(EFFECTS) == [Result(key=each.key) for each in EFFECTS]


@pytest.mark.parametrize("told", [{"203.0.113.9"}, {"203.0.113.9": "600 s"}, {1: None}, None])
def test_what_inspect_must_not_tell_is_an_error(told: object) -> None:
    """And nothing is taken for the host's state that isn't, nor does it get to where nobody expects it."""
    action = custom.made(ENTRIES["odd"], {"does": lambda: told})
    with pytest.raises(ActionError, match=r"Odd.inspect failed: ValidationError: Expected"):
        action.inspect()


def test_a_key_is_a_text() -> None:
    """Who forgets to return one would have one key for all targets."""
    with pytest.raises(InvalidTarget, match="Expected `str`, got `None`"):
        custom.made(ENTRIES["odd"], {"does": lambda _: None}).key("203.0.113.9", ())


def test_what_it_raises_becomes_an_error_that_the_agent_knows() -> None:
    """From whatever method; an error of ours that it raises on purpose stays as it is."""
    for does, words in ((raising, "KeyError: 'colour'"), (leaving, "SystemExit: not today")):
        action = custom.made(ENTRIES["odd"], {"does": does})
        for call in (action.prepare, action.inspect, action.moved):
            with pytest.raises(ActionError, match=f"test_custom_actions:Odd.{call.__name__} failed: {words}"):
                call()
        with pytest.raises(InvalidTarget, match=f"failed on it: {words}"):
            action.key("203.0.113.9", ())


@pytest.mark.parametrize("error", [InvalidTarget("no"), ProtectedTarget("no")])
def test_a_refused_target_keeps_its_words(error: Exception) -> None:
    """Its author says what may be a target."""

    def refuse(_: str) -> Iterator[None]:
        raise error

    with pytest.raises(type(error), match=r"^no$"):
        custom.made(ENTRIES["odd"], {"does": refuse}).key("203.0.113.9", ())


def test_an_installed_action_is_chosen_beside_the_built_in_ones(tmp_path: Path) -> None:
    """Under its own name, with its own settings."""
    settings = ActionsSettings(own={"ip-customblock": {"folder": str(tmp_path)}})
    actions = Actions(settings, system="Plan 9")
    actions.choose(["ip-customblock"])
    assert actions.backends() == {"ip-customblock": "files"}
    actions.by_name["ip-customblock"].apply(EFFECTS[:1])
    assert (tmp_path / "203.0.113.9").exists()


@pytest.mark.parametrize("name", ["firewall-drop", "wazuh-slack", "restart-wazuh"])
def test_no_package_replaces_what_is_built_in(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who installs one for a new name doesn't lose the firewall by it."""
    entry = EntryPoint(name=name, value=f"{__name__}:Odd", group=custom.GROUP)
    monkeypatch.setattr(custom, "found", lambda: [entry])
    assert everything() == BUILT_IN


def test_settings_for_nothing_are_told() -> None:
    """A slip in the name would leave the action with none, and nobody would know."""
    own = {
        "ip-custom-block": {"folder": "/x"},
        "ip-customblock": {"directory": "/x"},
        "firewall-drop": {"folder": "/x"},
    }
    actions = Actions(ActionsSettings(own=own), system="Plan 9")
    actions.choose(["ip-custom-block"])
    nobodys = "no installed package has an action of that name, and [actions.own.ip-custom-block] has settings for it"
    assert actions.unsupported == {"ip-custom-block": nobodys}
    told = list(custom.odd(own))
    assert told[0] == f"ip-custom-block: {nobodys}"
    assert "unexpected keyword argument 'directory'" in told[1]
    assert told[2].startswith("firewall-drop: no installed package")


def test_settings_that_a_class_does_not_take_are_told() -> None:
    """Where its backend would be: `thwart agents show` has it."""
    actions = Actions(ActionsSettings(own={"ip-customblock": {"directory": "/x"}}), system="Plan 9")
    actions.choose(["ip-customblock"])
    assert "unexpected keyword argument 'directory'" in actions.unsupported["ip-customblock"]


def no_utf8(*_: object) -> None:
    raise ValueError("/x\udcff: no such file")


def test_words_that_are_no_text_can_be_sent() -> None:
    """A file's name may have any bytes, and Python has characters for them that no message and no journal takes."""
    action = custom.made(ENTRIES["odd"], {"does": no_utf8})
    assert all(each.problem.encode() for each in action.apply(EFFECTS))
    with pytest.raises(ActionError, match="failed: ValueError") as raised:
        action.inspect()
    assert str(raised.value).encode()
    action = custom.made(ENTRIES["odd"], {"does": lambda: {"x\udcff": None}})
    with pytest.raises(ActionError, match="UnicodeEncodeError"):
        action.inspect()
