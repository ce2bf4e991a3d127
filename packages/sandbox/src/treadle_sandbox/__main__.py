"""`python -m treadle_sandbox`: the same as `treadle-sandbox`."""

import sys

from treadle_sandbox.cli.command import main

if __name__ == "__main__":
    sys.exit(main())
