"""A lease of a pool: the lease of one server, and what the pool must know of it.

Calls go straight to the server's lease. When its server turns out to be gone, calls raise
SlotLostError and the pool is told to look at that server at once.
"""

import asyncio
import contextlib
from collections.abc import Generator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from treadle_sandbox import errors
from treadle_sandbox.backend import Job, Lease, Session
from treadle_sandbox.pool.boundary import finish, within
from treadle_sandbox.records import (
    ExecResult,
    FileEntry,
    Isolation,
    JobState,
    Privilege,
    Snapshot,
)

_CLOSE_TIMEOUT = 30.0


class Home(Protocol):
    """What a lease asks of its pool."""

    def suspect(self, lease: "PoolLease") -> None:
        """Look at the lease's server now."""
        ...

    def give_back(self, lease: "PoolLease") -> None:
        """Take the slot back; the lease is closed."""
        ...

    def keep(self, lease: "PoolLease", snapshot: Snapshot) -> Snapshot:
        """Count a snapshot; return it under the pool's name for it."""
        ...

    def own(self, lease: "PoolLease", snapshot: Snapshot) -> Snapshot:
        """Return a snapshot under its server's name for it."""
        ...

    async def fork(self, lease: "PoolLease", count: int, timeout: float) -> tuple["PoolLease", ...]:
        """Return new leases with the same files."""
        ...


class PoolLease:
    """A slot in use on one server of a pool. `PoolBackend.lease` makes it."""

    def __init__(self, inner: Lease, *, server: str, home: Home) -> None:
        self._inner = inner
        self._server = server
        self._home = home
        self._lost = ""
        self._closing: asyncio.Future[None] | None = None

    @property
    def id(self) -> str:
        """Unique name of this lease."""
        return f"{self._server}/{self._inner.id}"

    @property
    def server(self) -> str:
        """Name of the server that it is on."""
        return self._server

    @property
    def inner(self) -> Lease:
        """The server's own lease."""
        return self._inner

    @property
    def workdir(self) -> str:
        """The working directory as commands see it."""
        return self._inner.workdir

    @property
    def isolation(self) -> Isolation:
        """The level that holds here."""
        return self._inner.isolation

    def lose(self, cause: str) -> None:
        """Let every further call fail: the server is gone."""
        self._lost = self._lost or cause or "its server is gone"

    @contextlib.contextmanager
    def _boundary(self) -> Generator[None]:
        if self._closing is not None:
            raise errors.LeaseClosedError(f"lease {self.id} is closed; take a new one")
        if self._lost:
            raise errors.SlotLostError(f"lease {self.id} is lost: {self._lost}")
        try:
            yield
        except errors.SlotLostError:
            self._home.suspect(self)
            raise
        except errors.LeaseClosedError as error:
            if self._closing is not None:
                raise
            self._home.suspect(self)
            raise errors.SlotLostError(f"lease {self.id} was ended by another: {error}") from error
        except errors.ServerError as error:
            self._home.suspect(self)
            raise errors.SlotLostError(f"lease {self.id} is lost: {error}") from error

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
        with self._boundary():
            return await self._inner.exec(
                argv,
                stdin=stdin,
                env=env,
                workdir=workdir,
                timeout=timeout,
                output_limit=output_limit,
                privilege=privilege,
            )

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
        with self._boundary():
            return await self._inner.shell(
                script,
                stdin=stdin,
                env=env,
                workdir=workdir,
                timeout=timeout,
                output_limit=output_limit,
                privilege=privilege,
            )

    async def session(self, name: str = "main") -> Session:
        """Return the persistent shell of that name, started when it isn't there."""
        with self._boundary():
            return await self._inner.session(name)

    async def start(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        workdir: str | None = None,
        timeout: float | None = None,
        keep: int = 8_000_000,
        privilege: Privilege = Privilege.USER,
    ) -> Job:
        """Start a command in the background; see `treadle_sandbox.Lease.start`."""
        with self._boundary():
            return await self._inner.start(
                argv, env=env, workdir=workdir, timeout=timeout, keep=keep, privilege=privilege
            )

    async def job(self, name: str) -> Job:
        """Return a job that was started before; see `treadle_sandbox.Lease.job`."""
        with self._boundary():
            return await self._inner.job(name)

    async def jobs(self) -> tuple[JobState, ...]:
        """Return all jobs since the last reset, oldest first."""
        with self._boundary():
            return await self._inner.jobs()

    async def archive(self, path: str = ".", *, limit: int = 1_000_000_000) -> bytes:
        """Return a folder or file as a tar archive; see `treadle_sandbox.Lease.archive`."""
        with self._boundary():
            return await self._inner.archive(path, limit=limit)

    async def extract(self, data: bytes, path: str = ".") -> int:
        """Unpack a tar archive below a folder; see `treadle_sandbox.Lease.extract`."""
        with self._boundary():
            return await self._inner.extract(data, path)

    async def read_file(self, path: str, *, limit: int = 16_000_000) -> bytes:
        """Return a regular file's bytes; see `treadle_sandbox.Lease.read_file`."""
        with self._boundary():
            return await self._inner.read_file(path, limit=limit)

    async def write_file(self, path: str, data: bytes, *, executable: bool = False) -> None:
        """Write a file and create its parent folders."""
        with self._boundary():
            await self._inner.write_file(path, data, executable=executable)

    async def list_files(self, path: str = ".") -> tuple[FileEntry, ...]:
        """Return the regular files below a folder, sorted by path."""
        with self._boundary():
            return await self._inner.list_files(path)

    async def upload(self, source: Path, target: str = ".") -> int:
        """Copy a file or the regular files of a folder into the slot; return their number."""
        with self._boundary():
            return await self._inner.upload(source, target)

    async def download(self, source: str, target: Path, *, limit: int = 64_000_000) -> int:
        """Copy a file or a folder out of the slot; return the number of files."""
        with self._boundary():
            return await self._inner.download(source, target, limit=limit)

    async def snapshot(self) -> Snapshot:
        """Keep the files of the slot as they are now, on its server."""
        with self._boundary():
            return self._home.keep(self, await self._inner.snapshot())

    async def restore(self, snapshot: Snapshot) -> None:
        """End every process and go back to a snapshot that was taken on the same server.

        Raises:
            SnapshotNotFoundError: discarded, or it is on another server of the pool.
        """
        with self._boundary():
            await self._inner.restore(self._home.own(self, snapshot))

    async def fork(self, count: int, *, timeout: float = 30.0) -> tuple["PoolLease", ...]:
        """Return `count` new leases on the same server, with the same files; all or none.

        Raises:
            LeaseTimeoutError: the server hasn't so many free slots within `timeout` seconds.
        """
        with self._boundary():
            return await self._home.fork(self, count, timeout)

    async def renew(self, seconds: float) -> float:
        """Let the lease live `seconds` from now; return the seconds that hold."""
        with self._boundary():
            return await self._inner.renew(seconds)

    async def kill_all(self) -> None:
        """End every process of the slot; files stay."""
        with self._boundary():
            await self._inner.kill_all()

    async def reset(self) -> None:
        """End every process and start again with an empty working directory."""
        with self._boundary():
            await self._inner.reset()

    async def aclose(self) -> None:
        """End every process, delete every file and give the slot back. May be called again."""
        if self._closing is None:
            self._closing = asyncio.ensure_future(self._close())
        await finish(_follow(self._closing))

    async def _close(self) -> None:
        try:
            if not self._lost:
                await within(_CLOSE_TIMEOUT, self._inner.aclose(), f"close {self.id}")
        except errors.SandboxError:
            self._home.suspect(self)
        finally:
            self._home.give_back(self)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()


async def _follow(future: asyncio.Future[None]) -> None:
    await future
