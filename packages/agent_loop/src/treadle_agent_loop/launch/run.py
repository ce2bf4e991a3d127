"""Starts an engine, waits for it, prints what to paste into `.env`, and stops it cleanly."""

import asyncio
import contextlib
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Coroutine, Generator
from pathlib import Path
from typing import Any

from treadle_agent_loop.errors import LaunchError
from treadle_agent_loop.launch.checkpoint import Checkpoint, choose_parser, find_checkpoint
from treadle_agent_loop.launch.command import EngineKind, engine_command, sglang_parser_name
from treadle_agent_loop.launch.environment import find_plugin, find_python
from treadle_agent_loop.launch.options import LaunchOptions
from treadle_agent_loop.launch.process import EngineProcess

_REPORT = 15.0
"""Seconds between two lines of progress where no terminal shows one that changes."""


def run_launcher(options: LaunchOptions) -> int:
    """Serve until a signal or the engine's end; returns the exit status."""
    try:
        return asyncio.run(_serve(options))
    except LaunchError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


async def _serve(options: LaunchOptions) -> int:
    kind = EngineKind(options.engine)
    checkpoint = find_checkpoint(options.model)
    parser = choose_parser(checkpoint, options.tool_parser)
    if options.plugin and kind is not EngineKind.VLLM:
        raise LaunchError("--plugin is for vLLM alone")
    python = await asyncio.to_thread(find_python, kind, options.engine_python)
    plugin = await asyncio.to_thread(find_plugin, python) if options.plugin else None
    port = _free_port(options.host, options.port)
    _note_parser(kind, parser)
    command = engine_command(
        options, checkpoint, python=python, port=port, parser=parser, plugin=plugin
    )
    root = f"http://{_reachable(options.host)}:{port}"
    with _stop_event() as stop:
        async with EngineProcess(command, log=_log_file(options, kind, port)) as engine:
            if not await _until_ready(engine, root, options.timeout, stop):
                return 0
            _print_settings(f"{root}/v1", options, checkpoint, parser)
            await _first(stop.wait(), engine.wait_ended())
            if not stop.is_set():
                raise LaunchError(engine.epitaph())
            _note("stopping")
    return 0


async def _until_ready(
    engine: EngineProcess, root: str, timeout: float, stop: asyncio.Event
) -> bool:
    """Wait until the engine serves; False where a signal came first."""
    _note(f"starting {engine.command.argv[2].partition('.')[0]}; its output: {engine.log}")
    progress = _Progress(root)
    try:
        async with asyncio.timeout(timeout):
            await _first(stop.wait(), engine.wait_ready(f"{root}/health", progress.show))
    except TimeoutError as error:
        raise LaunchError(
            f"the engine wasn't ready after {timeout:g} seconds (--timeout): {engine.last_line()} "
            f"({engine.log})"
        ) from error
    finally:
        progress.end()
    if not stop.is_set():
        _note(f"ready after {progress.seconds:.0f} s")
    return not stop.is_set()


async def _first(*waits: Coroutine[Any, Any, object]) -> None:
    """Wait for the first of several to end and cancel the others; its failure is raised."""
    tasks = [asyncio.create_task(wait) for wait in waits]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class _Progress:
    """One line that changes on a terminal, a line now and then elsewhere."""

    def __init__(self, root: str) -> None:
        self._root = root
        self._started = self._shown = time.monotonic()
        self._terminal = sys.stderr.isatty()

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._started

    def show(self, line: str) -> None:
        text = f"waiting for {self._root} ({self.seconds:.0f} s)  {line}"
        if self._terminal:
            sys.stderr.write(f"\r\x1b[K{text[:100]}")
            sys.stderr.flush()
        elif time.monotonic() - self._shown > _REPORT:
            self._shown = time.monotonic()
            _note(text[:200])

    def end(self) -> None:
        if self._terminal:
            sys.stderr.write("\r\x1b[K")


def _print_settings(
    url: str, options: LaunchOptions, checkpoint: Checkpoint, parser: str | None
) -> None:
    lines = [
        f"ATROPOS_SERVER_BASE_URL={url}",
        f"ATROPOS_SERVER_MODEL={options.name or checkpoint.name}",
        f"ATROPOS_TOKENIZER_NAME={checkpoint.source}",
    ]
    if parser not in (None, "hermes"):
        lines.append(f"# and start environments with --parser {parser}")
    print("\n".join(("# for .env", *lines)), flush=True)


def _note_parser(kind: EngineKind, parser: str | None) -> None:
    if parser is None:
        _note("no tool-call parser: chat answers hold calls as text (--tool-parser names one)")
    elif kind is EngineKind.SGLANG and sglang_parser_name(parser) is None:
        _note(f"SGLang has no parser for {parser}: chat answers hold calls as text")


def _note(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _free_port(host: str, port: int) -> int:
    """Return the port, or a free one for 0.

    Raises:
        LaunchError: it is taken, or the host isn't this machine's.
    """
    try:
        with socket.create_server((host, port)) as probe:
            return int(probe.getsockname()[1])
    except (OSError, OverflowError) as error:
        raise LaunchError(
            f"can't listen on {host}:{port}: {error}; choose another --port (0 takes any free one)"
        ) from error


def _reachable(host: str) -> str:
    return "127.0.0.1" if host in ("0.0.0.0", "::", "") else host


def _log_file(options: LaunchOptions, kind: EngineKind, port: int) -> Path:
    if options.log is None:
        return Path(tempfile.gettempdir()) / f"treadle-{kind}-{port}.log"
    try:
        options.log.parent.mkdir(parents=True, exist_ok=True)
        options.log.touch()
    except OSError as error:
        raise LaunchError(f"--log {options.log} can't be written: {error}") from error
    return options.log


@contextlib.contextmanager
def _stop_event() -> Generator[asyncio.Event]:
    """Yield an event that SIGINT and SIGTERM set."""
    event = asyncio.Event()
    loop = asyncio.get_running_loop()
    numbers = (signal.SIGINT, signal.SIGTERM)
    for number in numbers:
        loop.add_signal_handler(number, event.set)
    try:
        yield event
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)
