"""macOS's `dscl`, as far as it lists users: dscl(1), "-readall [path [key ...]]".

Records are parted by a line with a hyphen. A value with blanks, and every further one, has a line of its own with a
blank before it; an attribute that a record hasn't is left out.
"""

from tests.stage.simulators import host
from tests.stage.simulators.macos_accounts import NODE, users


def main(arguments: list[str]) -> None:
    if len(arguments) < 3 or arguments[0] not in (NODE, "."):
        host.fail(f"Cannot open remote host, error: DSOpenNode {arguments[:1]}", 56)
    command, path, *keys = arguments[1:]
    if command not in ("-readall", "readall"):
        host.fail(f"Invalid Command: {command}", 64)
    if path != "/Users":
        host.fail(f"Invalid Path\n<dscl_cmd> DS Error: -14009 (eDSUnknownNodeName): {path}", 185)
    records = [{"RecordName": name, **said} for name, said in users().items()]
    print("\n-\n".join("\n".join(_shown(key, each[key]) for key in keys or each if key in each) for each in records))


def _shown(key: str, value: str) -> str:
    return f"{key}:\n {value}" if " " in value else f"{key}: {value}"
