"""`treadle-sandbox run`: one command in a fresh slot, its streams passed through as they come."""

import argparse
import asyncio
import os
import signal
import sys
from typing import BinaryIO

from treadle_sandbox.backend import Job, Lease
from treadle_sandbox.cli.settings import make_backend
from treadle_sandbox.errors import InvalidCommandError

_PIECE = 65_536
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def main(options: argparse.Namespace) -> int:
    """Run the command; returns its exit status."""
    if not options.argv:
        raise InvalidCommandError("no command: write it behind `--`, as in `run -- echo hello`")
    return asyncio.run(_run(options))


def _environment(words: list[str]) -> dict[str, str]:
    pairs = [word.partition("=") for word in words]
    for name, equals, _ in pairs:
        if not (name and equals):
            raise InvalidCommandError(f"--env {name!r}: write NAME=VALUE")
    return {name: value for name, _, value in pairs}


async def _run(options: argparse.Namespace) -> int:
    environment = _environment(options.env)
    async with make_backend(options, slots=1) as backend, await backend.lease() as lease:
        if options.upload:
            await lease.upload(options.upload, ".")
        job = await lease.start(
            options.argv, env=environment, workdir=options.workdir, timeout=options.timeout
        )
        status = await _follow(job)
        if options.download:
            await _download(lease, options)
        return status


async def _download(lease: Lease, options: argparse.Namespace) -> None:
    count = await lease.download(".", options.download)
    print(f"treadle-sandbox: {count} files in {options.download}", file=sys.stderr)


async def _follow(job: Job) -> int:
    loop = asyncio.get_running_loop()
    signals: asyncio.Queue[int] = asyncio.Queue()
    for number in _SIGNALS:
        loop.add_signal_handler(number, signals.put_nowait, int(number))
    helpers = [asyncio.ensure_future(work) for work in (_feed(job), _pass_signals(job, signals))]
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(_copy(job, "stdout", sys.stdout.buffer))
            group.create_task(_copy(job, "stderr", sys.stderr.buffer))
        state = await job.wait()
    finally:
        for helper in helpers:
            helper.cancel()
        for number in _SIGNALS:
            loop.remove_signal_handler(number)
    return 1 if state.exit_code is None else state.exit_code


async def _copy(job: Job, stream: str, target: BinaryIO) -> None:
    async for chunk in job.output(stream):
        target.write(chunk.data)
        target.flush()


async def _pass_signals(job: Job, signals: "asyncio.Queue[int]") -> None:
    while True:
        await job.kill(await signals.get())


async def _feed(job: Job) -> None:
    """Pass standard input on; a daemon thread reads it, so a silent terminal can't hold the end."""
    loop = asyncio.get_running_loop()
    pieces: asyncio.Queue[bytes] = asyncio.Queue(maxsize=4)

    def read() -> None:
        while True:
            try:
                piece = os.read(0, _PIECE)
            except OSError:
                piece = b""
            asyncio.run_coroutine_threadsafe(pieces.put(piece), loop).result()
            if not piece:
                return

    import threading

    threading.Thread(target=read, daemon=True, name="standard input").start()
    while piece := await pieces.get():
        await job.write(piece)
    await job.write(b"", end=True)
