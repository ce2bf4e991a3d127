"""Files of a slot, opened so that no planted link, pipe or device can lead or hold us elsewhere.

A path is walked one component at a time from the slot's root, by directory descriptors and without
following links in the kernel: links are read and resolved here, below the same root, so a link
swapped in the middle of a walk has no effect and the magic links of /proc are never taken. Only
regular files are read or written, and nothing in /proc.
"""

# pathlib would double the start-up time of a slot.
# ruff: noqa: PTH106, PTH112, PTH116

import os
import stat

from treadle_sandbox.slot import frames

WALK = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
PLAIN = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY
_LINKS_MOST = 40
_LIST_MOST = 100_000
_DEPTH_MOST = 100


class Refused(OSError):
    """A path that this module doesn't serve; `errno` is an errno or one of `frames`."""


class Walk:
    """A position in the tree below a root, held as open descriptors."""

    def __init__(self, root: str, top: "int | None" = None) -> None:
        """Begin at `root`, or at an open folder that links of `root` can't name."""
        self._root = root
        self._open = [os.open(root, os.O_RDONLY | os.O_DIRECTORY) if top is None else os.dup(top)]
        self._links = 0
        self.name = ""

    def close(self) -> None:
        """Close every descriptor."""
        while self._open:
            os.close(self._open.pop())

    @property
    def folder(self) -> int:
        """Descriptor of the folder that holds `name`."""
        return self._open[-1]

    def go(self, path: str, *, make: bool = False) -> None:
        """Walk to the folder of `path` and set `name`, which is no link then; make folders on
        request.
        """
        left = self._split(path)
        self.name = "."
        while left:
            part = left.pop()
            if part == "..":
                if len(self._open) > 1:
                    os.close(self._open.pop())
                continue
            target = self._read_link(part)
            if target is not None:
                left += self._split(target)
            elif left:
                self._enter(part, make=make)
            else:
                self.name = part

    def enter(self, path: str, *, make: bool = False) -> None:
        """Walk into the folder of `path` itself."""
        self.go(path, make=make)
        if self.name != ".":
            self._enter(self.name, make=make)

    def _split(self, path: str) -> "list[str]":
        if path.startswith("/"):
            path = self._below_root(path)
            while len(self._open) > 1:
                os.close(self._open.pop())
        return [part for part in reversed(path.split("/")) if part not in ("", ".")]

    def _below_root(self, path: str) -> str:
        if self._root == "/":
            return path
        if path == self._root or path.startswith(f"{self._root}/"):
            return path[len(self._root) :].lstrip("/")
        raise Refused(frames.OUTSIDE, "leads out of the slot")

    def _read_link(self, part: str) -> "str | None":
        try:
            target = os.readlink(part, dir_fd=self.folder)
        except OSError:
            return None
        self._links += 1
        if self._links > _LINKS_MOST:
            raise Refused(frames.OUTSIDE, "too many links")
        return target

    def _enter(self, part: str, *, make: bool) -> None:
        try:
            descriptor = os.open(part, WALK, dir_fd=self.folder)
        except FileNotFoundError:
            if not make:
                raise
            os.mkdir(part, 0o755, dir_fd=self.folder)
            descriptor = os.open(part, WALK, dir_fd=self.folder)
        self._open.append(descriptor)


def check_regular(descriptor: int) -> int:
    """Return the size of a regular file; raise Refused for anything else."""
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode):
        raise Refused(frames.NOT_REGULAR, "not a regular file")
    if os.path.isdir("/proc/self") and found.st_dev == os.stat("/proc").st_dev:
        raise Refused(frames.NOT_REGULAR, "a file of /proc")
    return found.st_size


def _open_plain(walk: Walk, flags: int, mode: int = 0o644) -> int:
    try:
        return os.open(walk.name, flags | PLAIN, mode, dir_fd=walk.folder)
    except IsADirectoryError:
        raise Refused(frames.NOT_REGULAR, "a folder") from None
    except OSError as error:
        if error.errno in (6, 19):
            raise Refused(frames.NOT_REGULAR, "a pipe, socket or device") from None
        raise


def open_folder(root: str, path: str, *, make: bool = False) -> int:
    """Return a descriptor of a folder of the slot."""
    walk = Walk(root)
    try:
        walk.enter(path, make=make)
        return os.dup(walk.folder)
    finally:
        walk.close()


def read(root: str, path: str, limit: int) -> bytes:
    """Return a regular file's bytes, at most `limit`."""
    walk = Walk(root)
    try:
        walk.go(path)
        descriptor = _open_plain(walk, os.O_RDONLY)
        try:
            if check_regular(descriptor) > limit:
                raise Refused(frames.TOO_LARGE, "larger than the limit")
            data = bytearray()
            while len(data) <= limit:
                piece = os.read(descriptor, min(1 << 20, limit + 1 - len(data)))
                if not piece:
                    return bytes(data)
                data += piece
            raise Refused(frames.TOO_LARGE, "larger than the limit")
        finally:
            os.close(descriptor)
    finally:
        walk.close()


def write(root: str, path: str, data: bytes, mode: int) -> None:
    """Replace a regular file's content; folders on the way are made."""
    walk = Walk(root)
    try:
        walk.go(path, make=True)
        descriptor = _open_plain(walk, os.O_WRONLY | os.O_CREAT, mode)
        try:
            check_regular(descriptor)
            os.ftruncate(descriptor, 0)
            left = memoryview(data)
            while left:
                left = left[os.write(descriptor, left) :]
            os.fchmod(descriptor, mode)
        finally:
            os.close(descriptor)
    finally:
        walk.close()


def list_below(root: str, path: str) -> bytes:
    """Return `MODE SIZE PATH` and a NUL byte for each regular file below a folder; links aren't
    followed.
    """
    walk = Walk(root)
    try:
        walk.go(path)
        top = os.open(walk.name, WALK, dir_fd=walk.folder)
    finally:
        walk.close()
    rows: list[bytes] = []
    _list_into(rows, top, b"", 0)
    return b"".join(rows)


def _list_into(rows: "list[bytes]", folder: int, prefix: bytes, depth: int) -> None:
    try:
        if depth > _DEPTH_MOST:
            raise Refused(frames.TOO_LARGE, "folders nest too deep")
        for name in sorted(os.listdir(folder)):
            found = os.stat(name, dir_fd=folder, follow_symlinks=False)
            path = prefix + os.fsencode(name)
            if stat.S_ISREG(found.st_mode):
                rows.append(b"%o %d %s\0" % (found.st_mode & 0o777, found.st_size, path))
                if len(rows) > _LIST_MOST:
                    raise Refused(frames.TOO_LARGE, "too many files")
            elif stat.S_ISDIR(found.st_mode):
                below = os.open(name, WALK, dir_fd=folder)
                _list_into(rows, below, path + b"/", depth + 1)
    finally:
        os.close(folder)


def remove_tree(path: str) -> None:
    """Delete a folder and all below it; links are removed, never followed; modes don't protect
    anything.

    One descriptor at a time, so that no depth exhausts it. Nothing else may be writing below the
    folder.
    """
    try:
        folder = os.open(path, WALK)
    except FileNotFoundError:
        return
    names: list[str] = []
    try:
        while True:
            below = _remove_files(folder)
            if below is not None:
                names.append(below)
                folder = _change(folder, _open_for_removal(below, folder))
            elif names:
                folder = _change(folder, os.open("..", WALK, dir_fd=folder))
                os.rmdir(names.pop(), dir_fd=folder)
            else:
                break
    finally:
        os.close(folder)
    os.rmdir(path)


def _change(old: int, new: int) -> int:
    os.close(old)
    return new


def _remove_files(folder: int) -> "str | None":
    """Unlink what is no folder; return the name of one folder below, if there is any."""
    os.fchmod(folder, 0o700)
    below = None
    for name in os.listdir(folder):
        if stat.S_ISDIR(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
            below = name
        else:
            os.unlink(name, dir_fd=folder)
    return below


def _open_for_removal(name: str, folder: int) -> int:
    try:
        return os.open(name, WALK, dir_fd=folder)
    except PermissionError:
        os.chmod(name, 0o700, dir_fd=folder)
        return os.open(name, WALK, dir_fd=folder)
