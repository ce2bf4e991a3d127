"""The lease of `FakeBackend`."""

import io
import posixpath
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from treadle_sandbox import errors, transfer
from treadle_sandbox.records import (
    ExecResult,
    FileEntry,
    Isolation,
    JobState,
    Privilege,
    Snapshot,
)
from treadle_sandbox.testing.fake_job import FakeJob

if TYPE_CHECKING:
    from treadle_sandbox.testing.fake import FakeBackend

_WORKDIR = "/workspace"


class FakeSession:
    """A shell without state: every script is asked of the backend."""

    def __init__(self, lease: "FakeLease", name: str) -> None:
        self._lease = lease
        self.name = name
        self.restarts = 0

    async def run(
        self, script: str, *, timeout: float = 30.0, output_limit: int = 1_000_000
    ) -> ExecResult:
        """Return the answer to a script."""
        return self._lease.ask("session", [script], timeout=timeout)

    async def aclose(self) -> None:
        """Do nothing."""


class FakeLease:
    """Files in memory, commands from the script."""

    isolation = Isolation.PROCESS
    workdir = _WORKDIR

    def __init__(self, backend: "FakeBackend", *, name: str, files: dict[str, bytes]) -> None:
        self._backend = backend
        self.id = name
        self.files = files
        """Content by absolute path."""
        self._executable: set[str] = set()
        self._jobs: dict[str, FakeJob] = {}
        self._closed = False

    def ask(self, kind: str, argv: Sequence[str], **details: Any) -> ExecResult:
        """Ask the backend's script."""
        from treadle_sandbox.testing.fake import FakeCall

        self._check_open()
        return self._backend.answer(FakeCall(lease=self.id, kind=kind, argv=tuple(argv), **details))

    def _check_open(self) -> None:
        if self._closed:
            raise errors.LeaseClosedError(f"lease {self.id} is closed; take a new one")

    def _path(self, path: str) -> str:
        self._check_open()
        return posixpath.normpath(posixpath.join(_WORKDIR, path))

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
        """Return the answer to a command."""
        details = {"stdin": stdin, "env": env or {}, "workdir": workdir, "timeout": timeout}
        return self.ask("exec", argv, **details)

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
        """Return the answer to a script."""
        details = {"stdin": stdin, "env": env or {}, "workdir": workdir, "timeout": timeout}
        return self.ask("shell", [script], **details)

    async def session(self, name: str = "main") -> FakeSession:
        """Return a shell without state."""
        self._check_open()
        return FakeSession(self, name)

    async def start(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        workdir: str | None = None,
        timeout: float | None = None,
        keep: int = 8_000_000,
        privilege: Privilege = Privilege.USER,
    ) -> FakeJob:
        """Return a job that ended as the answer says."""
        details = {"env": env or {}, "workdir": workdir, "timeout": timeout}
        job = FakeJob(f"job-{len(self._jobs) + 1}", self.ask("start", argv, **details))
        self._jobs[job.id] = job
        return job

    async def job(self, name: str) -> FakeJob:
        """Return a job that was started before."""
        if name not in self._jobs:
            raise errors.JobNotFoundError(f"no job {name!r} in this slot")
        return self._jobs[name]

    async def jobs(self) -> tuple[JobState, ...]:
        """Return all jobs."""
        return tuple([await job.state() for job in self._jobs.values()])

    async def read_file(self, path: str, *, limit: int = 16_000_000) -> bytes:
        """Return a file's bytes."""
        full = self._path(path)
        if full not in self.files:
            raise errors.SlotFileNotFoundError(2, "no such file in the slot", path)
        if len(self.files[full]) > limit:
            raise errors.FileTooLargeError(27, f"more than the limit of {limit}", path)
        return self.files[full]

    async def write_file(self, path: str, data: bytes, *, executable: bool = False) -> None:
        """Keep a file."""
        full = self._path(path)
        self.files[full] = bytes(data)
        (self._executable.add if executable else self._executable.discard)(full)

    async def list_files(self, path: str = ".") -> tuple[FileEntry, ...]:
        """Return the files below a folder."""
        top = self._path(path).rstrip("/") + "/"
        return tuple(
            FileEntry(path=name[len(top) :], size=len(data), executable=name in self._executable)
            for name, data in sorted(self.files.items())
            if name.startswith(top)
        )

    async def upload(self, source: Path, target: str = ".") -> int:
        """Copy files in."""
        return await transfer.upload(self, source, target)

    async def download(self, source: str, target: Path, *, limit: int = 64_000_000) -> int:
        """Copy files out."""
        return await transfer.download(self, source, target, limit=limit)

    async def archive(self, path: str = ".", *, limit: int = 1_000_000_000) -> bytes:
        """Return a tar archive."""
        target = io.BytesIO()
        with tarfile.open(fileobj=target, mode="w") as archive:
            for entry in await self.list_files(path):
                data = await self.read_file(posixpath.join(path, entry.path))
                member = tarfile.TarInfo(entry.path)
                member.size, member.mode = len(data), 0o755 if entry.executable else 0o644
                archive.addfile(member, io.BytesIO(data))
        return target.getvalue()

    async def extract(self, data: bytes, path: str = ".") -> int:
        """Unpack a tar archive's regular files."""
        count = 0
        try:
            with tarfile.open(fileobj=io.BytesIO(data)) as archive:
                for member in archive:
                    file = archive.extractfile(member) if member.isfile() else None
                    if file is not None:
                        name = posixpath.join(path, member.name)
                        await self.write_file(
                            name, file.read(), executable=bool(member.mode & 0o100)
                        )
                        count += 1
        except tarfile.TarError as error:
            raise errors.ArchiveError(f"no tar archive: {error}") from error
        return count

    async def snapshot(self) -> Snapshot:
        """Keep the files as they are."""
        self._check_open()
        return self._backend.keep(self.files)

    async def restore(self, snapshot: Snapshot) -> None:
        """Go back to a snapshot."""
        self._check_open()
        self.files = dict(self._backend.files_of(snapshot))

    async def fork(self, count: int, *, timeout: float = 30.0) -> "tuple[FakeLease, ...]":
        """Return leases with the same files; all or none."""
        snapshot = await self.snapshot()
        made: list[FakeLease] = []
        try:
            for _ in range(count):
                made.append(await self._backend.lease(timeout=timeout, snapshot=snapshot))
        except errors.SandboxError:
            for lease in made:
                await lease.aclose()
            raise
        finally:
            await self._backend.discard(snapshot)
        return tuple(made)

    async def renew(self, seconds: float) -> float:
        """Grant what is asked."""
        self._check_open()
        return seconds

    async def kill_all(self) -> None:
        """Do nothing: nothing runs."""
        self._check_open()

    async def reset(self) -> None:
        """Empty the slot."""
        self._check_open()
        self.files.clear()
        self._jobs.clear()

    async def aclose(self) -> None:
        """Give the slot back. May be called again."""
        if not self._closed:
            self._closed = True
            self._backend.give_back(self)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.aclose()
