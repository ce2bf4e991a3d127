"""A persistent shell in a Modal sandbox.

The shell reads one name a line from its standard input. For each it runs the script of that name in
itself, with the output going to files, and reports the exit code on its own standard output, which
the script's commands don't hold. What a script prints is therefore never taken for a report.
"""

import asyncio
import time
from collections.abc import Callable, Mapping

from modal.container_process import ContainerProcess

from treadle_sandbox.errors import SlotLostError
from treadle_sandbox.modal import scripts
from treadle_sandbox.modal.failures import slot_boundary
from treadle_sandbox.modal.files import Runner
from treadle_sandbox.modal.output import Kept
from treadle_sandbox.modal.process import Processes, feed, new_mark, read_stream
from treadle_sandbox.modal.teardown import finish
from treadle_sandbox.records import ExecResult, Isolation

_REPORT_MOST = 4096


class ModalSession:
    """A shell that keeps its state. `ModalLease.session` makes it."""

    def __init__(
        self,
        name: str,
        *,
        processes: Callable[[], Processes],
        run: Runner,
        environment: Callable[[], Mapping[str, str]],
        workdir: Callable[[], str],
        isolation: Isolation,
        check: Callable[[str, float, int], None],
    ) -> None:
        self._name = name
        self._processes = processes
        self._run = run
        self._environment = environment
        self._workdir = workdir
        self._isolation = isolation
        self._check = check
        self._line = asyncio.Lock()
        self._shell: ContainerProcess[bytes] | None = None
        self._reports: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._reading: asyncio.Future[None] | None = None
        self._mark = ""
        self._starts = 0

    @property
    def name(self) -> str:
        """Its name in the lease."""
        return self._name

    @property
    def restarts(self) -> int:
        """How often the shell had to be started anew."""
        return max(0, self._starts - 1)

    async def run(
        self, script: str, *, timeout: float = 30.0, output_limit: int = 1_000_000
    ) -> ExecResult:
        """Run shell text in the session; see `treadle_sandbox.Session.run`."""
        self._check(script, timeout, output_limit)
        async with self._line:
            shell = await self._living()
            call = new_mark()
            try:
                return await self._call(shell, call, script, timeout, output_limit)
            except asyncio.CancelledError:
                await finish(self._end())
                raise

    async def _call(
        self,
        shell: "ContainerProcess[bytes]",
        call: str,
        script: str,
        timeout: float,
        output_limit: int,
    ) -> ExecResult:
        started = time.monotonic()
        await self._run(scripts.KEEP_SCRIPT, call, stdin=script.encode())
        timed_out = False
        try:
            async with asyncio.timeout(timeout):
                with slot_boundary(self._processes().name):
                    await feed(shell, f"{call}\n".encode(), end=False)
                report = await self._reports.get()
        except TimeoutError:
            timed_out, report = True, b"124"
            await self._end()
        code = _code(report) if report is not None else await self._ended(shell)
        seconds = time.monotonic() - started
        stdout = await self._stream(call, "out", output_limit)
        stderr = await self._stream(call, "err", output_limit)
        await self._run(scripts.FORGET, call)
        return ExecResult(
            exit_code=code,
            stdout=stdout.value(),
            stderr=stderr.value(),
            timed_out=timed_out,
            truncated=stdout.truncated or stderr.truncated,
            stdout_bytes=stdout.total,
            stderr_bytes=stderr.total,
            seconds=seconds,
            isolation=self._isolation,
        )

    async def _stream(self, call: str, name: str, limit: int) -> Kept:
        ended = await self._run(scripts.SHOW, call, name, output_limit=limit)
        return ended.stdout

    async def _ended(self, shell: "ContainerProcess[bytes]") -> int:
        with slot_boundary(self._processes().name):
            code = await shell.wait.aio()
        await self._end()
        return code

    async def _living(self) -> "ContainerProcess[bytes]":
        if self._shell is None:
            processes = self._processes()
            self._mark = new_mark()
            self._shell = await processes.launch(
                ["sh", "-c", scripts.SESSION, "sh"],
                env=self._environment(),
                workdir=self._workdir(),
                mark=self._mark,
            )
            self._starts += 1
            self._reports = asyncio.Queue()
            self._reading = asyncio.ensure_future(self._read(self._shell, self._reports))
        return self._shell

    async def _read(
        self, shell: "ContainerProcess[bytes]", reports: "asyncio.Queue[bytes | None]"
    ) -> None:
        rest = bytearray()

        def take(piece: bytes) -> None:
            rest.extend(piece)
            while b"\n" in rest:
                line, _, left = bytes(rest).partition(b"\n")
                rest[:] = left
                reports.put_nowait(line)
            del rest[_REPORT_MOST:]

        try:
            with slot_boundary(self._processes().name):
                await read_stream(shell.stdout, take)
        except SlotLostError:
            pass
        finally:
            reports.put_nowait(None)

    async def _end(self) -> None:
        shell, self._shell = self._shell, None
        reading, self._reading = self._reading, None
        try:
            if shell is not None:
                await self._processes().kill(self._mark)
        finally:
            if reading is not None:
                reading.cancel()
                await asyncio.gather(reading, return_exceptions=True)

    async def aclose(self) -> None:
        """End the shell and what it started. May be called again."""
        await finish(self._end())

    def forget(self) -> None:
        """Note that its processes are gone already; the next call gets a new shell."""
        self._shell = None
        if self._reading is not None:
            self._reading.cancel()
            self._reading = None


def _code(report: bytes) -> int:
    """Return the number behind the last colon of a report."""
    word = report.rpartition(b":")[2].strip()
    if not word.isdigit():
        raise SlotLostError(f"a shell reported {report[:80]!r}; take a new lease")
    return int(word)
