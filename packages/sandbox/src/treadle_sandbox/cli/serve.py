"""`treadle-sandbox serve`: a sandbox server on this machine's slots.

The token comes by file or environment. It is taken out of the environment before anything else
runs: the process starts itself anew without it, so that no /proc/PID/environ shows it.
"""

import argparse
import asyncio
import dataclasses
import json
import logging
import os
import sys
from pathlib import Path
from typing import Any, Protocol

from treadle_sandbox.errors import ConfigError
from treadle_sandbox.records import Limits

TOKEN_VARIABLE = "TREADLE_SANDBOX_TOKEN"


class Commands(Protocol):
    """What `ArgumentParser.add_subparsers` returns."""

    def add_parser(self, name: str, **options: Any) -> argparse.ArgumentParser:
        """Add the parser of one subcommand."""
        ...


def add_serve(commands: Commands) -> None:
    """Add the subcommand to a parser."""
    serve = commands.add_parser(
        "serve",
        help="offer this machine's slots over HTTP",
        description="Offer slots of this machine over HTTP. Ends on SIGTERM, after its leases; a "
        f"token comes from --token-file or ${TOKEN_VARIABLE}.",
    )
    add_arguments(serve)
    serve.set_defaults(module="treadle_sandbox.cli.serve")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of a server."""
    add = parser.add_argument
    add("--host", default="127.0.0.1", help="address to listen on (default 127.0.0.1)")
    add("--port", type=int, default=8080, help="0 picks a free one (default 8080)")
    add("--port-file", type=Path, help="file that receives host:port when it listens")
    add("--slots", type=int, default=8, help="slots (default 8)")
    add("--token-file", type=Path, help="file with the bearer token")
    add("--token-fd", type=int, help=argparse.SUPPRESS)
    add("--min-isolation", default="namespaces", help="weakest level accepted, or auto")
    add("--root", choices=("minimal", "image"), help="root of the slots' file system")
    add("--allow-root", action="store_true", help="let commands run as root of their slot")
    add("--network", default="none", help="none, all, or host:port,host:port,...")
    add("--limit", action="append", default=[], metavar="NAME=VALUE", help="a limit of each slot")
    add("--env", action="append", default=[], metavar="NAME=VALUE", help="given to every command")
    add("--lifetime", type=float, help="seconds of leases whose holder shows no sign of life")
    add("--grace", type=float, default=8.0, help="seconds for leases after SIGTERM (default 8)")
    add("--idle-exit", type=float, help="end after so many seconds without lease and request")
    add(
        "--gone-client",
        choices=("kill", "finish"),
        default="kill",
        help="what happens to a command whose client went away (default kill)",
    )
    add("--body-limit", type=int, default=256 << 20, help="bytes of a request (default 256 MiB)")
    add("--connections", type=int, default=16_384, help="connections at once (default 16384)")
    add("--public-metrics", action="store_true", help="show /metrics without a token")
    add("--access-log", action="store_true", help="log each request as a line of JSON")


def main(options: argparse.Namespace) -> int:
    """Run a server until it is told to end."""
    _hide_token(options)
    token = _read_token(options)
    settings = _local_settings(options)
    _raise_file_limit(options.connections)
    if options.access_log:
        _log_requests()
    from treadle_sandbox.local import LocalBackend
    from treadle_sandbox.server import ServerOptions, serve

    wanted = ServerOptions(
        host=options.host,
        port=options.port,
        port_file=options.port_file,
        token=token,
        public_metrics=options.public_metrics,
        body_limit=options.body_limit,
        connections=options.connections,
        lifetime=options.lifetime,
        gone_client=options.gone_client,
        grace=options.grace,
        idle_exit=options.idle_exit,
        access_log=options.access_log,
    )
    asyncio.run(serve(LocalBackend(**settings), wanted))
    return 0


def _hide_token(options: argparse.Namespace) -> None:
    """Start anew with the token in a pipe when the environment holds it."""
    token = os.environ.pop(TOKEN_VARIABLE, None)
    if token is None:
        return
    if options.token_file is not None or options.token_fd is not None:
        raise ConfigError(f"give either --token-file or ${TOKEN_VARIABLE}, not both")
    if len(token) > 4096:
        raise ConfigError(f"${TOKEN_VARIABLE} has {len(token)} characters, at most 4096 are read")
    reader, writer = os.pipe()
    os.write(writer, token.encode())
    os.close(writer)
    os.set_inheritable(reader, True)
    words = [sys.executable, *sys.orig_argv[1:], "--token-fd", str(reader)]
    os.execve(sys.executable, words, dict(os.environ))


def _read_token(options: argparse.Namespace) -> str | None:
    if options.token_fd is not None:
        with os.fdopen(options.token_fd) as pipe:
            return pipe.read()
    if options.token_file is None:
        return None
    try:
        token = options.token_file.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise ConfigError(f"can't read the token: {error}") from error
    if not token:
        raise ConfigError(f"{options.token_file} holds no token")
    return token


def _local_settings(options: argparse.Namespace) -> dict[str, Any]:
    settings: dict[str, Any] = {"slots": options.slots, "min_isolation": options.min_isolation}
    if options.network != "none":
        names = options.network.split(",")
        settings["network"] = True if options.network == "all" else names
    if options.allow_root:
        settings["allow_root"] = True
    if options.root is not None:
        settings["root"] = options.root
    if options.root == "image" and options.token_file is not None:
        settings["hidden"] = [options.token_file.absolute()]
    if options.limit:
        settings["limits"] = _limits(options.limit)
    if options.env:
        settings["env"] = dict(_split(word, "--env") for word in options.env)
    return settings


def _limits(words: list[str]) -> Limits:
    known = {field.name for field in dataclasses.fields(Limits)}
    values: dict[str, Any] = {}
    for word in words:
        name, text = _split(word, "--limit")
        if name not in known:
            raise ConfigError(f"--limit {name!r} is unknown; there are {', '.join(sorted(known))}")
        try:
            values[name] = json.loads(text)
        except ValueError as error:
            raise ConfigError(f"--limit {word}: {text!r} is no number") from error
        if not isinstance(values[name], int | float | None):
            raise ConfigError(f"--limit {word}: {text!r} is no number")
    return Limits(**values)


def _split(word: str, option: str) -> tuple[str, str]:
    name, equals, value = word.partition("=")
    if not (name and equals):
        raise ConfigError(f"{option} {word!r}: write NAME=VALUE")
    return name, value


def _raise_file_limit(connections: int) -> None:
    """Take as many descriptors as the connections need and the machine gives."""
    import resource

    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 2 * connections + 1024
    if most != resource.RLIM_INFINITY:
        wanted = min(wanted, most)
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))


def _log_requests() -> None:
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(message)s"))
    log = logging.getLogger("treadle_sandbox.access")
    log.addHandler(handler)
    log.setLevel(logging.INFO)
