"""Windows PowerShell, as far as it lists local users: Get-LocalUser (LocalAccounts), Select-Object, ConvertTo-Csv.

A pipeline of anything else isn't understood. ConvertTo-Csv quotes every value, doubles quotes, and begins with the type
of what it converts unless it is told not to; lines end as Windows' do.
"""

from tests.stage.simulators import host
from tests.stage.simulators.windows_accounts import users

SWITCHES = ("-noprofile", "-noninteractive")
SHOWN = {"Name": "name", "Enabled": "enabled", "SID": "sid", "Description": "description"}


def main(arguments: list[str]) -> None:
    while arguments and arguments[0].lower() in SWITCHES:
        arguments = arguments[1:]
    if len(arguments) != 2 or arguments[0].lower() != "-command":
        host.fail("The argument to the -File parameter does not exist.", 64)
    source, select, convert = [*map(str.strip, arguments[1].split("|")), "", ""][:3]
    selected = select.removeprefix("Select-Object ").split(",")
    if source != "Get-LocalUser" or not select.startswith("Select-Object ") or set(selected) - SHOWN.keys():
        host.fail(f"{source} : The term is not recognized as the name of a cmdlet.", 1)
    if convert not in ("ConvertTo-Csv", "ConvertTo-Csv -NoTypeInformation"):
        host.fail(f"{convert} : The term is not recognized as the name of a cmdlet.", 1)
    rows = [[*selected], *([str(each.get(SHOWN[name], "")) for name in selected] for each in users().values())]
    lines = [",".join('"{}"'.format(value.replace('"', '""')) for value in row) for row in rows]
    head = [] if "-NoTypeInformation" in convert else ["#TYPE Selected.Microsoft.PowerShell.Commands.LocalUser"]
    print("\r\n".join([*head, *lines]), end="\r\n")
