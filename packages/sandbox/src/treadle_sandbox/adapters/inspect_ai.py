# pyright: reportMissingImports=false, reportUnknownVariableType=false
# pyright: reportUntypedBaseClass=false, reportUntypedClassDecorator=false
# pyright: reportUntypedFunctionDecorator=false
"""Any backend as a sandbox of inspect_ai: `Task(sandbox="treadle")` or
`sandbox=("treadle", "sandbox.toml")`.

One backend a task, one lease a sample. The configuration file holds the settings of a backend
(`treadle_sandbox.config`); without one, slots on this machine are used. `user="root"` and other
accounts of the slot need a backend with `root_inside`.
"""

import errno
import json
import tomllib
from pathlib import Path
from typing import Any

from inspect_ai.util import (
    ExecResult,
    OutputLimitExceededError,
    SandboxEnvironment,
    SandboxEnvironmentLimits,
    SandboxUserUnsupportedError,
    sandboxenv,
)

from treadle_sandbox import errors
from treadle_sandbox.backend import Backend, Lease
from treadle_sandbox.config import backend_from_config
from treadle_sandbox.records import ExecResult as Outcome
from treadle_sandbox.records import Privilege

_NO_TIMEOUT = 24 * 3600.0
_WAIT = 600.0
"""Seconds that a sample waits for a slot."""
_SLOTS = 64
_CANNOT_RUN = 126
_RETRIES = (60.0, 30.0)
"""The most that a command which timed out gets when it is tried again."""
_backends: dict[str, Backend] = {}


def _settings(config: Any) -> dict[str, Any]:
    if config is None:
        return {"backend": "local", "slots": _SLOTS}
    if isinstance(config, str):
        path = Path(config)
        data = path.read_text(encoding="utf-8")
        return tomllib.loads(data) if path.suffix == ".toml" else json.loads(data)
    return config.model_dump()


@sandboxenv(name="treadle")
class TreadleSandboxEnvironment(SandboxEnvironment):
    """One lease, as inspect_ai sees it."""

    def __init__(self, lease: Lease) -> None:
        super().__init__()
        self._lease = lease

    @classmethod
    def config_files(cls) -> list[str]:
        """Return the names of files that are taken as configuration when none is named."""
        return ["treadle.toml", "treadle.json"]

    @classmethod
    async def task_init(cls, task_name: str, config: Any) -> None:
        """Start the backend of a task."""
        backend = backend_from_config(_settings(config))
        await backend.__aenter__()
        _backends[task_name] = backend

    @classmethod
    async def sample_init(
        cls, task_name: str, config: Any, metadata: dict[str, str]
    ) -> dict[str, SandboxEnvironment]:
        """Take a lease for a sample."""
        return {"default": cls(await _backends[task_name].lease(timeout=_WAIT))}

    @classmethod
    async def sample_cleanup(
        cls,
        task_name: str,
        config: Any,
        environments: dict[str, SandboxEnvironment],
        interrupted: bool,
    ) -> None:
        """Give a sample's lease back."""
        for environment in environments.values():
            await environment.as_type(cls)._lease.aclose()

    @classmethod
    async def task_cleanup(cls, task_name: str, config: Any, cleanup: bool) -> None:
        """End the backend of a task; slots aren't kept, whatever `cleanup` says."""
        backend = _backends.pop(task_name, None)
        if backend is not None:
            await backend.aclose()

    async def exec(
        self,
        cmd: list[str],
        input: str | bytes | None = None,  # noqa: A002
        cwd: str | None = None,
        env: dict[str, str] | None = None,
        user: str | None = None,
        timeout: int | None = None,
        timeout_retry: bool = True,
        concurrency: bool = True,
    ) -> "ExecResult[str]":
        """Run a command; see inspect_ai's `SandboxEnvironment.exec`."""
        attempts = [_NO_TIMEOUT if timeout is None else float(timeout)]
        if timeout is not None and timeout_retry:
            attempts += [min(timeout, most) for most in _RETRIES]
        result = None
        for seconds in attempts:
            result = await self._exec_once(cmd, input, cwd, env, user, seconds)
            if not result.timed_out:
                return _result(result, cmd)
        raise TimeoutError(f"{cmd[0]!r} ran longer than {timeout} s")

    async def _exec_once(
        self,
        cmd: list[str],
        given: str | bytes | None,
        cwd: str | None,
        env: dict[str, str] | None,
        user: str | None,
        seconds: float,
    ) -> Outcome:
        argv, privilege = (list(cmd), Privilege.USER)
        if user is not None and user != "sandbox":
            privilege = Privilege.ROOT
            argv = argv if user in ("root", "0") else ["runuser", "-u", user, "--", *argv]
        try:
            return await self._lease.exec(
                argv,
                stdin=given.encode() if isinstance(given, str) else given or b"",
                env=env,
                workdir=cwd,
                timeout=seconds,
                output_limit=SandboxEnvironmentLimits.MAX_EXEC_OUTPUT_SIZE,
                privilege=privilege,
            )
        except errors.UnsupportedError as error:
            raise SandboxUserUnsupportedError(str(error)) from error
        except errors.WorkdirError as error:
            raise FileNotFoundError(errno.ENOENT, "no such working directory", cwd) from error

    async def write_file(self, file: str, contents: str | bytes) -> None:
        """Write a file; see inspect_ai's `SandboxEnvironment.write_file`."""
        data = contents.encode() if isinstance(contents, str) else contents
        try:
            await self._lease.write_file(file, data)
        except errors.NotRegularFileError as error:
            raise IsADirectoryError(errno.EISDIR, "is a directory", file) from error
        except errors.SlotFileError as error:
            raise _file_error(error, file) from error

    async def read_file(self, file: str, text: bool = True) -> Any:
        """Read a file; see inspect_ai's `SandboxEnvironment.read_file`."""
        limit = SandboxEnvironmentLimits.MAX_READ_FILE_SIZE
        try:
            data = await self._lease.read_file(file, limit=limit)
        except errors.SlotFileNotFoundError as error:
            raise FileNotFoundError(errno.ENOENT, "no such file", file) from error
        except errors.NotRegularFileError as error:
            raise IsADirectoryError(errno.EISDIR, "is a directory", file) from error
        except errors.FileTooLargeError as error:
            raise OutputLimitExceededError(
                limit_str=SandboxEnvironmentLimits.MAX_READ_FILE_SIZE_STR, truncated_output=None
            ) from error
        except errors.SlotFileError as error:
            raise _file_error(error, file) from error
        return data.decode() if text else data


def _file_error(error: errors.SlotFileError, file: str) -> OSError:
    """Return the builtin error of the same number: PermissionError, IsADirectoryError, ..."""
    return OSError(error.errno or errno.EIO, error.strerror or str(error), file)


def _result(outcome: Outcome, cmd: list[str]) -> "ExecResult[str]":
    stderr = outcome.stderr.decode("utf-8", "replace")
    if outcome.exit_code == _CANNOT_RUN and stderr.startswith("cannot run "):
        raise PermissionError(errno.EACCES, "can't be run", cmd[0])
    return ExecResult(
        success=outcome.exit_code == 0,
        returncode=outcome.exit_code,
        stdout=outcome.stdout.decode("utf-8", "replace"),
        stderr=stderr,
    )
