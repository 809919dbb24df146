"""Programs of the host that actions work with: real ones, in a folder of the test's own."""

from pathlib import Path

import pytest

from agent.actions.tools import tool
from agent.actions.tools.halves import in_halves
from agent.actions.tools.tool import FIRST_REST, LONGEST_REST, Tool, Tools
from shared.errors import ActionError, ToolHangs
from tests.waiting import wait_for


class Time:
    """Moved by hand."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


def _tool(folder: Path, text: str, *, limit: float = 10.0, clock: Time | None = None) -> Tool:
    path = folder / "sometool"
    path.write_text(f"#!/bin/sh\n{text}")
    path.chmod(0o755)
    return Tool("sometool", Tools(path=f"{folder}:/usr/bin:/bin", limit=limit, clock=clock or Time()))


def test_what_it_prints_comes_whole(tmp_path: Path) -> None:
    """However much: a listing of thousands of blocks is longer than what a script may say."""
    assert _tool(tmp_path, 'seq 1 100000; echo "$1" >&2').run("words") == "".join(f"{n}\n" for n in range(1, 100_001))


def test_half_an_answer_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is missing at the end of a listing would be taken for lifted."""
    monkeypatch.setattr(tool, "LONGEST", 1_000)
    with pytest.raises(ActionError, match=r"^sometool printed more than 1000 bytes$"):
        _tool(tmp_path, "seq 1 1000").run()


def test_what_is_said_is_its_input(tmp_path: Path) -> None:
    """Thousands of lines at once, as `ipset restore` takes them; arguments are no shell's business."""
    said = "".join(f"add x 10.0.{n >> 8}.{n & 255}\n" for n in range(20_000))
    assert _tool(tmp_path, 'printf "%s\\n" "$@"; cat').run("$(reboot)", "a b", said=said) == f"$(reboot)\na b\n{said}"


def test_a_failure_has_the_tools_words(tmp_path: Path) -> None:
    """With its name and its exit code; a good code other than 0 is none."""
    tool = _tool(tmp_path, "echo nothing; echo 'no: such set' >&2; exit 3")
    with pytest.raises(ActionError, match=r"^sometool: exit code 3: no: such set$"):
        tool.run()
    assert tool.run(good=(0, 3)) == "nothing\n"


def test_one_that_is_missing_is_named(tmp_path: Path) -> None:
    """As `thwart agents show` prints it."""
    tool = Tool("sometool", Tools(path=str(tmp_path)))
    for call in (tool.find, tool.run):
        with pytest.raises(ActionError, match=r"^sometool: not found$"):
            call()


def test_nothing_of_the_agents_own_environment_is_passed_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """There are passwords in it."""
    monkeypatch.setenv("THWART_BROKER_URLS", "amqp://me:secret@broker")
    assert "secret" not in _tool(tmp_path, "env").run()


def test_one_that_hangs_holds_up_its_caller_once(tmp_path: Path) -> None:
    """It is killed, is left alone for a while, and tried again after it."""
    clock = Time()
    tool = _tool(tmp_path, f"echo called >>{tmp_path}/calls; exec sleep 1000", limit=0.1, clock=clock)
    with pytest.raises(ToolHangs, match=r"^sometool had not ended within 0\.1 s$"):
        tool.run()
    clock.now += FIRST_REST / 3
    with pytest.raises(ToolHangs, match=r"^sometool hangs; it is tried again in 20 s$"):
        tool.run()
    assert (tmp_path / "calls").read_text() == "called\n"


def test_the_rest_grows_while_it_goes_on_hanging(tmp_path: Path) -> None:
    """And is short again once it has answered."""
    clock = Time()
    tool = _tool(tmp_path, f"[ -e {tmp_path}/well ] || exec sleep 1000", limit=0.05, clock=clock)
    for rest in (FIRST_REST, 2 * FIRST_REST, 4 * FIRST_REST):
        _hangs_for(tool, clock, rest)
    for _ in range(4):
        clock.now += LONGEST_REST
        with pytest.raises(ToolHangs, match="had not ended"):
            tool.run()
    (tmp_path / "well").touch()
    wait_for(lambda: _answers(tool, clock))
    (tmp_path / "well").unlink()
    _hangs_for(tool, clock, FIRST_REST)


def _answers(tool: Tool, clock: Time) -> bool:
    """Not always in time, on a machine that has other things to do."""
    clock.now += LONGEST_REST
    try:
        tool.run()
    except ToolHangs:
        return False
    return True


def _hangs_for(tool: Tool, clock: Time, rest: float) -> None:
    with pytest.raises(ToolHangs, match="had not ended"):
        tool.run()
    clock.now += rest - 1
    with pytest.raises(ToolHangs, match="again in 1 s"):
        tool.run()
    clock.now += 1


def test_only_the_culprits_fail() -> None:
    """The others are done, each once; an empty list tells whether anything can be done at all."""
    done: list[int] = []

    def carry_out(some: "tuple[int, ...] | list[int]") -> None:
        if bad := {7, 500} & set(some):
            raise ActionError(f"no {max(bad)}")
        done.extend(some)

    things = list(range(1_000))
    assert in_halves(things, carry_out) == {7: "no 7", 500: "no 500"}
    assert sorted(done) == [each for each in things if each not in (7, 500)]
    assert in_halves([], carry_out) == {}
    assert in_halves([7], carry_out) == {7: "no 7"}


@pytest.mark.parametrize(("error", "calls"), [(ActionError("no table"), 2), (ToolHangs("hangs"), 1)])
def test_no_culprit_is_looked_for_where_nothing_can_be_done(error: ActionError, calls: int) -> None:
    """A thousand tries against a tool that is broken, or hangs, would help nobody."""
    tried: list[int] = []

    def carry_out(some: "tuple[int, ...] | list[int]") -> None:
        tried.append(len(some))
        raise error

    assert in_halves([1, 2, 3], carry_out) == dict.fromkeys([1, 2, 3], str(error))
    assert len(tried) == calls


def test_a_hang_ends_the_search_for_the_culprit() -> None:
    """Of the half that it was for; each further try would hold everybody up."""
    tried: list[list[int]] = []

    def carry_out(some: "tuple[int, ...] | list[int]") -> None:
        tried.append(list(some))
        if len(some) > 4:
            raise ActionError("no 3")
        if 3 in some:
            raise ToolHangs("hangs")

    assert in_halves(list(range(8)), carry_out) == dict.fromkeys(range(4), "hangs")
    assert tried == [list(range(8)), [], [0, 1, 2, 3], [4, 5, 6, 7]]
