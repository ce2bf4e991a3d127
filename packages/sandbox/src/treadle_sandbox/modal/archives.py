"""Tar archives on their way into and out of a sandbox: read whole, checked, and written anew.

What goes in holds regular files, folders and links that stay below the folder, with plain modes and
no owners; anything else is refused before the sandbox sees a byte.
"""

import io
import posixpath
import tarfile
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass

from treadle_sandbox.errors import ArchiveError

_SIZE_MOST = 2_000_000_000
_FILES_MOST = 100_000
_NAME_MOST, _PATH_MOST = 255, 4_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """An archive that may be unpacked."""

    data: bytes
    files: int


def check(data: bytes) -> Checked:
    """Return an archive's content as a plain tar archive.

    Raises:
        ArchiveError: broken, too large, or it holds devices or names that lead outside.
    """
    out = io.BytesIO()
    files, size = 0, 0
    links: set[str] = set()
    with _reading(data) as source, tarfile.open(fileobj=out, mode="w") as target:
        for member in source:
            name = _inside(member.name, member.name)
            size += member.size
            files += member.isreg()
            if size > _SIZE_MOST or files > _FILES_MOST:
                raise ArchiveError(f"the archive unpacks to more than {_SIZE_MOST} bytes")
            if _passes(name, links):
                raise ArchiveError(f"{member.name!r} lies behind a link of the archive")
            if member.issym() or member.islnk():
                links.add(name)
                base = posixpath.dirname(name) if member.issym() else ""
                _inside(posixpath.join(base, member.linkname), member.name)
            _add(target, source, member, name)
    return Checked(data=out.getvalue(), files=files)


def without_owners(data: bytes) -> bytes:
    """Return an archive of a sandbox without its owners."""
    out = io.BytesIO()
    with _reading(data) as source, tarfile.open(fileobj=out, mode="w") as target:
        for member in source:
            name = posixpath.normpath(member.name)
            if name != "." and (member.isreg() or member.isdir() or member.issym()):
                _add(target, source, member, name)
    return out.getvalue()


def _add(
    target: tarfile.TarFile, source: tarfile.TarFile, member: tarfile.TarInfo, name: str
) -> None:
    copy = tarfile.TarInfo(name)
    copy.mode, copy.mtime = member.mode & 0o755, member.mtime
    if member.isreg():
        copy.size = member.size
        target.addfile(copy, source.extractfile(member))
    elif member.isdir():
        copy.type = tarfile.DIRTYPE
        target.addfile(copy)
    elif member.issym() or member.islnk():
        copy.type, copy.linkname = member.type, member.linkname
        target.addfile(copy)
    else:
        raise ArchiveError(f"{member.name!r} is a device or a pipe; only files are unpacked")


def _inside(path: str, shown: str) -> str:
    clean = posixpath.normpath(path)
    if not path or path.startswith("/") or clean.split("/")[0] == ".." or "\0" in path:
        raise ArchiveError(f"{shown!r} leads out of the folder; nothing was unpacked")
    if len(path.encode(errors="surrogateescape")) >= _PATH_MOST or any(
        len(part.encode(errors="surrogateescape")) > _NAME_MOST for part in path.split("/")
    ):
        raise ArchiveError(f"{shown[:60]!r}... is longer than a path can be; nothing was unpacked")
    if ".." in path.split("/"):
        raise ArchiveError(f"{shown!r} holds '..'; nothing was unpacked")
    return clean


def _passes(name: str, links: set[str]) -> bool:
    parts = name.split("/")
    return any("/".join(parts[:count]) in links for count in range(1, len(parts) + 1))


@contextmanager
def _reading(data: bytes) -> Generator[tarfile.TarFile]:
    try:
        with tarfile.open(fileobj=io.BytesIO(data), mode="r:*") as archive:
            yield archive
    except (tarfile.TarError, EOFError, OSError, ValueError) as error:
        if isinstance(error, ArchiveError):
            raise
        raise ArchiveError(f"not a tar archive that can be read: {error}") from error
