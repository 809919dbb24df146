"""`thwart resume`: ends a pause."""

from manager.cli.pause import resume as command

__all__ = ["command"]
