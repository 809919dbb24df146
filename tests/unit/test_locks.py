"""The locks: who installs less than everything installs the same."""

import re
import tomllib
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
DECLARED = tomllib.loads((PROJECT / "pyproject.toml").read_text())
MANAGER = DECLARED["project"]["optional-dependencies"]["manager"]
AGENT = DECLARED["project"]["dependencies"]
NEEDED = {
    "requirements-agent.lock": AGENT,
    "requirements-run.lock": [*AGENT, *MANAGER],
    "requirements-build.lock": DECLARED["build-system"]["requires"],
}
FOR_TESTS = {"pytest", "hypothesis", "mypy", "ruff"}


def locked(name: str) -> dict[str, tuple[str, frozenset[str]]]:
    """Each package's version and hashes."""
    packages = re.split(r"^(?=[a-z])", (PROJECT / name).read_text(), flags=re.MULTILINE)
    return {
        re.split("[ =]", each)[0]: (each.split()[0], frozenset(re.findall(r"sha256:\w+", each)))
        for each in packages
        if each
    }


@pytest.mark.parametrize("name", NEEDED)
def test_a_part_has_the_versions_and_hashes_of_the_whole(name):
    """What was tested is what an image or a package is made of."""
    whole = locked("requirements.lock")
    part = locked(name)
    assert part
    assert part == {package: whole[package] for package in part}


@pytest.mark.parametrize("name", NEEDED)
def test_a_part_has_what_it_is_for(name):
    """A dependency that is declared and not locked would be missing where nothing else is installed."""
    assert {re.split("[<>=]", each)[0] for each in NEEDED[name]} <= locked(name).keys()


@pytest.mark.parametrize("name", NEEDED)
def test_a_part_has_nothing_for_tests(name):
    """An image is small because that isn't in it."""
    assert not FOR_TESTS & locked(name).keys()


def test_an_agent_goes_without_what_only_managers_need():
    """It is on each host, and every package is one more to keep up to date there."""
    assert not {re.split("[<>=]", each)[0] for each in MANAGER} & locked("requirements-agent.lock").keys()
