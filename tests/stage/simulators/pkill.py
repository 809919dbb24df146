"""BSD's and macOS's `pkill`, as far as it kills a user's processes: pkill(1), "-signal", "-u euid".

Exit codes: 0, some were signalled; 1, none was there; 2, wrong options.
"""

from tests.stage.simulators import host


def main(arguments: list[str]) -> None:
    if len(arguments) != 3 or arguments[0] != "-KILL" or arguments[1] != "-u" or not arguments[2].isdecimal():
        host.fail("usage: pkill [-signal] [-u euid] pattern ...", 2)
    state = host.load()
    processes = state.get("processes", [])
    left = [each for each in processes if each != arguments[2]]
    host.save({**state, "processes": left})
    if left == processes:
        host.fail("", 1)
