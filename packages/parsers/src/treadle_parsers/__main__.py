"""`python -m treadle_parsers`: the command `treadle-parse`."""

from treadle_parsers.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
