"""What every action promises, as tests that its author runs too: pytest collects a class that inherits them.

    class TestMine(NetworkContract):
        @pytest.fixture
        def subject(self, tmp_path): ...

Nothing that runs an agent imports this package; it needs pytest, as the extra `contract` has it.
"""

import pytest

# so that a failure shows what was compared
pytest.register_assert_rewrite(
    *(f"{__name__}.{each}" for each in ("action", "addresses", "ends", "programs", "scripts", "happening"))
)
