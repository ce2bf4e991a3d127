"""The command `treadle-parse`: a text in, its record as JSON out.

The only part of the package that reads files and writes to the terminal; nothing else imports it.
"""

from treadle_parsers.cli.command import main

__all__ = ["main"]
