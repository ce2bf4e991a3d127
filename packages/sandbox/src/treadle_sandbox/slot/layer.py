"""Copying the files of a slot that goes on working, for a snapshot.

The copy is of the slot's own layer: with the marks by which an overlay knows deleted and replaced
folders, with holes, hard links, modes and times, and with owners moved to another id range. Every
step goes by descriptor and follows no link, so that what the slot changes meanwhile leads nowhere;
a file that is written during the copy may be kept half old, half new.
"""

# pathlib would double the start-up time of a slot.

import os
import stat

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_SOURCE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_TARGET = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_DEPTH_MOST = 200
_PIECE = 1 << 20
_MARKS = ("opaque", "redirect", "whiteout", "whiteouts")
_GONE = (2, 6, 20, 40)


class Copy:
    """One copy of a tree; `bytes` and `files` tell what was copied."""

    def __init__(self, target: str, *, shift: int) -> None:
        self._root = os.open(target, _FOLDER)
        self._shift = shift
        self._linked: dict[int, str] = {}
        self.bytes = 0
        self.files = 0

    def run(self, source: str) -> None:
        """Copy what is in the folder `source`.

        Raises: OSError: no room, or folders nest too deep.
        """
        below = os.open(source, _FOLDER)
        try:
            self._fill(below, self._root, "")
        finally:
            os.close(below)
            os.close(self._root)

    def _fill(self, source: int, target: int, path: str) -> None:
        if path.count("/") > _DEPTH_MOST:
            raise OSError(36, "folders nest too deep for a snapshot")
        for name in os.listdir(source):
            try:
                found = os.stat(name, dir_fd=source, follow_symlinks=False)
                self._copy(source, target, name, found, f"{path}{name}")
            except OSError as error:
                if error.errno not in _GONE:
                    raise

    def _copy(self, source: int, target: int, name: str, found: os.stat_result, path: str) -> None:
        kind = stat.S_IFMT(found.st_mode)
        if kind == stat.S_IFDIR:
            self._copy_folder(source, target, name, found, path)
        elif kind == stat.S_IFREG:
            if found.st_nlink > 1 and found.st_ino in self._linked:
                first = self._linked[found.st_ino]
                os.link(first, name, src_dir_fd=self._root, dst_dir_fd=target)
                return
            self._copy_file(source, target, name, found)
            self._linked[found.st_ino] = path
        elif kind == stat.S_IFLNK:
            os.symlink(os.readlink(name, dir_fd=source), name, dir_fd=target)
            self._own(target, name, found)
        elif kind == stat.S_IFIFO:
            os.mkfifo(name, 0o600, dir_fd=target)
            self._own(target, name, found)
            os.chmod(name, stat.S_IMODE(found.st_mode), dir_fd=target)
        elif kind == stat.S_IFCHR and found.st_rdev == 0:
            os.mknod(name, stat.S_IFCHR, 0, dir_fd=target)

    def _copy_folder(
        self, source: int, target: int, name: str, found: os.stat_result, path: str
    ) -> None:
        below = os.open(name, _FOLDER, dir_fd=source)
        try:
            os.mkdir(name, 0o700, dir_fd=target)
            copy = os.open(name, _FOLDER, dir_fd=target)
            try:
                _copy_marks(below, copy)
                self._fill(below, copy, f"{path}/")
                self._finish(copy, found)
            finally:
                os.close(copy)
        finally:
            os.close(below)

    def _copy_file(self, source: int, target: int, name: str, found: os.stat_result) -> None:
        original = os.open(name, _SOURCE, dir_fd=source)
        try:
            now = os.fstat(original)
            if not stat.S_ISREG(now.st_mode):
                return
            copy = os.open(name, _TARGET, 0o600, dir_fd=target)
            try:
                self._copy_bytes(original, copy, now.st_size)
                _copy_marks(original, copy)
                self._finish(copy, found)
            finally:
                os.close(copy)
        finally:
            os.close(original)
        self.files += 1
        self.bytes += now.st_size

    def _copy_bytes(self, source: int, target: int, size: int) -> None:
        """Copy the parts that hold data; holes stay holes."""
        place = 0
        while place < size:
            try:
                place = os.lseek(source, place, os.SEEK_DATA)
            except OSError:
                break
            end = min(os.lseek(source, place, os.SEEK_HOLE), size)
            while place < end:
                piece = os.pread(source, min(_PIECE, end - place), place)
                if not piece:
                    break
                place += os.pwrite(target, piece, place)
            else:
                continue
            break
        os.ftruncate(target, size)

    def _own(self, folder: int, name: str, found: os.stat_result) -> None:
        owner, group = self._owners(found)
        os.chown(name, owner, group, dir_fd=folder, follow_symlinks=False)

    def _owners(self, found: os.stat_result) -> "tuple[int, int]":
        return max(0, found.st_uid + self._shift), max(0, found.st_gid + self._shift)

    def _finish(self, copy: int, found: os.stat_result) -> None:
        os.fchown(copy, *self._owners(found))
        os.fchmod(copy, stat.S_IMODE(found.st_mode))
        os.utime(copy, ns=(found.st_atime_ns, found.st_mtime_ns))


def _copy_marks(source: int, copy: int) -> None:
    """Copy the attributes of users and those by which overlays mark folders."""
    for name in os.listxattr(source):
        space, _, rest = name.partition(".")
        mark = rest.removeprefix("overlay.")
        if (mark in _MARKS) if mark != rest else space == "user":
            os.setxattr(copy, name, os.getxattr(source, name))
