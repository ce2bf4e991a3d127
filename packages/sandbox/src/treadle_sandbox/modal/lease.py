"""The exclusive use of one Modal sandbox.

The sandbox itself is the boundary, so a lease never shares one, and `reset` and `restore` replace
it. Commands and file calls are run by Modal in the image's own `sh`. What it lacks: a second user
for verifiers and root ids of a slot (UnsupportedError), and limits on processes and disk.
"""

import asyncio
import secrets
import time
from collections.abc import Awaitable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from treadle_sandbox import errors, transfer
from treadle_sandbox.counters import Counters
from treadle_sandbox.modal import scripts
from treadle_sandbox.modal.account import Room
from treadle_sandbox.modal.contract import check_command
from treadle_sandbox.modal.files import Files
from treadle_sandbox.modal.home import Home
from treadle_sandbox.modal.jobs import ModalJob
from treadle_sandbox.modal.process import Ended, Processes, new_mark
from treadle_sandbox.modal.session import ModalSession
from treadle_sandbox.modal.teardown import finish
from treadle_sandbox.records import (
    ExecResult,
    FileEntry,
    Isolation,
    JobState,
    Limits,
    Privilege,
    Snapshot,
)

_Result = TypeVar("_Result")
_FILE_TIMEOUT = 120.0
_OUTPUT_MOST = 200_000_000


class ModalLease:
    """A sandbox in use. `ModalExecBackend.lease` makes it."""

    def __init__(
        self,
        *,
        name: str,
        room: Room,
        home: Home,
        workdir: str,
        isolation: Isolation,
        limits: Limits,
        environment: Mapping[str, str],
        counters: Counters,
        lifetime: float | None,
    ) -> None:
        self._name = name
        self._room = room
        self._home = home
        self._workdir = workdir
        self._isolation = isolation
        self._limits = limits
        self._environment = {
            "HOME": workdir,
            "TMPDIR": "/tmp",
            "LANG": "C.UTF-8",
            **environment,
        }
        self._counters = counters
        self._processes = Processes(room.name, room.sandbox, limits)
        self._files = Files(self._run_script, lambda: self._workdir)
        self._jobs: dict[str, ModalJob] = {}
        self._followers: set[asyncio.Task[None]] = set()
        self._sessions: dict[str, ModalSession] = {}
        self._changing = asyncio.Lock()
        self._closing: asyncio.Future[None] | None = None
        self._expires = None if lifetime is None else time.monotonic() + lifetime
        self._expired = False

    @property
    def id(self) -> str:
        """Unique name of this lease."""
        return self._name

    @property
    def workdir(self) -> str:
        """The working directory as commands see it."""
        return self._workdir

    @property
    def isolation(self) -> Isolation:
        """The level that holds here."""
        return self._isolation

    @property
    def expires(self) -> float | None:
        """When it ends unless it is renewed, on the monotonic clock."""
        return self._expires

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
        self._check_open()
        environment = {**self._environment, **(env or {})}
        check_command(argv, environment, timeout=timeout, output_limit=output_limit)
        _check_user(privilege)
        with self._counters.command():
            ended = await self._guard(
                self._processes.run(
                    argv,
                    stdin=bytes(stdin),
                    env=environment,
                    workdir=self._files.resolve(workdir or "."),
                    timeout=timeout,
                    output_limit=output_limit,
                )
            )
            self._counters.timeouts += ended.timed_out
            return self._result(ended, workdir)

    def _result(self, ended: Ended, workdir: str | None) -> ExecResult:
        said = ended.stderr.value()
        if ended.code == scripts.NO_WORKDIR and said and ended.mark.encode().startswith(said):
            raise errors.WorkdirError(
                f"no folder {workdir or self.workdir!r} in the slot; create it first"
            )
        return ExecResult(
            exit_code=ended.code,
            stdout=ended.stdout.value(),
            stderr=said,
            timed_out=ended.timed_out,
            truncated=ended.stdout.truncated or ended.stderr.truncated,
            stdout_bytes=ended.stdout.total,
            stderr_bytes=ended.stderr.total,
            seconds=ended.seconds,
            isolation=self._isolation,
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
        if "\0" in script:
            raise errors.InvalidCommandError("the script holds a NUL character")
        return await self.exec(
            ["sh", "-c", scripts.FRESH, "sh", script],
            stdin=stdin,
            env=env,
            workdir=workdir,
            timeout=timeout,
            output_limit=output_limit,
            privilege=privilege,
        )

    async def session(self, name: str = "main") -> ModalSession:
        """Return the persistent shell of that name; see `treadle_sandbox.Lease.session`."""
        self._check_open()
        if name not in self._sessions:
            self._sessions[name] = ModalSession(
                name,
                processes=lambda: self._processes,
                run=self._run_script,
                environment=lambda: self._environment,
                workdir=lambda: self._workdir,
                isolation=self._isolation,
                check=self._check_script,
            )
        return self._sessions[name]

    def _check_script(self, script: str, timeout: float, output_limit: int) -> None:
        self._check_open()
        if not script.strip():
            raise errors.InvalidCommandError("the script is empty; give at least one command")
        words = ["sh", "-c", script]
        check_command(words, self._environment, timeout=timeout, output_limit=output_limit)

    async def start(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        workdir: str | None = None,
        timeout: float | None = None,
        keep: int = 8_000_000,
        privilege: Privilege = Privilege.USER,
    ) -> ModalJob:
        """Start a command in the background; see `treadle_sandbox.Lease.start`."""
        self._check_open()
        environment = {**self._environment, **(env or {})}
        check_command(argv, environment, timeout=timeout or 1.0, output_limit=keep)
        _check_user(privilege)
        folder = self._files.resolve(workdir or ".")
        ended = await self._run_script(scripts.IS_FOLDER, folder)
        if ended.code:
            raise errors.WorkdirError(f"no folder {workdir!r} in the slot; create it first")
        mark = new_mark()
        process = await self._guard(
            self._processes.launch(argv, env=environment, workdir=folder, mark=mark)
        )
        job = ModalJob(
            secrets.token_hex(6), process, self._processes, mark=mark, keep=keep, timeout=timeout
        )
        self._jobs[job.id] = job
        follower = asyncio.ensure_future(job.follow())
        self._followers.add(follower)
        follower.add_done_callback(self._followers.discard)
        return job

    async def job(self, name: str) -> ModalJob:
        """Return a job that this lease started before. Raises JobNotFoundError."""
        self._check_open()
        if name not in self._jobs:
            raise errors.JobNotFoundError(f"no job {name!r} since the last reset of {self.id}")
        return self._jobs[name]

    async def jobs(self) -> tuple[JobState, ...]:
        """Return all jobs since the last reset, oldest first."""
        self._check_open()
        return tuple([await job.state() for job in self._jobs.values()])

    async def read_file(self, path: str, *, limit: int = 16_000_000) -> bytes:
        """Return a regular file's bytes; see `treadle_sandbox.Lease.read_file`."""
        return await self._files.read(path, limit)

    async def write_file(self, path: str, data: bytes, *, executable: bool = False) -> None:
        """Write a file and create its parent folders; see `treadle_sandbox.Lease.write_file`."""
        await self._files.write(path, data, executable=executable)

    async def list_files(self, path: str = ".") -> tuple[FileEntry, ...]:
        """Return the regular files below a folder, sorted by path; links aren't followed."""
        return await self._files.list(path)

    async def archive(self, path: str = ".", *, limit: int = 100_000_000) -> bytes:
        """Return a folder or file as a tar archive; see `treadle_sandbox.Lease.archive`."""
        return await self._files.archive(path, min(limit, _OUTPUT_MOST))

    async def extract(self, data: bytes, path: str = ".") -> int:
        """Unpack a tar archive below a folder; see `treadle_sandbox.Lease.extract`."""
        return await self._files.extract(data, path)

    async def upload(self, source: Path, target: str = ".") -> int:
        """Copy a file or the regular files of a folder into the slot; return their number."""
        return await transfer.upload(self, source, target)

    async def download(self, source: str, target: Path, *, limit: int = 64_000_000) -> int:
        """Copy a file or a folder out of the slot; return the number of files."""
        return await transfer.download(self, source, target, limit=limit)

    async def snapshot(self) -> Snapshot:
        """Keep the sandbox's files as a Modal image; processes go on."""
        self._check_open()
        return await self._guard(self._home.keep(self._room, self._processes, self._workdir))

    async def restore(self, snapshot: Snapshot) -> None:
        """Go on in a new sandbox that begins with a snapshot. Raises SnapshotNotFoundError."""
        await self._renew_room(self._home.image_of(snapshot))

    async def fork(self, count: int, *, timeout: float = 30.0) -> "tuple[ModalLease, ...]":
        """Return `count` new leases whose files are as they are here now; all or none."""
        return await self._home.fork(await self.snapshot(), count, timeout)

    async def renew(self, seconds: float) -> float:
        """Let the lease live `seconds` from now, no longer than Modal lets its sandbox live."""
        self._check_open()
        granted = min(seconds, self._room.left)
        self._expires = time.monotonic() + granted
        return granted

    async def kill_all(self) -> None:
        """End every process of the slot; files stay."""
        self._check_open()
        for session in self._sessions.values():
            session.forget()
        await self._guard(self._processes.kill_all())
        for job in self._jobs.values():
            await job.kill()  # one that Modal had yet to start came through

    async def reset(self) -> None:
        """Go on in a new, empty sandbox; see `treadle_sandbox.Lease.reset`."""
        await self._renew_room(None)

    async def _renew_room(self, image: str | None) -> None:
        async with self._changing:
            self._check_open()
            await self._forget_processes()
            self._room = await self._home.replace(self._room, image)
            self._processes = Processes(self._room.name, self._room.sandbox, self._limits)

    async def _forget_processes(self) -> None:
        for session in self._sessions.values():
            session.forget()
        followers = list(self._followers)
        for follower in followers:
            follower.cancel()
        await asyncio.gather(*followers, return_exceptions=True)
        for job in self._jobs.values():
            job.forget()
        self._jobs.clear()

    async def expire(self) -> None:
        """Close it because nobody renewed it; its calls then say so."""
        self._expired = True
        await self.aclose()

    async def keep_alive(self) -> None:
        """Show Modal that the sandbox is in use."""
        if self._closing is None:
            await self._run_script("exit 0")

    async def aclose(self) -> None:
        """End the sandbox and give the slot back. May be called again."""
        if self._closing is None:
            self._closing = asyncio.ensure_future(self._close())
        await finish(_follow(self._closing))

    async def _close(self) -> None:
        async with self._changing:
            await self._forget_processes()
            await self._home.release(self, self._room)

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
        if self._expired:
            raise errors.LeaseExpiredError(f"lease {self.id} wasn't renewed in time")
        if self._closing is not None:
            raise errors.LeaseClosedError(f"lease {self.id} is closed; take a new one")

    async def _guard(self, work: Awaitable[_Result]) -> _Result:
        try:
            return await work
        except errors.SlotLostError:
            self._check_open()
            raise

    async def _run_script(
        self, script: str, *words: str, stdin: bytes = b"", output_limit: int = 0
    ) -> Ended:
        self._check_open()
        return await self._guard(
            self._processes.run(
                ["sh", "-c", script, "sh", *words],
                stdin=stdin,
                env=self._environment,
                workdir="/",
                timeout=_FILE_TIMEOUT,
                output_limit=max(output_limit, 1000),
            )
        )


async def _follow(future: "asyncio.Future[None]") -> None:
    await future


def _check_user(privilege: Privilege) -> None:
    if privilege is not Privilege.USER:
        raise errors.UnsupportedError(
            f"a Modal sandbox used directly has no user {privilege.value!r}; run our server in it "
            "(mode 'server') or take another backend"
        )
