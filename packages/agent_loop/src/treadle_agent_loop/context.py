"""What a reward function works with: the rollout's own workspace and tools, after the model is
done.

Everything happens in the very slot the model used, so a reward sees the files and processes it
left. Expected outcomes are values (an exit code, a timeout); only dead infrastructure and the
reward's own mistakes raise. Nothing blocks the event loop and nothing is shared: any number of
rewards may run at once, with timeouts of any length.

Files and folders travel through the workspace's own transfer where it has one, as sandbox leases
do, and otherwise as tar streams through `exec`; nothing passes through a shell's quoting.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from treadle_agent_loop.searching import search_contents, split_line
from treadle_agent_loop.tar_transfer import download_by_tar, upload_by_tar
from treadle_agent_loop.tools import ToolRegistry, ToolReply
from treadle_agent_loop.workspace import CommandResult, TransferWorkspace, Workspace

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


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchMatch:
    """One line that a search found."""

    path: str
    line: int
    text: str


class ToolContext:
    """Access to a rollout's workspace and tools for its reward function."""

    def __init__(self, workspace: Workspace, tools: ToolRegistry | None = None) -> None:
        self.workspace = workspace
        self.tools = tools if tools is not None else ToolRegistry()

    async def terminal(
        self,
        command: str,
        timeout: float = 60.0,
        *,
        workdir: str | None = None,
        env: Mapping[str, str] | None = None,
        output_limit: int = 1_000_000,
    ) -> CommandOutput:
        """Run a shell command; `timeout` in seconds, `output_limit` in bytes per stream."""
        result = await self.workspace.exec(
            ["bash", "-c", command],
            timeout=timeout,
            workdir=workdir,
            env=env,
            output_limit=output_limit,
        )
        return _decoded(result)

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
        return (await self.read_bytes(path)).decode(errors="replace")

    async def read_bytes(self, path: str, *, limit: int = _TRANSFER_LIMIT) -> bytes:
        """Return a file of at most `limit` bytes. Raises as `read_file`."""
        return await self.workspace.read_file(path, limit=limit)

    async def write_file(self, path: str, content: str | bytes) -> None:
        """Write a file and create its parent folders."""
        data = content.encode() if isinstance(content, str) else content
        await self.workspace.write_file(path, data)

    async def search(
        self,
        pattern: str,
        path: str = ".",
        *,
        glob: str = "",
        ignore_case: bool = False,
        timeout: float = 60.0,
    ) -> tuple[SearchMatch, ...]:
        """Return the lines that match a regular expression, sorted by file and line.

        Raises:
            ToolError: the pattern is no regular expression, the path isn't there, or time ran out.
        """
        lines = await search_contents(
            self.workspace,
            pattern,
            path=path,
            glob=glob,
            ignore_case=ignore_case,
            timeout=timeout,
        )
        places = ((line, split_line(line)) for line in lines)
        return tuple(
            SearchMatch(path=place[0], line=place[1], text=line.split(":", 2)[2])
            for line, place in places
            if place is not None
        )

    async def upload(self, source: Path | str, target: str, *, timeout: float = 120.0) -> None:
        """Copy a local file or folder into the workspace; `target` names the copy itself.

        Raises:
            FileNotFoundError: `source` doesn't exist.
            ToolError: a folder couldn't be unpacked there (a workspace without a transfer of its
                own needs `tar`).
            TimeoutError: it took longer than `timeout` seconds.
        """
        local = Path(source)
        async with asyncio.timeout(timeout):
            if isinstance(self.workspace, TransferWorkspace):
                await self.workspace.upload(local, target)
            elif await asyncio.to_thread(local.is_dir):
                await upload_by_tar(self.workspace, local, target, timeout=timeout)
            else:
                data = await asyncio.to_thread(local.read_bytes)
                await self.workspace.write_file(target, data)

    async def download(
        self,
        source: str,
        target: Path | str,
        *,
        timeout: float = 120.0,
        limit: int = _TRANSFER_LIMIT,
    ) -> None:
        """Copy a file or folder of the workspace, up to `limit` bytes, to `target` on this machine.

        Members of a folder that would land outside `target` are refused.

        Raises:
            FileNotFoundError: `source` doesn't exist.
            ToolError: a folder couldn't be packed there, or is too large.
            TimeoutError: it took longer than `timeout` seconds.
        """
        local = Path(target)
        async with asyncio.timeout(timeout):
            if isinstance(self.workspace, TransferWorkspace):
                await self.workspace.download(source, local, limit=limit)
                return
            probe = await self.workspace.exec(["test", "-d", source], timeout=timeout)
            if probe.exit_code == 0:
                await download_by_tar(self.workspace, source, local, timeout=timeout, limit=limit)
            else:
                data = await self.workspace.read_file(source, limit=limit)
                await asyncio.to_thread(_write_bytes, local, data)

    async def call_tool(self, name: str, /, **arguments: Any) -> ToolReply:
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


def _write_bytes(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
