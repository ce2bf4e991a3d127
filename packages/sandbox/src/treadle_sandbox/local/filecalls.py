"""The calls of a local lease that move files."""

import os
from pathlib import Path

from treadle_sandbox import transfer
from treadle_sandbox.local.calls import Calls
from treadle_sandbox.records import FileEntry

_EXECUTABLE, _PLAIN = 0o755, 0o644
_ARCHIVE_TIMEOUT = 300.0


class FileCalls(Calls):
    """Files in and out of a slot."""

    async def read_file(self, path: str, *, limit: int = 16_000_000) -> bytes:
        """Return a regular file's bytes; see `treadle_sandbox.Lease.read_file`."""
        return (await self._ask_file({"op": "read", "path": path, "limit": limit})).first

    async def write_file(self, path: str, data: bytes, *, executable: bool = False) -> None:
        """Write a file and create its parent folders; see `treadle_sandbox.Lease.write_file`."""
        mode = _EXECUTABLE if executable else _PLAIN
        await self._ask_file({"op": "write", "path": path, "data": bytes(data), "mode": mode})

    async def list_files(self, path: str = ".") -> tuple[FileEntry, ...]:
        """Return the regular files below a folder, sorted by path; links aren't followed."""
        listing = (await self._ask_file({"op": "list", "path": path})).first
        entries: list[FileEntry] = []
        for row in listing.split(b"\0")[:-1]:
            mode, size, name = row.split(b" ", 2)
            executable = bool(int(mode, 8) & 0o100)
            entries.append(FileEntry(path=os.fsdecode(name), size=int(size), executable=executable))
        return tuple(sorted(entries, key=lambda entry: entry.path))

    async def upload(self, source: Path, target: str = ".") -> int:
        """Copy a file or the regular files of a folder into the slot; return their number."""
        return await transfer.upload(self, source, target)

    async def download(self, source: str, target: Path, *, limit: int = 64_000_000) -> int:
        """Copy a file or a folder out of the slot; return the number of files."""
        return await transfer.download(self, source, target, limit=limit)

    async def archive(self, path: str = ".", *, limit: int = 1_000_000_000) -> bytes:
        """Return a folder or file as a tar archive; see `treadle_sandbox.Lease.archive`."""
        request = {"op": "archive", "path": path, "limit": limit}
        return (await self._ask_file(request, _ARCHIVE_TIMEOUT)).first

    async def extract(self, data: bytes, path: str = ".") -> int:
        """Unpack a tar archive below a folder; see `treadle_sandbox.Lease.extract`."""
        request = {"op": "extract", "path": path, "data": bytes(data)}
        return (await self._ask_file(request, _ARCHIVE_TIMEOUT)).stdout_bytes
