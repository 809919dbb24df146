"""Fixtures that unit tests share."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

import pytest

from manager.correlation import Ruleset, shipped
from manager.correlation import load as load_rules
from manager.responses.configuration import load
from manager.responses.responses import Responses
from manager.responses.verdict import Sighting, Verdict
from manager.roster import Members
from shared.messages import Alert
from shared.targets import Allowlist
from tests.unit.a_manager import START, a_manager
from tests.unit.a_verdict import LOCAL_RULES, Judge, Newcomers, members
from tests.unit.an_incident import Incident


@pytest.fixture
def conf(tmp_path: Path) -> Callable[[str], Path]:
    """Writes an ossec.conf and returns its path."""

    def write(text: str) -> Path:
        path = tmp_path / "ossec.conf"
        path.write_text(text)
        return path

    return write


@pytest.fixture(scope="session")
def ruleset(tmp_path_factory: pytest.TempPathFactory) -> Ruleset:
    """The shipped rules, and some that respond or don't."""
    local = tmp_path_factory.mktemp("rules") / "local_rules.xml"
    local.write_text(LOCAL_RULES)
    return load_rules([shipped(), local])


@pytest.fixture
def judge(conf: Callable[[str], Path], ruleset: Ruleset) -> Judge:
    """Judges an alert by a configuration."""

    def judged(text: str, about: Alert, who: Members | None = None, automatic: Allowlist | None = None) -> Verdict:
        responses = Responses(load(conf(text)), ruleset, automatic=automatic, issuer="manager1")
        standing = Newcomers()
        return responses.judge(Sighting(alert=about, at=START), who or members("manager1"), standing, START)

    return judged


@pytest.fixture
def incident(conf: Callable[[str], Path], ruleset: Ruleset, tmp_path: Path) -> Callable:
    """Starts a manager with a configuration; the same ledger each time."""

    @contextmanager
    def started(text: str, **settings: float) -> Iterator[Incident]:
        responses = Responses(load(conf(text)), ruleset, **settings)
        with a_manager(tmp_path / "ledger.db", responses.judge) as manager:
            yield Incident(manager)

    return started


@pytest.fixture
def upgraded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Another version is on the disk than the one that runs, which this is."""
    running, packages = version("thwart"), tmp_path / "packages"
    described = packages / "thwart-999.dist-info"
    described.mkdir(parents=True)
    (described / "METADATA").write_text("Metadata-Version: 2.1\nName: thwart\nVersion: 999\n")
    monkeypatch.syspath_prepend(packages)
    assert version("thwart") == "999"
    return running
