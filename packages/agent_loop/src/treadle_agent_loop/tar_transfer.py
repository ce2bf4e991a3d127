"""Folders in and out of a workspace that can only run commands: as tar streams, binary and whole.

The workspace needs `tar`. An archive from a workspace is not trusted: members that would land
outside the target are refused.
"""

import asyncio
import io
import tarfile
from pathlib import Path

from treadle_agent_loop.errors import ToolError
from treadle_agent_loop.workspace import CommandResult, Workspace


async def upload_by_tar(workspace: Workspace, source: Path, target: str, *, timeout: float) -> None:
    """Copy a local folder to `target` in the workspace.

    Raises:
        ToolError: it couldn't be unpacked there.
    """
    script = 'mkdir -p -- "$1" && exec tar -xf - -C "$1"'
    archive = await asyncio.to_thread(_pack, source)
    argv = ["sh", "-c", script, "sh", target]
    result = await workspace.exec(argv, stdin=archive, timeout=timeout)
    _require(result, f"unpacking {source.name!r} at {target!r}")


async def download_by_tar(
    workspace: Workspace, source: str, target: Path, *, timeout: float, limit: int
) -> None:
    """Copy a folder of the workspace to `target` on this machine.

    Raises:
        ToolError: it couldn't be packed, or its archive has more than `limit` bytes.
    """
    argv = ["tar", "-cf", "-", "-C", source, "."]
    result = await workspace.exec(argv, timeout=timeout, output_limit=limit)
    doing = f"packing {source!r}"
    _require(result, doing)
    if result.truncated:
        raise ToolError(f"{doing} made more than {limit} bytes; copy its parts")
    await asyncio.to_thread(_unpack, result.stdout, target)


def _require(result: CommandResult, doing: str) -> None:
    if result.timed_out:
        raise ToolError(f"{doing} timed out")
    if result.exit_code != 0:
        detail = result.stderr.decode(errors="replace").strip()
        raise ToolError(f"{doing} failed with exit code {result.exit_code}: {detail}")


def _pack(folder: Path) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        archive.add(folder, arcname=".")
    return buffer.getvalue()


def _unpack(data: bytes, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        archive.extractall(folder, filter="data")
