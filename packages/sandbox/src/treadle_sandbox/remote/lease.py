"""The exclusive use of a slot of a server elsewhere."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from treadle_sandbox import errors, transfer, wire
from treadle_sandbox.counters import Counters
from treadle_sandbox.records import (
    ExecResult,
    FileEntry,
    Isolation,
    JobState,
    Privilege,
    Snapshot,
)
from treadle_sandbox.remote.calls import LeaseCalls, escape_name, finish, read_json
from treadle_sandbox.remote.running import RemoteJob, RemoteSession

_SLOW = 120.0
"""Seconds for what builds a slot, or moves many bytes."""


class RemoteLease:
    """A slot in use on a server elsewhere. `RemoteBackend.lease` makes it."""

    def __init__(
        self,
        calls: LeaseCalls,
        told: Mapping[str, Any],
        *,
        drop: "Callable[[RemoteLease], Awaitable[None]]",
        fork: "Callable[[LeaseCalls, int, float], Awaitable[tuple[RemoteLease, ...]]]",
        counters: Counters,
    ) -> None:
        self._calls = calls
        self._id = str(told["id"])
        self._epoch = int(told["epoch"])
        self._token = str(told["token"])
        self._workdir = str(told["workdir"])
        self._isolation = Isolation(told["isolation"])
        self._drop = drop
        self._fork = fork
        self._counters = counters
        self._closing: asyncio.Future[None] | None = None

    @property
    def id(self) -> str:
        """Unique name of this lease."""
        return self._id

    @property
    def token(self) -> str:
        """The token that opens this lease alone."""
        return self._token

    @property
    def epoch(self) -> int:
        """The epoch in which it is held; taking it over makes a new one."""
        return self._epoch

    @property
    def workdir(self) -> str:
        """The working directory as commands see it."""
        return self._workdir

    @property
    def isolation(self) -> Isolation:
        """The level that holds here."""
        return self._isolation

    def _open(self) -> LeaseCalls:
        if self._closing is not None:
            raise errors.LeaseClosedError(f"lease {self._id} is closed; take a new one")
        return self._calls

    async def exec(
        self,
        argv: Sequence[str],
        *,
        stdin: bytes = b"",
        env: Mapping[str, str] | None = None,
        workdir: str | None = None,
        timeout: float = 30.0,
        output_limit: int = 1_000_000,
        privilege: Privilege = Privilege.USER,
    ) -> ExecResult:
        """Run one command to its end; see `treadle_sandbox.Lease.exec`."""
        fields = {"argv": _words(argv), "timeout": timeout, "output_limit": output_limit}
        return await self._run("/exec", fields, stdin, env, workdir, privilege)

    async def shell(
        self,
        script: str,
        *,
        stdin: bytes = b"",
        env: Mapping[str, str] | None = None,
        workdir: str | None = None,
        timeout: float = 30.0,
        output_limit: int = 1_000_000,
        privilege: Privilege = Privilege.USER,
    ) -> ExecResult:
        """Run shell text in a fresh shell; see `treadle_sandbox.Lease.shell`."""
        fields = {"script": script, "timeout": timeout, "output_limit": output_limit}
        return await self._run("/shell", fields, stdin, env, workdir, privilege)

    async def _run(
        self,
        target: str,
        fields: dict[str, Any],
        stdin: bytes,
        env: Mapping[str, str] | None,
        workdir: str | None,
        privilege: Privilege,
    ) -> ExecResult:
        _add(fields, env, workdir, privilege)
        body = wire.encode_command(fields, stdin)
        calls = self._open()
        with self._counters.command():
            reply = await calls.change(target, body, timeout=fields["timeout"])
            result, _ = wire.decode_result(reply.body)
        self._counters.timeouts += result.timed_out
        return result

    async def session(self, name: str = "main") -> RemoteSession:
        """Return the persistent shell of that name, started when it isn't there."""
        target = f"/sessions/{escape_name(name)}"
        calls = self._open()
        told = read_json(await calls.change(target, method=b"PUT", timeout=_SLOW))
        return RemoteSession(calls, name, int(told["restarts"]), self._counters)

    async def start(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        workdir: str | None = None,
        timeout: float | None = None,
        keep: int = 8_000_000,
        privilege: Privilege = Privilege.USER,
    ) -> RemoteJob:
        """Start a command in the background; see `treadle_sandbox.Lease.start`."""
        fields: dict[str, Any] = {"argv": _words(argv), "keep": keep}
        if timeout is not None:
            fields["timeout"] = timeout
        _add(fields, env, workdir, privilege)
        calls = self._open()
        reply = await calls.change("/jobs", wire.encode_command(fields))
        return RemoteJob(calls, read_json(reply)["id"])

    async def job(self, name: str) -> RemoteJob:
        """Return a job that was started before, also by another client."""
        job = RemoteJob(self._open(), escape_name(name))
        await job.state()
        return job

    async def jobs(self) -> tuple[JobState, ...]:
        """Return all jobs since the last reset, oldest first."""
        rows = read_json(await self._open().get("/jobs"))
        return tuple(JobState(**row) for row in rows)

    async def archive(self, path: str = ".", *, limit: int = 1_000_000_000) -> bytes:
        """Return a folder or file as a tar archive; see `treadle_sandbox.Lease.archive`."""
        reply = await self._open().get("/archive", timeout=_SLOW, path=path, limit=limit)
        return reply.body

    async def extract(self, data: bytes, path: str = ".") -> int:
        """Unpack a tar archive below a folder; see `treadle_sandbox.Lease.extract`."""
        reply = await self._open().change("/archive", data, timeout=_SLOW, path=path)
        return int(read_json(reply)["files"])

    async def snapshot(self) -> Snapshot:
        """Keep the files of the slot as they are now, on its server."""
        return Snapshot(**read_json(await self._open().change("/snapshot", timeout=_SLOW)))

    async def restore(self, snapshot: Snapshot) -> None:
        """End every process and go back to a snapshot of the same server."""
        told = await self._open().post_json("/restore", {"id": snapshot.id}, timeout=_SLOW)
        self._workdir = str(read_json(told)["workdir"])

    async def fork(self, count: int, *, timeout: float = 30.0) -> "tuple[RemoteLease, ...]":
        """Return `count` new leases whose files are as they are here now; all or none."""
        return await self._fork(self._open(), count, timeout)

    async def renew(self, seconds: float) -> float:
        """Let the lease live `seconds` from now; return the seconds that hold."""
        reply = await self._open().post_json("/renew", {"seconds": seconds})
        return float(read_json(reply)["seconds"])

    async def read_file(self, path: str, *, limit: int = 16_000_000) -> bytes:
        """Return a regular file's bytes; see `treadle_sandbox.Lease.read_file`."""
        reply = await self._open().get("/file", timeout=_SLOW, path=path, limit=limit)
        return reply.body

    async def write_file(self, path: str, data: bytes, *, executable: bool = False) -> None:
        """Write a file and create its parent folders; see `treadle_sandbox.Lease.write_file`."""
        await self._open().change(
            "/file",
            bytes(data),
            method=b"PUT",
            timeout=_SLOW,
            path=path,
            executable=int(executable),
        )

    async def list_files(self, path: str = ".") -> tuple[FileEntry, ...]:
        """Return the regular files below a folder, sorted by path; links aren't followed."""
        rows = read_json(await self._open().get("/files", timeout=_SLOW, path=path))["files"]
        return tuple(FileEntry(path=name, size=size, executable=x) for name, size, x in rows)

    async def upload(self, source: Path, target: str = ".") -> int:
        """Copy a file or the regular files of a folder into the slot; return their number."""
        return await transfer.upload(self, source, target)

    async def download(self, source: str, target: Path, *, limit: int = 64_000_000) -> int:
        """Copy a file or a folder out of the slot; return the number of files."""
        return await transfer.download(self, source, target, limit=limit)

    async def kill_all(self) -> None:
        """End every process of the slot; files stay."""
        await self._open().change("/kill", timeout=_SLOW)

    async def reset(self) -> None:
        """End every process and start again with an empty working directory."""
        told = await self._open().change("/reset", timeout=_SLOW)
        self._workdir = str(read_json(told)["workdir"])

    async def aclose(self) -> None:
        """End every process, delete every file and give the slot back. May be called again.

        A server that can't be reached isn't an error: it ends the lease for want of heartbeats.
        """
        if self._closing is None:
            self._closing = asyncio.ensure_future(self._drop(self))
        await finish(_follow(self._closing))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()


def _words(argv: Sequence[str]) -> list[str]:
    if isinstance(argv, str):
        raise errors.InvalidCommandError(
            f"argv is {argv!r}: give a list that starts with a program"
        )
    return list(argv)


def _add(
    fields: dict[str, Any],
    env: Mapping[str, str] | None,
    workdir: str | None,
    privilege: Privilege,
) -> None:
    if env:
        fields["env"] = dict(env)
    if workdir is not None:
        fields["workdir"] = workdir
    if privilege is not Privilege.USER:
        fields["privilege"] = privilege


async def _follow(future: asyncio.Future[None]) -> None:
    await future
