"""What a reward function works with: the rollout's own workspace and tools, after the model is
done.

Everything happens in the very slot the model used, so a reward sees the files and processes it
left. Expected outcomes are values (an exit code, a timeout); only dead infrastructure raises.
Folders travel as tar streams through the workspace's `exec`; nothing passes through a shell's
quoting.
"""

import asyncio
import io
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from treadle_agent_loop.errors import ToolError
from treadle_agent_loop.tools import ToolRegistry, ToolReply
from treadle_agent_loop.workspace import CommandResult, Workspace

_TRANSFER_LIMIT = 256_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandOutput:
    """A finished command, decoded."""

    exit_code: int
    stdout: str
    stderr: str
    timed_out: bool
    truncated: bool
    """Whether output was cut at the limit."""

    @property
    def ok(self) -> bool:
        """Whether it exited with 0 in time."""
        return self.exit_code == 0 and not self.timed_out

    @property
    def output(self) -> str:
        """Both streams, stdout first."""
        return self.stdout + self.stderr


class ToolContext:
    """Access to a rollout's workspace and tools for its reward function."""

    def __init__(self, workspace: Workspace, tools: ToolRegistry | None = None) -> None:
        self.workspace = workspace
        self.tools = tools if tools is not None else ToolRegistry()

    async def terminal(self, command: str, timeout: float = 60.0) -> CommandOutput:
        """Run a shell command in the working directory; `timeout` in seconds."""
        return _decoded(await self.workspace.exec(["bash", "-c", command], timeout=timeout))

    async def python(self, code: str, timeout: float = 60.0) -> CommandOutput:
        """Run a Python script given on standard input; `timeout` in seconds."""
        result = await self.workspace.exec(
            ["python3", "-"], stdin=code.encode(errors="replace"), timeout=timeout
        )
        return _decoded(result)

    async def read_file(self, path: str) -> str:
        """Return a text file; bytes that aren't UTF-8 are replaced.

        Raises:
            FileNotFoundError: there is no such file.
        """
        return (await self.workspace.read_file(path)).decode(errors="replace")

    async def write_file(self, path: str, content: str | bytes) -> None:
        """Write a file and create its parent folders."""
        data = content.encode() if isinstance(content, str) else content
        await self.workspace.write_file(path, data)

    async def upload(self, source: Path | str, target: str, *, timeout: float = 120.0) -> None:
        """Copy a local file or folder into the workspace; `target` names the copy itself.

        Raises:
            FileNotFoundError: `source` doesn't exist.
            ToolError: a folder couldn't be unpacked there (the workspace needs `tar`).
        """
        local = Path(source)
        if not local.is_dir():
            await self.workspace.write_file(target, await asyncio.to_thread(local.read_bytes))
            return
        script = 'mkdir -p -- "$1" && exec tar -xf - -C "$1"'
        result = await self.workspace.exec(
            ["sh", "-c", script, "sh", target],
            stdin=await asyncio.to_thread(_pack, local),
            timeout=timeout,
        )
        _require(result, f"unpacking {local.name!r} at {target!r}")

    async def download(self, source: str, target: Path | str, *, timeout: float = 120.0) -> None:
        """Copy a file or folder of the workspace to `target` on this machine, up to 256 MB.

        Members of a folder that would land outside `target` are refused.

        Raises:
            FileNotFoundError: `source` doesn't exist.
            ToolError: a folder couldn't be packed there, or is too large.
        """
        local = Path(target)
        probe = await self.workspace.exec(["test", "-d", source], timeout=timeout)
        if probe.exit_code != 0:
            data = await self.workspace.read_file(source, limit=_TRANSFER_LIMIT)
            await asyncio.to_thread(_write_bytes, local, data)
            return
        result = await self.workspace.exec(
            ["tar", "-cf", "-", "-C", source, "."], timeout=timeout, output_limit=_TRANSFER_LIMIT
        )
        _require(result, f"packing {source!r}")
        await asyncio.to_thread(_unpack, result.stdout, local)

    async def call_tool(self, name: str, **arguments: Any) -> ToolReply:
        """Call one of the rollout's tools as the model would; failures come back in the reply."""
        return await self.tools.call(name, arguments, self.workspace)


def _decoded(result: CommandResult) -> CommandOutput:
    return CommandOutput(
        exit_code=result.exit_code,
        stdout=result.stdout.decode(errors="replace"),
        stderr=result.stderr.decode(errors="replace"),
        timed_out=result.timed_out,
        truncated=result.truncated,
    )


def _require(result: CommandResult, doing: str) -> None:
    if result.timed_out:
        raise ToolError(f"{doing} timed out")
    if result.exit_code != 0:
        detail = result.stderr.decode(errors="replace").strip()
        raise ToolError(f"{doing} failed with exit code {result.exit_code}: {detail}")
    if result.truncated:
        raise ToolError(f"{doing} made more than {_TRANSFER_LIMIT} bytes; copy its parts")


def _pack(folder: Path) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        archive.add(folder, arcname=".")
    return buffer.getvalue()


def _unpack(data: bytes, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        archive.extractall(folder, filter="data")


def _write_bytes(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
