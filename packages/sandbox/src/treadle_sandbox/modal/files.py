"""Files of a Modal sandbox, moved by small shell scripts: the image needs `sh`, `cat`, `stat`,
`find` and `tar`, and no Python.
"""

import errno
import os
import posixpath
from collections.abc import Awaitable, Callable
from typing import Protocol

from treadle_sandbox.errors import (
    FileTooLargeError,
    InvalidCommandError,
    NotRegularFileError,
    SandboxError,
    SlotFileError,
    SlotFileNotFoundError,
)
from treadle_sandbox.modal import archives, scripts
from treadle_sandbox.modal.process import Ended
from treadle_sandbox.records import FileEntry

_LISTING_MOST = 50_000_000


class Runner(Protocol):
    """Runs one of our scripts in the sandbox."""

    def __call__(
        self, script: str, *words: str, stdin: bytes = b"", output_limit: int = 0
    ) -> Awaitable[Ended]:
        """Return how it ended."""
        ...


class Files:
    """The file calls of a lease."""

    def __init__(self, run: Runner, workdir: Callable[[], str]) -> None:
        self._run = run
        self._workdir = workdir

    def resolve(self, path: str) -> str:
        """Return the absolute path in the sandbox.

        Raises:
            InvalidCommandError: a NUL character.
        """
        if "\0" in path:
            raise InvalidCommandError(f"a path can't hold a NUL character: {path!r}")
        return posixpath.join(self._workdir(), path)

    async def _on(
        self, path: str, script: str, *words: str, stdin: bytes = b"", output_limit: int = 0
    ) -> Ended:
        place = self.resolve(path)
        try:
            place.encode()
            first = [place]
        except UnicodeEncodeError:
            first = ["-e", "".join(f"\\{byte:03o}" for byte in os.fsencode(place))]
        text = scripts.NAME + script
        return await self._run(text, *first, *words, stdin=stdin, output_limit=output_limit)

    async def read(self, path: str, limit: int) -> bytes:
        """See `treadle_sandbox.Lease.read_file`."""
        ended = await self._on(path, scripts.READ, str(limit), output_limit=limit + 1)
        _raise_for(ended, path, limit)
        data = ended.stdout.value()
        if len(data) > limit:
            raise _error(scripts.TOO_LARGE, path, limit)
        return data

    async def write(self, path: str, data: bytes, *, executable: bool) -> None:
        """See `treadle_sandbox.Lease.write_file`."""
        mode = "755" if executable else "644"
        ended = await self._on(path, scripts.WRITE, mode, stdin=bytes(data))
        _raise_for(ended, path, 0)

    async def list(self, path: str) -> tuple[FileEntry, ...]:
        """See `treadle_sandbox.Lease.list_files`."""
        ended = await self._on(path, scripts.LIST, output_limit=_LISTING_MOST)
        _raise_for(ended, path, 0)
        entries: list[FileEntry] = []
        for row in ended.stdout.value().split(b"\0")[:-1]:
            mode, size, name = row.split(b" ", 2)
            entries.append(
                FileEntry(
                    path=os.fsdecode(name[2:]),
                    size=int(size),
                    executable=bool(int(mode, 8) & 0o100),
                )
            )
        return tuple(sorted(entries, key=lambda entry: entry.path))

    async def archive(self, path: str, limit: int) -> bytes:
        """See `treadle_sandbox.Lease.archive`."""
        ended = await self._on(path, scripts.ARCHIVE, output_limit=limit)
        _raise_for(ended, path, limit)
        if ended.stdout.truncated:
            raise _error(scripts.TOO_LARGE, path, limit)
        return archives.without_owners(ended.stdout.value())

    async def extract(self, data: bytes, path: str) -> int:
        """See `treadle_sandbox.Lease.extract`."""
        checked = archives.check(data)
        ended = await self._on(path, scripts.EXTRACT, stdin=checked.data)
        _raise_for(ended, path, 0)
        return checked.files


def _raise_for(ended: Ended, path: str, limit: int) -> None:
    if ended.timed_out:
        raise SlotFileError(errno.ETIMEDOUT, "the sandbox took too long", path)
    if ended.code:
        raise _error(ended.code, path, limit, ended.stderr.value().decode(errors="replace"))


def _error(code: int, path: str, limit: int, said: str = "") -> SandboxError:
    if code == scripts.MISSING:
        return SlotFileNotFoundError(errno.ENOENT, "no such file in the slot", path)
    if code == scripts.IRREGULAR:
        return NotRegularFileError(errno.EINVAL, "not a regular file", path)
    if code == scripts.TOO_LARGE:
        return FileTooLargeError(errno.EFBIG, f"more than the limit of {limit}", path)
    reason = said.strip().splitlines()[-1:] or [f"the sandbox refused it with code {code}"]
    return SlotFileError(errno.EIO, reason[0], path)
