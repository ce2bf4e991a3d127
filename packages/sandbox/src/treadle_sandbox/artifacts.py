"""Files of a slot as the earlier system's artifact calls gave them."""

import asyncio
import base64
import gzip
import hashlib
import io
import mimetypes
import tarfile
from dataclasses import dataclass

from treadle_sandbox import errors
from treadle_sandbox.backend import Lease

MAX_BYTES = 5_000_000
MAX_ENTRIES = 5_000
_READ_MOST = 64_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class ArtifactContent:
    """A file, or its beginning."""

    path: str
    content: str
    encoding: str
    """`text` (UTF-8, with replacement) or `base64`."""
    truncated: bool
    bytes: int
    """How many of the file's bytes `content` stands for."""
    file_size: int
    mime: str
    sha256: str
    """Of the whole file; empty when not asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ArtifactEntry:
    """A file or a folder that holds files."""

    path: str
    """Relative to the folder that was listed."""
    is_dir: bool
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ArtifactList:
    """What is below a folder."""

    entries: tuple[ArtifactEntry, ...]
    truncated: bool
    """Whether there are more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ArtifactArchive:
    """A folder in one piece."""

    content: str
    """A `tar.gz` in base64."""
    format: str
    bytes: int
    """Size of the `tar.gz`."""
    entry_count: int
    """Files in it."""


async def read_artifact(
    lease: Lease, path: str, *, encoding: str, max_bytes: int, include_sha256: bool
) -> ArtifactContent:
    """Return the first `max_bytes` of a file. Raises as `Lease.read_file`."""
    if encoding not in ("text", "base64"):
        raise errors.InvalidCommandError(f"encoding is {encoding!r}: give text or base64")
    data = await lease.read_file(path, limit=_READ_MOST)
    part = data[:max_bytes]
    text = part.decode(errors="replace") if encoding == "text" else _encode(part)
    return ArtifactContent(
        path=path,
        content=text,
        encoding=encoding,
        truncated=len(part) < len(data),
        bytes=len(part),
        file_size=len(data),
        mime=mimetypes.guess_type(path)[0] or "application/octet-stream",
        sha256=hashlib.sha256(data).hexdigest() if include_sha256 else "",
    )


async def list_artifacts(
    lease: Lease, path: str, *, recursive: bool, max_entries: int
) -> ArtifactList:
    """Return files and the folders that hold them, sorted by path."""
    entries: dict[str, ArtifactEntry] = {}
    for file in await lease.list_files(path):
        parts = file.path.split("/")
        for depth in range(1, len(parts)):
            folder = "/".join(parts[:depth])
            entries[folder] = ArtifactEntry(path=folder, is_dir=True, size=0)
        entries[file.path] = ArtifactEntry(path=file.path, is_dir=False, size=file.size)
    kept = [entries[name] for name in sorted(entries) if recursive or "/" not in name]
    return ArtifactList(entries=tuple(kept[:max_entries]), truncated=len(kept) > max_entries)


async def archive_artifacts(lease: Lease, path: str, *, max_bytes: int) -> ArtifactArchive:
    """Return a folder as a `tar.gz`. Raises FileTooLargeError above `max_bytes` unpacked."""
    data = await lease.archive(path, limit=max_bytes)
    packed = await asyncio.to_thread(gzip.compress, data, 6, mtime=0)
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        count = sum(member.isfile() for member in archive)
    return ArtifactArchive(
        content=_encode(packed), format="tar.gz", bytes=len(packed), entry_count=count
    )


def _encode(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
