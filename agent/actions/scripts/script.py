"""A script of the user's, spoken to as Wazuh 4 speaks to its active responses, so that one written for that works.

One JSON line on standard input. To `add` it may answer with `check_keys`, and is then told to `continue`, or to `abort`
when its effect is in force already. `delete` asks nothing. One that never answers is carried out all the same.

What a script did can't be looked up. So the journal decides: within a boot an effect is taken to be in force as long as
it is held; after a reboot `add` is said again for what is still to be in force, because the kernel has forgotten what
it was told, and adding twice must be safe for a script whose effect is a file's.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from agent.actions.action import Call, Result
from agent.actions.tools.process import Ended, Programs
from shared.actions import SCRIPT
from shared.errors import ActionError, InvalidTarget
from shared.targets import names_address

LONGEST_TARGET = 255  # characters
PROGRAM = "active-response/bin/"  # where Wazuh's are; some look at their name there


class _Asked(Struct, frozen=True):
    """A script's `check_keys`, as far as it matters: what it names is its own spelling of the target."""

    command: str


class Script:
    """The script at `path()`, which is asked for each time and raises ActionError when it isn't to be started."""

    backend = SCRIPT
    at_once = 1
    just_happens = False

    def __init__(self, name: str, path: Callable[[], Path], programs: Programs, agent_id: str) -> None:
        self.name = name
        self._path, self._programs, self._agent_id = path, programs, agent_id

    def key(self, target: str, arguments: Sequence[str], order_id: str) -> str:
        """Target and arguments; the order itself when it has no target, so that none is taken for another."""
        if len(target) > LONGEST_TARGET or not all(map(str.isprintable, (target, *arguments))):
            raise InvalidTarget(f"a script's target is one line of at most {LONGEST_TARGET} characters")
        words = [target, *arguments] if target else ["", *arguments, order_id]
        return msgspec.json.encode(words).decode()

    def prepare(self, arguments: Sequence[str]) -> None:
        """Raises ActionError when it isn't to be started."""
        self._path()

    def apply(self, calls: Sequence[Call]) -> list[Result]:
        """Says `add`."""
        return [self._add(call) for call in calls]

    def revert(self, calls: Sequence[Call]) -> list[Result]:
        """Says `delete`."""
        return [self._delete(call) for call in calls]

    def resumed(self, call: Call) -> None:
        """What it did can't be looked up."""

    def _add(self, call: Call) -> Result:
        dialogue = _Dialogue(lambda word: self._line(word, call), in_force=call.in_force)
        try:
            ended = self._programs.run([str(self._path())], self._line("add", call), dialogue)
        except ActionError as error:
            return Result(key=call.key, problem=str(error))
        return Result(
            key=call.key,
            problem="" if dialogue.aborted and ended.in_time else _problem(ended),
            exit_code=ended.code,
            happened=not call.lasting and (dialogue.aborted or not dialogue.asked),
            was_there=dialogue.aborted,
        )

    def _delete(self, call: Call) -> Result:
        try:
            ended = self._programs.run([str(self._path())], self._line("delete", call))
        except ActionError as error:
            return Result(key=call.key, problem=str(error))
        return Result(key=call.key, problem=_problem(ended), exit_code=ended.code)

    def _line(self, command: str, call: Call) -> bytes:
        program = PROGRAM + self.name
        said = {
            "version": 1,
            "origin": {"name": self._agent_id, "module": "wazuh-execd"},
            "command": command,
            "parameters": {"extra_args": call.arguments, "alert": _alert(call), "program": program},
        }
        try:
            return msgspec.json.encode(said) + b"\n"
        except (TypeError, ValueError, RecursionError) as error:  # whoever sent it may have put anything there
            raise ActionError(f"its alert can't be written as JSON: {error}") from error


class _Dialogue:
    """What is answered to a script's lines."""

    def __init__(self, line: Callable[[str], bytes], *, in_force: bool) -> None:
        self._line, self._in_force = line, in_force
        self.asked = self.aborted = False

    def __call__(self, heard: bytes) -> bytes | None:
        try:
            asked = msgspec.json.decode(heard, type=_Asked)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            return None
        if asked.command != "check_keys":
            return None
        self.asked, self.aborted = True, self._in_force
        return self._line("abort" if self._in_force else "continue")


def _alert(call: Call) -> Mapping[str, Any]:
    """With what is acted on where a script looks for it: that was checked against the allowlist, and nothing else was.

    So it is for an order that no alert led to.
    """
    if not call.target:
        return call.alert
    data = call.alert.get("data")
    field = "srcip" if names_address(call.target) else "dstuser"
    return {**call.alert, "data": {**(data if isinstance(data, dict) else {}), field: call.target}}


def _problem(ended: Ended) -> str:
    if ended.in_time and not ended.code:
        return ""
    return ended.told(ended.how if ended.in_time else "killed: it had not ended within its time limit")
