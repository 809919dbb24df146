"""Windows' `taskkill`, as far as it ends a user's processes: `/f`, `/fi "USERNAME eq name"`. None there is no error."""

from tests.stage.simulators import host


def main(arguments: list[str]) -> None:
    options = [each.lower() for each in arguments]
    if len(options) != 3 or options[:2] != ["/f", "/fi"] or not options[2].startswith("username eq "):
        host.fail(f"ERROR: Invalid argument/option - '{arguments}'.\nType \"TASKKILL /?\" for usage.", 1)
    state = host.load()
    name = options[2].removeprefix("username eq ")
    host.save({**state, "processes": [each for each in state.get("processes", []) if each != name]})
