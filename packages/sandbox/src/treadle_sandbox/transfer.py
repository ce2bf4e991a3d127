"""Folders in and out of a slot, over the file calls that every lease has.

Names that come from a slot are untrusted: each is checked before it becomes a path on the host, and
files are created without following links.
"""

import asyncio
import os
from pathlib import Path, PurePosixPath
from typing import Protocol

from treadle_sandbox.errors import FileTooLargeError, NotRegularFileError, SlotFileError
from treadle_sandbox.records import FileEntry


class FileAccess(Protocol):
    """The part of a lease that moving files needs."""

    async def read_file(self, path: str, *, limit: int = 16_000_000) -> bytes:
        """Return a file's bytes."""
        ...

    async def write_file(self, path: str, data: bytes, *, executable: bool = False) -> None:
        """Write a file."""
        ...

    async def list_files(self, path: str = ".") -> tuple[FileEntry, ...]:
        """Return the files below a folder."""
        ...


async def upload(lease: FileAccess, source: Path, target: str) -> int:
    """Copy a file, or the regular files below a folder, into a slot; links aren't followed."""
    files = await asyncio.to_thread(_list_host, source)
    for path in files:
        inner = target if path == source else f"{target}/{path.relative_to(source).as_posix()}"
        data = await asyncio.to_thread(path.read_bytes)
        await lease.write_file(inner, data, executable=os.access(path, os.X_OK))
    return len(files)


def _list_host(source: Path) -> list[Path]:
    if source.is_file():
        return [source]
    if not source.is_dir():
        raise FileNotFoundError(2, "no such file or folder to upload", str(source))
    found = sorted(path for path in source.rglob("*") if path.is_file() and not path.is_symlink())
    return [path for path in found if not _passes_link(path.parent, source)]


def _passes_link(folder: Path, top: Path) -> bool:
    between = [part for part in (folder, *folder.parents) if part != top and top in part.parents]
    return any(part.is_symlink() for part in between)


async def download(lease: FileAccess, source: str, target: Path, *, limit: int) -> int:
    """Copy a file or the files below a folder out of a slot, nothing outside `target`."""
    try:
        entries = await lease.list_files(source)
    except (NotRegularFileError, FileNotFoundError):
        data = await lease.read_file(source, limit=limit)
        await asyncio.to_thread(_write_host, target, data, False)
        return 1
    left = limit
    for entry in entries:
        inside = PurePosixPath(entry.path)
        if inside.is_absolute() or ".." in inside.parts or not inside.parts:
            raise SlotFileError(22, "the slot sent a name that leads out of the target", entry.path)
        if entry.size > left:
            raise FileTooLargeError(
                27, f"the folder is larger than the limit of {limit} bytes", source
            )
        data = await lease.read_file(f"{source}/{entry.path}", limit=left)
        left -= len(data)
        await asyncio.to_thread(_write_host, target / inside, data, entry.executable)
    return len(entries)


def _write_host(path: Path, data: bytes, executable: bool) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW
    descriptor = os.open(path, flags, 0o755 if executable else 0o644)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
