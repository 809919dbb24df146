"""An id that the state folder keeps: made once, and nobody else's."""

import os
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from agent import identity
from agent.cli import main
from shared.errors import SettingsError
from shared.settings import AgentSettings, HostSettings


def of(state: Path) -> AgentSettings:
    return AgentSettings(agent=HostSettings(id="auto", state_dir=str(state)))


@pytest.fixture(autouse=True)
def name(monkeypatch: pytest.MonkeyPatch):
    """What the host is called, until a test calls it otherwise."""

    def call(name: str) -> None:
        monkeypatch.setattr("agent.host.hostname", lambda: name)

    call("web.example.com")
    return call


def test_it_is_made_once_and_kept_whatever_the_host_is_called_later(tmp_path: Path, name) -> None:
    """A container that is made anew over the same volume has another name, and is the same agent."""
    first = identity.settled(of(tmp_path))
    assert re.fullmatch(r"web-example-com-[a-z2-9]{8}", first)
    name("4f1c9a2b7d3e")
    assert identity.settled(of(tmp_path)) == identity.known(of(tmp_path)) == first
    assert sorted(os.listdir(tmp_path)) == ["id"]


def test_two_folders_never_have_the_same(tmp_path: Path) -> None:
    """Replicas have one host name where the orchestrator gives them one."""
    folders = [tmp_path / str(number) for number in range(100)]
    for each in folders:
        each.mkdir()
    assert len({identity.settled(of(each)) for each in folders}) == 100


def test_a_long_name_leaves_room_for_what_makes_it_one_of_a_kind(tmp_path: Path, name) -> None:
    """63 characters, which is all that an id may have."""
    name("a" * 80)
    made = identity.settled(of(tmp_path))
    assert (len(made), made[:55]) == (63, "a" * 54 + "-")


def test_looking_makes_none(tmp_path: Path) -> None:
    """`-t` has no lock on the folder, and says what will be."""
    state = tmp_path / "state"
    assert identity.known(of(state)) is None
    environment = {"THWART_AGENT_ID": "auto", "THWART_AGENT_STATE_DIR": str(state)}
    said = CliRunner().invoke(main, ["run", "-t"], env=environment)
    assert said.output.splitlines()[-1].endswith("this agent is given an id by its first start")
    assert not state.exists()
    state.mkdir()
    made = identity.settled(of(state))
    assert CliRunner().invoke(main, ["run", "-t"], env=environment).output.splitlines()[-1].endswith(f"is {made}")


def test_one_that_a_person_writes_is_spelled_as_in_the_settings(tmp_path: Path) -> None:
    """Wazuh's numbers have one spelling, by which orders find their agent."""
    (tmp_path / "id").write_text("7\n")
    assert identity.settled(of(tmp_path)) == "007"


@pytest.mark.parametrize("text", ["", "web.1", "a b", "x" * 64])
def test_what_is_no_id_is_not_replaced(tmp_path: Path, text: str) -> None:
    """The agent would be another one to its managers without anybody's having said so."""
    (tmp_path / "id").write_text(text)
    with pytest.raises(SettingsError, match=r"id: '.*' is no agent's id; write the one that it had"):
        identity.settled(of(tmp_path))
    assert (tmp_path / "id").read_text() == text


def test_one_that_can_not_be_kept_is_not_used(tmp_path: Path) -> None:
    """Else each start would be a new agent."""
    with pytest.raises(SettingsError, match=r"id can't be kept: .*/id: No such file"):
        identity.settled(of(tmp_path / "nowhere"))


def test_a_crash_while_it_is_made_leaves_none_or_a_whole_one(tmp_path: Path, monkeypatch) -> None:
    """It is written beside its place; the next start makes one that is whole."""

    def crash(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as crashing:
        crashing.setattr(os, "replace", crash)
        with pytest.raises(KeyboardInterrupt):
            identity.settled(of(tmp_path))
    assert identity.known(of(tmp_path)) is None
    made = identity.settled(of(tmp_path))
    assert (tmp_path / "id").read_text() == f"{made}\n"
