"""The calls of a local lease that run commands."""

import marshal
from collections.abc import Mapping, Sequence
from typing import Any

from treadle_sandbox.errors import InvalidCommandError, UnsupportedError
from treadle_sandbox.local.calls import Calls
from treadle_sandbox.local.channel import Reply
from treadle_sandbox.local.contract import (
    check_argv,
    check_bounds,
    check_environment,
    check_script,
    command_error,
)
from treadle_sandbox.local.jobs import LocalJob, read_states
from treadle_sandbox.local.sessions import LocalSession, read_result
from treadle_sandbox.records import ExecResult, JobState, Privilege

_SHELL = ("bash", "--norc", "--noprofile", "-c")
_KEEP_MOST = 64_000_000
_START_TIMEOUT = 30.0


class CommandCalls(Calls):
    """Commands, sessions and jobs of a slot."""

    _sessions: dict[str, LocalSession]

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
        self._check_privilege(privilege)
        check_argv(argv)
        check_bounds(timeout, output_limit)
        request = {
            "op": "exec",
            "command": self._encode(argv, env, workdir),
            "stdin": bytes(stdin),
            "timeout": float(timeout),
            "output_limit": output_limit,
            "user": str(privilege),
        }
        reply = await self.command(request, timeout=timeout)
        self._check(reply, workdir)
        return read_result(reply, self._isolation)

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
        """Run shell text in a fresh bash; see `treadle_sandbox.Lease.shell`."""
        check_script(script)
        return await self.exec(
            (*_SHELL, script),
            stdin=stdin,
            env=env,
            workdir=workdir,
            timeout=timeout,
            output_limit=output_limit,
            privilege=privilege,
        )

    async def session(self, name: str = "main") -> LocalSession:
        """Return the persistent shell of that name, started when it isn't there."""
        self._check_open()
        session = self._sessions.get(name)
        if session is None:
            session = self._sessions[name] = LocalSession(self, name)
        await session.open()
        return session

    def session_request(self, name: str) -> dict[str, Any]:
        """Return the request that opens a session."""
        environment = self._environment
        return {"op": "session", "name": name, "env": environment, "workdir": self._workdir}

    async def start(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        workdir: str | None = None,
        timeout: float | None = None,
        keep: int = 8_000_000,
        privilege: Privilege = Privilege.USER,
    ) -> LocalJob:
        """Start a command in the background; see `treadle_sandbox.Lease.start`."""
        self._check_privilege(privilege)
        check_argv(argv)
        if not 0 < keep <= _KEEP_MOST:
            raise InvalidCommandError(f"keep is {keep!r}: give 1 to {_KEEP_MOST} bytes")
        if timeout is not None:
            check_bounds(timeout, 0)
        request = {
            "op": "start",
            "command": self._encode(argv, env, workdir),
            "workdir": self._resolve(workdir or "."),
            "timeout": float("inf") if timeout is None else float(timeout),
            "keep": keep,
            "user": str(privilege),
        }
        reply = await self.command(request, timeout=_START_TIMEOUT)
        self._check(reply, workdir)
        return LocalJob(self, read_states(reply.first)[0].id)

    async def job(self, name: str) -> LocalJob:
        """Return a job that was started before; see `treadle_sandbox.Lease.job`."""
        job = LocalJob(self, name)
        await job.state()
        return job

    async def jobs(self) -> tuple[JobState, ...]:
        """Return all jobs since the last reset, oldest first."""
        return read_states((await self.ask({"op": "jobs"}, timeout=_START_TIMEOUT)).first)

    def _encode(
        self, argv: Sequence[str], env: Mapping[str, str] | None, workdir: str | None
    ) -> bytes:
        environment = self._environment
        if env:
            check_environment(env)
            environment = {**environment, **env}
        folder = self._workdir if workdir is None else self._resolve(workdir)
        return marshal.dumps((list(argv), environment, folder))

    def _check_privilege(self, privilege: Privilege) -> None:
        self._check_open()
        if privilege not in self._slot.users:
            raise UnsupportedError(f"slots of this backend have no user {str(privilege)!r}")

    def _check(self, reply: Reply, workdir: str | None) -> None:
        if reply.error:
            raise command_error(reply.error, workdir or self._workdir)
