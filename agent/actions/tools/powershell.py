"""PowerShell, whose lists have English columns whatever language it speaks (Select-Object, ConvertTo-Csv)."""

import csv

from agent.actions.tools.tool import Tool
from shared.errors import ActionError

COMMAND = ("-NoProfile", "-NonInteractive", "-Command")


def listed(powershell: Tool, source: str, *columns: str) -> list[dict[str, str]]:
    """What `source` lists, a row each; there is always one. Raises ActionError."""
    command = f"{source} | Select-Object {','.join(columns)} | ConvertTo-Csv -NoTypeInformation"
    printed = powershell.run(*COMMAND, command)
    rows = list(csv.DictReader(printed.splitlines()))
    if not rows or any(set(columns) - row.keys() for row in rows):
        raise ActionError(f"powershell: {source}: expected {', '.join(columns)}, and it said {printed[:80]!r}")
    return rows
