"""The command `treadle-sandbox`: serve, doctor, run, bench."""

from treadle_sandbox.cli.command import main

__all__ = ["main"]
