"""A project of Docker Compose on the stage is made of its own tree, whatever other runs do on the same engine."""

from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.stage import base_images
from tests.stage.compose import Compose
from tests.stage.engine import Engine

pytestmark = [pytest.mark.root, pytest.mark.timeout(300)]

IMAGE = "thwart-own/compose:test"
FILE = f"""
services:
  one:
    image: {IMAGE}
    pull_policy: never
    build: {{{{context: ., dockerfile_inline: "FROM {base_images.PYTHON}\\nLABEL taste={{taste}}"}}}}
    command: [sleep, "3600"]
    init: true
  another: {{{{image: {IMAGE}, pull_policy: never, command: [sleep, "3600"], init: true}}}}
  grafana: {{{{image: nowhere}}}}
"""


def test_a_fleet_keeps_to_the_images_of_its_tree(engine: Engine, tmp_path: Path) -> None:
    """Two trees whose images have one name, as of two clones that are tested at once: each runs what is its own."""
    with ExitStack() as stack:
        fleets = {}
        for taste in ("sweet", "sour"):
            tree, own = tmp_path / taste, tmp_path / f"{taste}-own"
            tree.mkdir()
            own.mkdir()
            (tree / "docker-compose.yml").write_text(FILE.format(taste=taste))
            fleets[taste] = stack.enter_context(Compose(engine, own, tree=tree))
        for taste, fleet in fleets.items():
            fleet.up()
            tastes = [fleet.inspect(each)["Config"]["Labels"]["taste"] for each in fleet.containers()]
            assert tastes == [taste] * 2
