"""`python -m treadle_agent_loop`: the same as `treadle-loop`."""

import sys

from treadle_agent_loop.cli import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
