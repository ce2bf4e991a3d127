"""This package's formats inside other people's software, one module each.

Nothing here is imported with `treadle_parsers`, and each module imports the software it is for only
when that software loads it. `docs/engines.md` shows how each is used.
"""
