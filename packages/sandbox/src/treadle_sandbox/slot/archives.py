"""Tar archives of a slot's files, made and unpacked without trusting either.

Names of an archive are checked before the first file is written, then walked from the folder's own
descriptor: no link, planted before or brought along, leads out of it. Devices, pipes, absolute
names and links, `..`, and archives that unpack to more than the bound are refused; owners and
special mode bits are dropped.
"""

# pathlib would double the start-up time of a slot.

import os
import stat
from typing import Any

from treadle_sandbox.slot import files, frames

_FILES_MOST = 200_000
_DEPTH_MOST = 100
_NAME_MOST, _PATH_MOST = 255, 4000
_PIECE = 1 << 20
_GZIP = b"\x1f\x8b"


def preload() -> None:
    """Import what the other functions need."""
    import gzip
    import tarfile

    del gzip, tarfile


class _Counted:
    """A file object that refuses to pass more than so many bytes."""

    def __init__(self, file: Any, limit: int, error: int) -> None:
        self._file, self._left, self._error = file, limit, error

    def _count(self, size: int) -> None:
        self._left -= size
        if self._left < 0:
            raise files.Refused(self._error, "larger than the limit")

    def write(self, data: bytes) -> int:
        """Write all of it."""
        self._count(len(data))
        left = memoryview(data)
        while left:
            left = left[os.write(self._file, left) :]
        return len(data)

    def read(self, size: int) -> bytes:
        """Read up to `size` bytes."""
        data = self._file.read(size)
        self._count(len(data))
        return data


class _Exact:
    """A file that has exactly as many bytes as it had when it was looked at."""

    def __init__(self, descriptor: int, size: int) -> None:
        self._descriptor, self._left = descriptor, size

    def read(self, size: int) -> bytes:
        """Read, with zero bytes for what is missing."""
        size = min(size, self._left)
        data = os.read(self._descriptor, size) if size else b""
        if size and not data:
            data = b"\0" * size
        self._left -= len(data)
        return data.ljust(size, b"\0") if self._left == 0 else self._fill(data, size)

    def _fill(self, data: bytes, size: int) -> bytes:
        while len(data) < size:
            piece = os.read(self._descriptor, size - len(data)) or b"\0" * (size - len(data))
            self._left -= len(piece)
            data += piece
        return data


def pack(root: str, path: str, output: int, limit: int) -> int:
    """Write an archive of a file or folder to a descriptor; return the number of files."""
    import tarfile

    sink = _Counted(output, limit, frames.TOO_LARGE)
    with tarfile.open(fileobj=sink, mode="w|", format=tarfile.PAX_FORMAT) as archive:  # type: ignore[call-overload]
        walk = files.Walk(root)
        try:
            walk.go(path)
            found = os.stat(walk.name, dir_fd=walk.folder, follow_symlinks=False)
            if not stat.S_ISDIR(found.st_mode):
                return int(_add(archive, walk.folder, walk.name, walk.name))
            top = os.open(walk.name, files.WALK, dir_fd=walk.folder)
        finally:
            walk.close()
        return _add_below(archive, top, "", 0)


def _add_below(archive: Any, folder: int, prefix: str, depth: int) -> int:
    count = 0
    try:
        if depth > _DEPTH_MOST:
            raise files.Refused(frames.TOO_LARGE, "folders nest too deep")
        for name in sorted(os.listdir(folder)):
            try:
                count += _add(archive, folder, name, prefix + name)
            except FileNotFoundError:
                continue
            if stat.S_ISDIR(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
                below = os.open(name, files.WALK, dir_fd=folder)
                count += _add_below(archive, below, f"{prefix}{name}/", depth + 1)
    finally:
        os.close(folder)
    return count


def _add(archive: Any, folder: int, name: str, path: str) -> bool:
    """Add one entry; return whether it is a file. Pipes, sockets and devices are left out."""
    import tarfile

    found = os.stat(name, dir_fd=folder, follow_symlinks=False)
    info = tarfile.TarInfo(path)
    info.mode, info.mtime = found.st_mode & 0o777, int(found.st_mtime)
    if stat.S_ISDIR(found.st_mode):
        info.type = tarfile.DIRTYPE
    elif stat.S_ISLNK(found.st_mode):
        info.type, info.linkname = tarfile.SYMTYPE, os.readlink(name, dir_fd=folder)
    elif not stat.S_ISREG(found.st_mode):
        return False
    if info.type != tarfile.REGTYPE:
        archive.addfile(info)
        return False
    descriptor = os.open(name, os.O_RDONLY | files.PLAIN, dir_fd=folder)
    try:
        info.size = files.check_regular(descriptor)
        archive.addfile(info, _Exact(descriptor, info.size))
    finally:
        os.close(descriptor)
    return True


def unpack(root: str, path: str, data: bytes, limit: int) -> int:
    """Unpack an archive below a folder, which is made; return the number of files."""
    import tarfile
    import zlib

    try:
        for entries, info in enumerate(_open(data, limit)):
            _check(info, entries)
        top = files.open_folder(root, path, make=True)
        try:
            with _open(data, limit) as archive:
                return sum(_place(archive, info, top) for info in archive)
        finally:
            os.close(top)
    except (tarfile.TarError, EOFError, zlib.error, ValueError, OverflowError) as error:
        raise files.Refused(frames.BAD_ARCHIVE, str(error)) from None
    except OSError as error:
        if isinstance(error, files.Refused) or error.errno is not None:
            raise
        raise files.Refused(frames.BAD_ARCHIVE, str(error)) from None


def _open(data: bytes, limit: int) -> Any:
    import gzip
    import io
    import tarfile

    plain: Any = io.BytesIO(data)
    if data[:2] == _GZIP:
        plain = gzip.GzipFile(fileobj=plain)
    counted = _Counted(plain, limit, frames.BAD_ARCHIVE)
    return tarfile.open(fileobj=counted, mode="r|")  # type: ignore[call-overload]


def _check(info: Any, entries: int) -> None:
    """Raise Refused for an entry that isn't harmless."""
    parts = _split(info.name)
    allowed = info.isreg() or info.isdir() or info.issym() or info.islnk()
    if not allowed or info.issparse():
        raise files.Refused(frames.BAD_ARCHIVE, "holds a device, pipe or sparse file")
    if entries > _FILES_MOST:
        raise files.Refused(frames.BAD_ARCHIVE, "holds too many entries")
    if not parts and not info.isdir():
        raise files.Refused(frames.BAD_ARCHIVE, "holds a file without a name")
    if info.issym():
        _split_link(info.linkname, parts[:-1])
    elif info.islnk():
        _split(info.linkname)


def _split(name: str) -> "list[str]":
    parts = [part for part in name.split("/") if part not in ("", ".")]
    long = len(name) > _PATH_MOST or any(len(os.fsencode(part)) > _NAME_MOST for part in parts)
    if name.startswith("/") or ".." in parts or "\0" in name or long or len(parts) > _DEPTH_MOST:
        raise files.Refused(frames.BAD_ARCHIVE, "holds a name that leads outside")
    return parts


def _split_link(target: str, folder: "list[str]") -> None:
    depth = len(folder)
    for part in target.split("/"):
        depth += {"": 0, ".": 0, "..": -1}.get(part, 1)
        if depth < 0:
            break
    if depth < 0 or not target or target.startswith("/") or "\0" in target:
        raise files.Refused(frames.BAD_ARCHIVE, "holds a link that leads outside")


def _place(archive: Any, info: Any, top: int) -> bool:
    """Write one entry; return whether it is a file."""
    parts = _split(info.name)
    walk = files.Walk("", top)
    try:
        if info.isdir():
            walk.enter("/".join(parts), make=True)
            return False
        walk.enter("/".join(parts[:-1]), make=True)
        _remove(walk.folder, parts[-1])
        if info.issym():
            os.symlink(info.linkname, parts[-1], dir_fd=walk.folder)
            return False
        if info.islnk():
            _link(top, info.linkname, walk.folder, parts[-1])
        else:
            _write(archive.extractfile(info), walk.folder, parts[-1], info.mode)
    finally:
        walk.close()
    return True


def _remove(folder: int, name: str) -> None:
    try:
        os.unlink(name, dir_fd=folder)
    except FileNotFoundError:
        return


def _link(top: int, target: str, folder: int, name: str) -> None:
    """Make a hard link to a file that the archive or the folder holds."""
    walk = files.Walk("", top)
    try:
        walk.go("/".join(_split(target)))
        os.link(walk.name, name, src_dir_fd=walk.folder, dst_dir_fd=folder, follow_symlinks=False)
    finally:
        walk.close()


def _write(source: Any, folder: int, name: str, mode: int) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | files.PLAIN
    descriptor = os.open(name, flags, 0o600, dir_fd=folder)
    try:
        while piece := source.read(_PIECE):
            left = memoryview(piece)
            while left:
                left = left[os.write(descriptor, left) :]
        os.fchmod(descriptor, (mode & 0o755) | 0o600)
    finally:
        os.close(descriptor)
