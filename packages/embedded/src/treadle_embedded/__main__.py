"""Serve the embedded model (`serve --port 8000`) or write it as a Hugging Face folder
(`export DIR`).
"""

import argparse
import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code."""
    options = _parser().parse_args(argv)
    return _export(options) if options.command == "export" else _serve(options)


def _export(options: argparse.Namespace) -> int:
    from treadle_embedded.errors import BundleError
    from treadle_embedded.export import export

    try:
        export(options.folder, bundle=options.bundle)
    except BundleError as error:
        print(error, file=sys.stderr)
        return 1
    except OSError as error:
        print(f"can't write {options.folder}: {error}; choose another folder", file=sys.stderr)
        return 1
    return 0


def _serve(options: argparse.Namespace) -> int:
    from treadle_embedded.errors import BundleError
    from treadle_embedded.serving import ServeOptions, bind, serve

    try:
        listener = bind(options.host, options.port)
    except OSError as error:
        print(
            f"can't listen on {options.host}:{options.port}: {error.strerror}; "
            f"choose another --port (0 takes any free one)",
            file=sys.stderr,
        )
        return 1
    serving = ServeOptions(
        host=options.host,
        port=options.port,
        token_features=not options.no_token_features,
        rows=options.rows,
        bundle=options.bundle,
        stop_with_stdin=options.stop_with_stdin,
    )
    try:
        asyncio.run(serve(listener, serving))
    except KeyboardInterrupt:
        return 130
    except BundleError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m treadle_embedded", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    serve = commands.add_parser("serve", help="serve the model over HTTP, OpenAI-compatible")
    serve.add_argument("--host", default="127.0.0.1")
    serve.add_argument("--port", type=int, default=8000, help="0 takes any free port")
    serve.add_argument("--rows", type=int, default=16, help="answers made at once; more wait")
    serve.add_argument("--bundle", type=Path, help="folder of another converted model")
    serve.add_argument(
        "--no-token-features",
        action="store_true",
        help="no token ids in or out, like a plain OpenAI-compatible server",
    )
    serve.add_argument(
        "--stop-with-stdin", action="store_true", help="stop when standard input ends"
    )
    export = commands.add_parser("export", help="write the model as a Hugging Face folder")
    export.add_argument("folder", type=Path, help="where to write it")
    export.add_argument("--bundle", type=Path, help="folder of another converted model")
    return parser


if __name__ == "__main__":
    sys.exit(main())
