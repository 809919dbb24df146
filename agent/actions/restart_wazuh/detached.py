"""Starts a command in a session of its own, where the end of whoever starts it doesn't reach it, nor what it starts.

A script that runs alone: `python -I -S detached.py [--wait] COMMAND …`. With `--wait` it ends as the command does, else
once that runs: the restart of this agent's own service ends the agent, and nobody hears what becomes of it.
"""

import os
import sys

WAIT = "--wait"


def main(command: list[str], *, wait: bool) -> int:
    """Its exit code."""
    hears, says = os.pipe()  # closed in the child by the start of the command
    if child := os.fork():
        os.close(says)
        sys.stderr.write(problem := os.read(hears, 1000).decode())
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) if wait else bool(problem)
    os.setsid()
    if not wait:
        nothing = os.open(os.devnull, os.O_RDWR)
        for each in range(3):
            os.dup2(nothing, each)
    try:
        os.execvp(command[0], command)  # noqa: S606 there is none anywhere
    except OSError as error:
        os.write(says, f"{command[0]}: {error.strerror}\n".encode())
        os._exit(1)


if __name__ == "__main__":
    arguments = sys.argv[1:]
    sys.exit(main([each for each in arguments if each != WAIT], wait=arguments[:1] == [WAIT]))
