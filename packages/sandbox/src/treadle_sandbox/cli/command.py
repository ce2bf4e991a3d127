"""Arguments and exit status of `treadle-sandbox`.

Exit status: 0 success; 1 `doctor` finds that nothing isolates; 2 bad usage or configuration; 3
infrastructure failed. `run` passes on the status of its command. What a subcommand needs is
imported when it is chosen.
"""

import argparse
import importlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from treadle_sandbox.cli.serve import add_serve
from treadle_sandbox.errors import ConfigError, InvalidCommandError, SandboxError

_FAILED = 3


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    words = list(sys.argv[1:] if argv is None else argv)
    command: list[str] = []
    if "--" in words:
        place = words.index("--")
        words, command = words[:place], words[place + 1 :]
    options = _parser().parse_args(words)
    options.argv = command
    try:
        status = importlib.import_module(options.module).main(options)
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except KeyboardInterrupt:
        return 130
    except (ConfigError, InvalidCommandError, ImportError) as error:
        return _complain(error, 2)
    except (SandboxError, OSError) as error:
        return _complain(error, _FAILED)
    return status


def _complain(error: BaseException, status: int) -> int:
    print(f"treadle-sandbox: {' '.join(str(error).split())}", file=sys.stderr)
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="treadle-sandbox", description="Isolated workspaces for agent rollouts."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    _add_doctor(commands)
    _add_run(commands)
    _add_bench(commands)
    add_serve(commands)
    return parser


def _add_doctor(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    doctor = commands.add_parser(
        "doctor",
        help="what this machine can isolate, what is missing, and how to get it",
        description="Build a real slot at each level and probe what else sandboxes can use. Exits "
        "1 when commands can't be isolated here.",
    )
    doctor.add_argument("--json", action="store_true", help="print the findings as JSON")
    doctor.set_defaults(module="treadle_sandbox.cli.doctor")


def _add_run(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    run = commands.add_parser(
        "run",
        help="run one command in a fresh sandbox",
        usage="treadle-sandbox run [options] -- COMMAND [ARGUMENT ...]",
        description="Run one command in a fresh sandbox: standard input, output and errors are "
        "passed through as they come, and so is the exit status (124 for a timeout).",
    )
    _add_backend(run)
    run.add_argument("--timeout", type=float, default=3600.0, help="seconds (default 3600)")
    run.add_argument(
        "--upload", type=Path, metavar="PATH", help="copy a file or folder into the workspace first"
    )
    run.add_argument(
        "--download", type=Path, metavar="FOLDER", help="copy the workspace out at the end"
    )
    run.add_argument("--workdir", help="where to run, relative to the workspace")
    run.add_argument(
        "--env", action="append", default=[], metavar="NAME=VALUE", help="may be repeated"
    )
    run.set_defaults(module="treadle_sandbox.cli.run")


def _add_bench(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    bench = commands.add_parser(
        "bench",
        help="how quick sandboxes are on this machine",
        description="Time leases, resets and commands, for one client and many.",
    )
    _add_backend(bench)
    bench.add_argument("--seconds", type=float, default=2.0, help="for each row (default 2)")
    bench.add_argument("--clients", type=int, default=16, help="the most at once (default 16)")
    bench.set_defaults(module="treadle_sandbox.cli.bench")


def _add_backend(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--config", type=Path, help="JSON or TOML file with the settings of a backend"
    )
    parser.add_argument(
        "--backend", help="local, docker, singularity, nomad or modal (default: local)"
    )
    parser.add_argument(
        "--set",
        dest="settings",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="one setting of the backend, its value as JSON or text; may be repeated",
    )
