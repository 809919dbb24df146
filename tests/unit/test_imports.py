"""Who may import what: the direction between the packages, and one home for each library that matters."""

import ast
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from msgspec import Struct

PROJECT = Path(__file__).parents[2]
PACKAGES = ("manager", "agent", "shared")
MAY_IMPORT = {"manager": {"manager", "shared"}, "agent": {"agent", "shared"}, "shared": {"shared"}}
HOMES = {
    "asyncinotify": ["agent/logs/watching.py"],
    "httpx": ["manager/client.py"],
    "jeepney": ["agent/actions/firewalld_drop/firewalld_bus.py"],
    "lxml": ["manager/xml.py"],
    "msgpack": ["shared/codec.py"],
    "pika": [f"shared/broker/{each}.py" for each in ("addresses", "consumer", "decoding", "link", "publisher")],
    "prometheus_client": ["shared/metrics.py"],
    "sqlite3": ["shared/store.py"],
    # of a daemon only what runs scripts; the others are the command line's: parts of `thwart up`, programs of a bundle
    "subprocess": ["agent/actions/tools/process.py", "manager/up/child.py", "shared/support.py"],
    "urllib3": ["agent/actions/wazuh_slack/webhook.py"],
    "uvicorn": ["manager/api/server.py"],
}
PURE = "manager/correlation/"
CONTRACT = "agent/contract/"
ACTIONS = "agent/actions/"
BANNED_THERE = {"asyncio", "random", "socket", "sqlite3", "threading", "time"}
OF_A_DAEMON = {"lxml", "pika", "prometheus_client", "sqlite3", "starlette", "uvicorn"}
NOT_ASKING = {
    f"manager/cli/{each}.py"
    for each in ("check_config", "correlate", "findings", "manager", "reports", "support", "up", "without_manager")
}


class Import(Struct, frozen=True):
    """One import of one module, somewhere in a file."""

    path: str
    line: int
    module: str
    package: str  # the first word of the module's name

    def __str__(self) -> str:
        return f"{self.path}:{self.line} imports {self.module}"


@cache
def imports() -> tuple[Import, ...]:
    files = (path for package in PACKAGES for path in sorted((PROJECT / package).rglob("*.py")))
    return tuple(each for path in files for each in _of(path))


def _of(path: Path) -> Iterator[Import]:
    where = str(path.relative_to(PROJECT))
    for node in ast.walk(ast.parse(path.read_text(), where)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{where}:{node.lineno}: imports are absolute, so that a reader can search for them"
            names = [node.module or ""]
        else:
            continue
        for name in names:
            yield Import(where, node.lineno, name, name.partition(".")[0])


def test_the_files_are_found() -> None:
    """A check of nothing proves nothing."""
    found = imports()
    assert {each.path.partition("/")[0] for each in found} == set(PACKAGES)
    assert len(found) > 200


def test_manager_and_agent_never_import_each_other_and_shared_neither() -> None:
    """What both sides need is in shared; nothing else is common to them."""
    wrong = [
        str(each)
        for each in imports()
        if each.package in (*PACKAGES, "tests") and each.package not in MAY_IMPORT[each.path.partition("/")[0]]
    ]
    assert not wrong


def test_only_the_command_line_imports_the_command_line() -> None:
    """What a command calls could be called from elsewhere: it knows no options, tables or exit codes."""
    wrong = [
        str(each)
        for each in imports()
        if f"{each.module}.".startswith("manager.cli.") and not each.path.startswith("manager/cli/")
    ]
    assert not wrong


@pytest.mark.parametrize("library", HOMES)
def test_a_library_has_one_home(library: str) -> None:
    """Its errors are translated and its traps are known in one place."""
    assert sorted({each.path for each in imports() if each.package == library}) == HOMES[library]


def test_no_library_is_imported_that_is_not_declared() -> None:
    """Each package imports what pyproject.toml gives it: the agent nothing of the manager's extra."""
    declared = _declared("dependencies")
    extras = {"manager/": _declared("manager"), CONTRACT: _declared("contract")}
    wrong = []
    for each in imports():
        if each.package in (*PACKAGES, *sys.stdlib_module_names):
            continue
        extra = next((some for where, some in extras.items() if each.path.startswith(where)), set())
        if each.package not in declared | extra:
            wrong.append(str(each))
    assert not wrong


def test_nothing_that_runs_imports_the_contract() -> None:
    """It needs pytest, which only an author of actions has."""
    wrong = [
        str(each)
        for each in imports()
        if f"{each.module}.".startswith("agent.contract.") and not each.path.startswith(CONTRACT)
    ]
    assert not wrong


def test_an_action_knows_no_other_one() -> None:
    """What several are built of is in tools/, which knows none of them."""
    folders = {each.parent.name for each in PROJECT.glob(f"{ACTIONS}*/__init__.py")} - {"tools"}
    assert len(folders) > 5
    wrong = []
    for each in imports():
        home, _, file = each.path.removeprefix(ACTIONS).partition("/")
        known = each.module.removeprefix("agent.actions.").partition(".")[0]
        if each.path.startswith(ACTIONS) and file and known in folders - {home}:
            wrong.append(str(each))
    assert not wrong


def test_correlation_knows_no_clock_socket_or_file() -> None:
    """Lines and their instants go in, alerts come out: the same for a live log and one of last year."""
    wrong = [str(each) for each in imports() if each.path.startswith(PURE) and each.package in BANNED_THERE]
    assert not wrong


def test_a_command_that_asks_the_manager_loads_nothing_of_a_daemon() -> None:
    """Whoever types `thwart orders` waits for a client and a table, and not for a database and a broker."""
    asking = [each for each in imports() if each.path.startswith("manager/cli/") and each.path not in NOT_ASKING]
    wanted = {each.module for each in asking} | {_module(each.path) for each in asking}
    assert {"manager.api.bodies.orders", "manager.cli.shows.orders", "manager.cli.orders"} <= wanted
    program = f"import importlib, sys\nfor each in {sorted(wanted)}: importlib.import_module(each)\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], cwd=PROJECT, capture_output=True, text=True, check=True)
    assert OF_A_DAEMON.isdisjoint(done.stdout.split())


def test_no_exception_is_defined_elsewhere() -> None:
    """Every error raised on purpose is in shared/errors.py, where the tree is drawn."""
    made = [
        f"{path.relative_to(PROJECT)}:{node.lineno} {node.name}"
        for package in PACKAGES
        for path in sorted((PROJECT / package).rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ClassDef) and any(_is_error(base) for base in node.bases)
    ]
    assert [each for each in made if not each.startswith("shared/errors.py")] == []


def _module(path: str) -> str:
    return path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def _is_error(base: ast.expr) -> bool:
    name = base.attr if isinstance(base, ast.Attribute) else getattr(base, "id", "")
    return name.endswith(("Error", "Exception"))


def _declared(name: str) -> set[str]:
    """The import names of what `dependencies`, or an extra, asks for."""
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    wanted = project[name] if name in project else project["optional-dependencies"][name]
    return {each.partition(">")[0].partition("[")[0].strip().replace("-", "_") for each in wanted}
