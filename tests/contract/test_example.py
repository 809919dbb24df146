"""The example that ships for authors of actions keeps the contract; with a mistake in it, the contract says so."""

import inspect
from collections.abc import Sequence
from pathlib import Path

import pytest
import test_nginx_deny as example
from nginx_deny import NginxDeny

from agent.actions.action import Action, Effect, Result
from agent.actions.tools.tool import Tool, Tools
from shared.errors import ActionError
from shared.targets import normalise_address


class TestNginxDeny(example.TestNginxDeny):
    """As it ships."""


class Mistaken(NginxDeny):
    """Beneath each of these is a mistake that programs like it have had."""

    def __init__(self, *, file: str, tools: Tools) -> None:
        super().__init__(file=file, tools=tools)
        self.file, self.tools = Path(file), tools


class IgnoresTheExitCode(Mistaken):
    def _change(self, *arguments: object) -> list[Result]:
        return [Result(key=each.key) for each in super()._change(*arguments)]


class NeverReloads(Mistaken):
    def _deny(self, wanted: set[str], before: set[str]) -> None:
        self._write(wanted)


class DeletesBySubstring(Mistaken):
    def revert(self, effects: Sequence[Effect]) -> list[Result]:
        return self._change(effects, lambda denied, some: {each for each in denied if not any(i in each for i in some)})


class RefusesTwice(Mistaken):
    def apply(self, effects: Sequence[Effect]) -> list[Result]:
        there = self._denied()
        return [
            Result(key=each.key, problem="exists") if each.key in there else super(RefusesTwice, self).apply([each])[0]
            for each in effects
        ]


class TakesAnything(Mistaken):
    def key(self, target: str, arguments: Sequence[str]) -> str:
        return target.strip()


class CutsNetworksToHosts(Mistaken):
    def key(self, target: str, arguments: Sequence[str]) -> str:
        return normalise_address(target).partition("/")[0]


class CarriesTheTargetOut(Mistaken):
    def apply(self, effects: Sequence[Effect]) -> list[Result]:
        return super().apply([Effect(key=each.target, target=each.target) for each in effects])


class ForgetsARestart(Mistaken):
    def inspect(self) -> dict[str, float | None]:
        self._known = self._known or ()
        return dict.fromkeys(self._known)


class ClearsAtTheStart(Mistaken):
    def prepare(self) -> None:
        super().prepare()
        self._write(set())


class NeverLooks(Mistaken):
    def moved(self) -> bool:
        return self._known is None


class TakesItsOwnForOthers(Mistaken):
    def _deny(self, wanted: set[str], before: set[str]) -> None:
        super()._deny(wanted, before)
        self._known = None


class HidesOthersBehindItsOwn(Mistaken):
    def _deny(self, wanted: set[str], before: set[str]) -> None:
        super()._deny(wanted, before)
        self._known = wanted


class FindsOutLate(Mistaken):
    def prepare(self) -> None:
        self.file.touch()


class Raises(Mistaken):
    def _change(self, *arguments: object) -> list[Result]:
        results = super()._change(*arguments)
        if any(each.problem for each in results):
            raise ActionError(results[0].problem)
        return results


class LeavesTheFileAhead(Mistaken):
    def _deny(self, wanted: set[str], before: set[str]) -> None:
        try:
            super()._deny(wanted, before)
        except ActionError:
            self._write(wanted)
            raise


class WaitsEachTime(Mistaken):
    def _deny(self, wanted: set[str], before: set[str]) -> None:
        self._nginx = Tool("nginx", self.tools)
        super()._deny(wanted, before)


class AnswersOnce(Mistaken):
    def _change(self, *arguments: object) -> list[Result]:
        return list({each.key: each for each in super()._change(*arguments)}.values())


FOUND_BY = {
    IgnoresTheExitCode: "test_what_fails_says_so_in_the_tools_words",
    NeverReloads: "test_what_is_applied_is_in_force",
    DeletesBySubstring: "test_reverting_ends_an_effect_and_no_other",
    RefusesTwice: "test_applying_twice_is_the_same_as_once",
    TakesAnything: "test_a_hostile_target_is_refused",
    CutsNetworksToHosts: "test_a_network_has_one_key",
    CarriesTheTargetOut: "test_the_key_is_carried_out_however_the_target_is_spelled",
    ForgetsARestart: "test_a_restarted_agent_finds_and_ends_what_is_in_force",
    ClearsAtTheStart: "test_preparing_again_keeps_what_is_in_force",
    NeverLooks: "test_only_others_move_what_was_told",
    TakesItsOwnForOthers: "test_only_others_move_what_was_told",
    HidesOthersBehindItsOwn: "test_what_others_did_between_two_calls_of_ours_is_noticed",
    FindsOutLate: "test_a_missing_program_is_named_before_the_first_attack",
    Raises: "test_what_fails_says_so_in_the_tools_words",
    LeavesTheFileAhead: "test_a_revert_that_fails_is_not_done",
    WaitsEachTime: "test_what_hangs_says_so",
    AnswersOnce: "test_the_same_twice_in_one_call",
}


class ASubject(example.AnNginx):
    """With an action that has a mistake in it."""

    def __init__(self, folder: Path, kind: type[Mistaken]) -> None:
        self._kind = kind
        super().__init__(folder)

    def made(self, tools: Tools) -> Action:
        return self._kind(file=str(self._file), tools=tools)


@pytest.mark.parametrize(("kind", "name"), FOUND_BY.items(), ids=lambda each: getattr(each, "__name__", ""))
def test_a_mistake_is_found(kind: type[Mistaken], name: str, tmp_path: Path) -> None:
    """A suite that every action passes proves nothing."""
    arguments = {"subject": ASubject(tmp_path, kind), "folder": tmp_path / "programs"}
    (tmp_path / "programs").mkdir()
    test = getattr(TestNginxDeny(), name)
    wanted = {each: arguments[each] for each in inspect.signature(test).parameters}
    with pytest.raises((AssertionError, ActionError, pytest.fail.Exception)):
        test(**wanted)
