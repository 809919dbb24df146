"""Windows PowerShell, as far as it lists local users and services and restarts these: Get-LocalUser (LocalAccounts),
Get-CimInstance (CimCmdlets), Restart-Service and Start-Process (Management), Select-Object, ConvertTo-Csv (Utility).

A pipeline of anything else isn't understood. ConvertTo-Csv quotes every value, doubles quotes, and begins with the type
of what it converts unless it is told not to; lines end as Windows' do.
"""

from tests.stage.simulators import host, windows_services
from tests.stage.simulators.windows_accounts import users

SOURCES = ("Get-LocalUser", windows_services.SOURCE)
SWITCHES = ("-noprofile", "-noninteractive")
SHOWN = {"Name": "name", "Enabled": "enabled", "SID": "sid", "Description": "description"}


def main(arguments: list[str]) -> None:
    while arguments and arguments[0].lower() in SWITCHES:
        arguments = arguments[1:]
    if len(arguments) != 2 or arguments[0].lower() != "-command":
        host.fail("The argument to the -File parameter does not exist.", 64)
    if windows_services.carried_out(arguments[1]):
        return
    source, select, convert = [*map(str.strip, arguments[1].split("|")), "", ""][:3]
    shown, found = windows_services.listed(source) or (SHOWN, users().values())
    selected = select.removeprefix("Select-Object ").split(",")
    if source not in SOURCES or not select.startswith("Select-Object ") or set(selected) - shown.keys():
        host.fail(f"{source} : The term is not recognized as the name of a cmdlet.", 1)
    if convert not in ("ConvertTo-Csv", "ConvertTo-Csv -NoTypeInformation"):
        host.fail(f"{convert} : The term is not recognized as the name of a cmdlet.", 1)
    rows = [[*selected], *([str(each.get(shown[name], "")) for name in selected] for each in found)]
    lines = [",".join('"{}"'.format(value.replace('"', '""')) for value in row) for row in rows]
    head = [] if "-NoTypeInformation" in convert else ["#TYPE Selected.Microsoft.PowerShell.Commands.LocalUser"]
    print("\r\n".join([*head, *lines]), end="\r\n")
