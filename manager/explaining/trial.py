"""Cases run against a ruleset: what each line comes to, held against what its case expects of it."""

from collections.abc import Iterable

from msgspec import structs

from manager.correlation import Ruleset
from manager.explaining.cases import Case, CaseLine
from manager.explaining.explanation import Attempt, Explanation
from manager.explaining.results import Difference, Result
from manager.explaining.session import Dated, Session, dated

# 2024 has a 29 February; lines that name no year are of one year, whenever and wherever the cases are run
_DATED = Dated(near=1_704_067_200.0, year=2024)
_NONE = "none"


def run(ruleset: Ruleset, cases: Iterable[Case]) -> list[Result]:
    """Each case in a session of its own."""
    counting = _counting(ruleset)
    return [_result(ruleset, case, counting) for case in cases]


def _result(ruleset: Ruleset, case: Case, counting: set[str]) -> Result:
    session = Session(ruleset)
    lines = [session.explain(line) for line in dated((each.text for each in case.lines), _DATED)]
    judged = [(line, told) for line, told in zip(case.lines, lines, strict=True) if line.verdict]
    if case.expected.get("rule") in counting:
        *before, last = judged
        judged = [*(each for each in before if each[0].verdict == "fail"), last]
    found = [each for line, told in judged for each in _judged(case, line, told)]
    return Result(name=case.name, path=case.path, line=case.line, passed=not found, differences=tuple(found))


def _judged(case: Case, line: CaseLine, told: Explanation) -> list[Difference]:
    found = [
        Difference(log=line.number, line=line.line, key=key, expected=wanted or _NONE, got=got or _NONE, why="")
        for key, wanted in case.expected.items()
        if (got := _got(key, told)) != wanted
    ]
    if line.verdict == "pass":
        return [structs.replace(each, why=_why(each, told)) for each in found]
    if found:
        return []
    said = ", ".join(f"{key} {value or _NONE}" for key, value in case.expected.items())
    return [Difference(log=line.number, line=line.line, key="fail", expected=f"not {said}", got=said, why="")]


def _got(key: str, told: Explanation) -> str:
    match key:
        case "rule":
            return told.rule
        case "alert":
            return str(told.level) if told.rule else ""
        case "decoder":
            return told.decoder.label if told.decoder else ""
    return told.fields.get(key.removeprefix("field "), "")


def _why(difference: Difference, told: Explanation) -> str:
    """Briefly: how the rule that was expected failed, or which child took the fields."""
    if difference.key == "rule":
        for attempt in reversed(told.tried):
            if attempt.rule == difference.expected:
                return f"rule {attempt.rule}: {_said(attempt)}"
        ended = f"{told.rule} is where the line ended" if told.rule else "the line comes to no rule at all"
        return f"rule {difference.expected} was not reached: {ended}"
    if difference.key == "alert":
        return f"rule {told.rule or _NONE}"
    if told.decoder is None:
        return f"no decoder takes program {told.header.program_name or _NONE}"
    child = f", child {told.decoder.child}" if told.decoder.child else ", no child"
    return f"decoder {told.decoder.name}{child} ({told.decoder.child_where or told.decoder.where})"


def _said(attempt: Attempt) -> str:
    return f"{attempt.test}: {attempt.why}" if attempt.test else "matched, and a rule under it did too"


def _counting(ruleset: Ruleset) -> set[str]:
    """Rules that count others, and all that stand under one."""
    found: set[str] = set()
    open_ = [rule.id for rule in ruleset.rules.values() if rule.frequency]
    while open_:
        rule_id = open_.pop()
        if rule_id not in found:
            found.add(rule_id)
            open_ += ruleset.children.get(rule_id, ())
    return found
