"""The exclusive use of one local slot."""

import asyncio
import os
import posixpath
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from treadle_sandbox import errors, transfer
from treadle_sandbox.local.channel import Reply
from treadle_sandbox.local.contract import check_command, file_error, resource_limits
from treadle_sandbox.local.counters import Counters
from treadle_sandbox.local.folder import MARK
from treadle_sandbox.local.replacement import Builder, Replacement
from treadle_sandbox.local.root import PATH, WORKDIR
from treadle_sandbox.local.slot import finish
from treadle_sandbox.local.source import Slot
from treadle_sandbox.records import ExecResult, FileEntry, Isolation, Limits
from treadle_sandbox.slot import frames

_ANSWER_GRACE = 15.0
_FILE_TIMEOUT = 60.0
_EXECUTABLE, _PLAIN = 0o755, 0o644


class LocalLease(Replacement):
    """A slot in use. `LocalBackend.lease` makes it."""

    def __init__(
        self,
        *,
        name: str,
        slot: Slot,
        isolation: Isolation,
        limits: Limits,
        environment: Mapping[str, str],
        builder: "Builder[LocalLease]",
        give_back: "Callable[[LocalLease, bool], None]",
        counters: Counters,
    ) -> None:
        self._name = name
        self._slot = slot
        self._isolation = isolation
        self._limits = resource_limits(limits, isolation)
        self._environment = environment
        self._builder = builder
        self._give_back = give_back
        self._counters = counters
        self._closing: asyncio.Future[None] | None = None
        self._replacing = asyncio.Lock()

    @property
    def id(self) -> str:
        """Unique name of this lease."""
        return self._name

    @property
    def isolation(self) -> Isolation:
        """The level that holds here."""
        return self._isolation

    @property
    def workdir(self) -> str:
        """The working directory as commands see it."""
        return WORKDIR if self._slot.folder is None else str(self._slot.folder / "work")

    async def exec(
        self,
        argv: Sequence[str],
        *,
        stdin: bytes = b"",
        env: Mapping[str, str] | None = None,
        workdir: str | None = None,
        timeout: float = 30.0,
        output_limit: int = 1_000_000,
    ) -> ExecResult:
        """Run one command to its end; see `treadle_sandbox.Lease.exec`."""
        self._check_open()
        environment = {**self._base_environment(), **self._environment, **(env or {})}
        check_command(argv, environment, timeout=timeout, output_limit=output_limit)
        slot = self._slot
        kills = slot.fence.out_of_memory_kills()
        number, future = slot.channel.send(
            {
                "op": "exec",
                "argv": list(argv),
                "env": environment,
                "workdir": self._resolve(workdir or "."),
                "stdin": bytes(stdin),
                "timeout": float(timeout),
                "output_limit": output_limit,
                "limits": self._limits,
            }
        )
        try:
            with self._counters.command():
                reply = await slot.channel.wait(future, timeout=timeout + _ANSWER_GRACE)
        except asyncio.CancelledError:
            slot.channel.send_cancel(number)
            await finish(_settle(future))
            raise
        out_of_memory = slot.fence.out_of_memory_kills() > kills
        result = self._read_result(reply, workdir, out_of_memory=out_of_memory)
        self._counters.timeouts += result.timed_out
        return result

    def _read_result(self, reply: Reply, workdir: str | None, *, out_of_memory: bool) -> ExecResult:
        if reply.error == frames.BAD_WORKDIR:
            raise errors.WorkdirError(
                f"no folder {workdir or self.workdir!r} in the slot; create it first"
            )
        if reply.error:
            raise errors.SlotLostError(f"the slot can't start commands: {os.strerror(reply.error)}")
        return ExecResult(
            exit_code=reply.exit_code,
            stdout=reply.first,
            stderr=reply.second,
            timed_out=bool(reply.flags & frames.TIMED_OUT),
            truncated=bool(reply.flags & frames.TRUNCATED),
            stdout_bytes=reply.stdout_bytes,
            stderr_bytes=reply.stderr_bytes,
            seconds=reply.seconds,
            isolation=self._isolation,
            out_of_memory=out_of_memory,
        )

    async def read_file(self, path: str, *, limit: int = 16_000_000) -> bytes:
        """Return a regular file's bytes; see `treadle_sandbox.Lease.read_file`."""
        return (await self._ask({"op": "read", "path": path, "limit": limit})).first

    async def write_file(self, path: str, data: bytes, *, executable: bool = False) -> None:
        """Write a file and create its parent folders; see `treadle_sandbox.Lease.write_file`."""
        mode = _EXECUTABLE if executable else _PLAIN
        await self._ask({"op": "write", "path": path, "data": bytes(data), "mode": mode})

    async def list_files(self, path: str = ".") -> tuple[FileEntry, ...]:
        """Return the regular files below a folder, sorted by path; links aren't followed."""
        listing = (await self._ask({"op": "list", "path": path})).first
        entries: list[FileEntry] = []
        for row in listing.split(b"\0")[:-1]:
            mode, size, name = row.split(b" ", 2)
            executable = bool(int(mode, 8) & 0o100)
            entries.append(FileEntry(path=os.fsdecode(name), size=int(size), executable=executable))
        return tuple(sorted(entries, key=lambda entry: entry.path))

    async def upload(self, source: Path, target: str = ".") -> int:
        """Copy a file or the regular files of a folder into the slot; return their number."""
        return await transfer.upload(self, source, target)

    async def download(self, source: str, target: Path, *, limit: int = 64_000_000) -> int:
        """Copy a file or a folder out of the slot; return the number of files."""
        return await transfer.download(self, source, target, limit=limit)

    async def kill_all(self) -> None:
        """End every process of the slot; files stay."""
        reply = await self._ask({"op": "kill", "path": "."})
        if reply.flags & frames.UNFIT:
            raise errors.SlotLostError("a process of the slot can't be ended; take a new lease")

    async def aclose(self) -> None:
        """End every process, delete every file and give the slot back. May be called again."""
        if self._closing is None:
            self._closing = asyncio.ensure_future(self._close())
        await finish(_follow(self._closing))

    async def _close(self) -> None:
        async with self._replacing:
            clean = False
            try:
                clean = await self._slot.stop()
            finally:
                self._give_back(self, clean)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()

    def _check_open(self) -> None:
        if self._closing is not None:
            raise errors.LeaseClosedError(f"lease {self.id} is closed; take a new one")

    def _base_environment(self) -> dict[str, str]:
        base = {"PATH": PATH, "HOME": WORKDIR, "TMPDIR": "/tmp"}
        folder = self._slot.folder
        if folder is not None:
            path = f"{folder}/bin:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"
            base = {
                "PATH": path,
                "HOME": f"{folder}/work",
                "TMPDIR": f"{folder}/tmp",
                MARK: str(folder),
            }
        return {**base, "LANG": "C.UTF-8", "USER": "sandbox", "LOGNAME": "sandbox"}

    def _resolve(self, path: str) -> str:
        if "\0" in path:
            raise errors.InvalidCommandError(f"a path can't hold a NUL character: {path!r}")
        return posixpath.join(self.workdir, path)

    async def _ask(self, request: dict[str, Any]) -> Reply:
        self._check_open()
        path = request["path"]
        _, future = self._slot.channel.send({**request, "path": self._resolve(path)})
        reply = await self._slot.channel.wait(future, timeout=_FILE_TIMEOUT)
        if reply.error:
            raise file_error(reply.error, path, request.get("limit", 0))
        return reply


async def _settle(future: asyncio.Future[Reply]) -> None:
    await asyncio.wait({future}, timeout=_ANSWER_GRACE)


async def _follow(future: asyncio.Future[None]) -> None:
    await future
