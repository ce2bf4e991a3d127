"""`python -m treadle_sandbox.server`: the same as `treadle-sandbox serve`."""

import sys

from treadle_sandbox.cli.command import main

if __name__ == "__main__":
    sys.exit(main(["serve", *sys.argv[1:]]))
