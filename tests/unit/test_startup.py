"""What the daemon reads at its start and on SIGHUP: what is wrong with a file is said, and ends nothing that runs."""

import pytest

from manager.startup import loaded
from shared.errors import ConfigurationError
from shared.settings import RespondSettings

UNREADABLE = "/etc/" + "x" * 300  # no name can be that long, so not even root learns anything about it


@pytest.mark.parametrize("wrong", [{"ossec_conf": UNREADABLE}, {"rules": (UNREADABLE,)}])
def test_what_can_not_be_looked_at_is_wrong_with_the_configuration(conf, wrong):
    """A folder that was closed to the manager between two reloads must not end it."""
    good = {"ossec_conf": str(conf(""))}
    before = loaded(RespondSettings(**good))
    with pytest.raises(ConfigurationError, match="can't be read: File name too long"):
        loaded(RespondSettings(**{**good, **wrong}), before)
