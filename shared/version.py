"""The version that runs, which is read once: an upgrade may have put another one on the disk since."""

from importlib.metadata import version

RUNNING = version("thwart")
