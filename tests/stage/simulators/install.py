"""Puts simulated tools on a PATH of their own."""

import sys
from pathlib import Path

from agent.actions.tools.tool import Tools
from tests.stage.simulators.host import KEPT_IN

PROJECT = Path(__file__).parents[3]

# Without site-packages, which are half of a start.
_PROGRAM = """\
#!{python} -IS
import sys
sys.path.insert(0, {project!r})
from tests.stage.simulators.{name} import main
main(sys.argv[1:])
"""


def install(folder: Path, *names: str) -> Tools:
    """The tools of these `names`, which share one host; `folder / "host"` is what it keeps."""
    programs = folder / "programs"
    programs.mkdir(exist_ok=True)
    for name in names:
        program = programs / name
        program.write_text(_PROGRAM.format(python=sys.executable, project=str(PROJECT), name=name))
        program.chmod(0o755)
    return Tools(path=str(programs), environment={KEPT_IN: str(folder / "host")})
