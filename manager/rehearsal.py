"""`thwart manager -t`: reads all that a start reads, and starts nothing."""

from pathlib import Path

from msgspec.structs import replace

from manager.api import tokens
from manager.checking import Checked, Report, report
from manager.responses.configuration import Remark
from manager.startup import is_absent
from shared.broker import logins
from shared.settings import ManagerSettings, listen_address

_ABSENT = "isn't there: nothing is responded to, orders by hand work"


def rehearse(settings: ManagerSettings) -> Report:
    """Everything to be said about `ossec.conf` and rules. Raises SettingsError for the program's own settings."""
    logins(settings.broker)
    listen_address(settings.api.listen, "api.listen")
    if settings.api.token_file:
        tokens.load(Path(settings.api.token_file))
    path = Path(settings.manager.ossec_conf)
    absent = is_absent(settings.manager)
    files = () if absent else (Checked(path=path, kind="ossec.conf"),)
    found = report(files, [Path(each) for each in settings.manager.rules], [])
    return replace(found, warnings=(Remark(path=path, line=0, message=_ABSENT),)) if absent else found
