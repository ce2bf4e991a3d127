"""The minimal root file system of a namespaced slot, as a plan.

System folders and the Python installation are bound read-only at their own paths; /etc holds a few
harmless files; home folders, other slots and everything else of the host are absent. The plan is
made once a backend.
"""

import os
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

WORKDIR = "/workspace"
PROGRAMS = "/run/treadle/bin"
PATH = f"{PROGRAMS}:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"
SKELETON = "/sys/skeleton"
"""Where a keeper has a copy of the files of /etc."""

_MERGED = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")
_STORES = ("/nix/store", "/gnu/store")
_ETC = (
    *("alternatives", "ca-certificates", "crypto-policies", "localtime", "mime.types", "protocols"),
    *("ld.so.cache", "ld.so.conf", "ld.so.conf.d", "pki/tls/certs", "pki/ca-trust", "services"),
    *("ssl/certs", "ssl/openssl.cnf", "terminfo"),
)
_ACCOUNTS = """\
root:x:0:0:root:/nonexistent:/usr/sbin/nologin
sandbox:x:1000:1000:sandbox:/workspace:/bin/sh
verifier:x:1001:1001:verifier:/workspace:/bin/sh
nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin
"""
_GROUPS = "root:x:0:\nsandbox:x:1000:\nverifier:x:1001:\nnogroup:x:65534:\n"
_HOSTS = "127.0.0.1 localhost sandbox\n::1 localhost\n"
_NAME_SERVICES = "passwd: files\ngroup: files\nhosts: files dns\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Interpreter:
    """The Python that serves the slot and that commands find as `python3`."""

    executable: str
    prefix: str

    @classmethod
    def find(cls, executable: Path | None) -> "Interpreter":
        """Return the given interpreter, or the one that runs this program, without its virtual
        environment.
        """
        own = str(getattr(sys, "_base_executable", "") or sys.executable)
        real = os.path.realpath(executable or own)
        prefix = sys.base_prefix if executable is None else str(Path(real).parent.parent)
        return cls(executable=real, prefix=os.path.realpath(prefix))


@dataclass(frozen=True, slots=True, kw_only=True)
class Root:
    """What the root holds, besides /proc, /dev, /tmp and the working directory."""

    binds: tuple[tuple[str, str], ...]
    """Host path and path in the slot, read-only, parents first."""
    links: tuple[tuple[str, str], ...]
    """Target and path of symbolic links."""
    files: tuple[tuple[str, bytes], ...]
    """Path and content of made-up files."""
    image: bool = False
    """Whether the whole root file system of this machine lies below it."""

    def parents(self) -> tuple[str, ...]:
        """Return the folders above all entries, outermost first; every user may pass them."""
        paths = [target for _, target in (*self.binds, *self.links)]
        paths += [path for path, _ in self.files]
        above = {str(parent) for path in paths for parent in Path(path).parents}
        inside = [target for _, target in self.binds]
        return tuple(sorted(parent for parent in above - {"/"} if not _is_within(parent, inside)))

    def top(self) -> frozenset[str]:
        """Return the names that may stand in `/`."""
        paths = [target for _, target in (*self.binds, *self.links)]
        paths += [path for path, _ in self.files]
        own = {"proc", "dev", "tmp", WORKDIR.strip("/")}
        return frozenset({path.split("/")[1] for path in paths} | own)


def plan_root(interpreter: Interpreter, read_only: Iterable[Path], *, network: bool) -> Root:
    """Plan the root for this machine."""
    binds = ["/usr"]
    links: list[tuple[str, str]] = []
    for name in _MERGED:
        folder = f"/{name}"
        if Path(folder).is_symlink():
            links.append((str(Path(folder).readlink()), folder))
        elif Path(folder).is_dir():
            binds.append(folder)
    binds += [store for store in _STORES if Path(store).is_dir()]
    binds += [f"/etc/{name}" for name in _ETC if Path(f"/etc/{name}").exists()]
    wanted = [interpreter.prefix, *(os.path.realpath(path) for path in read_only)]
    binds += [path for path in wanted if not _is_within(path, binds)]
    links += [(interpreter.executable, f"{PROGRAMS}/{name}") for name in ("python3", "python")]
    files = {
        "/etc/passwd": _ACCOUNTS,
        "/etc/group": _GROUPS,
        "/etc/hosts": _HOSTS,
        "/etc/nsswitch.conf": _NAME_SERVICES,
    }
    if network:
        files["/etc/resolv.conf"] = _read_text("/etc/resolv.conf")
    return Root(
        binds=tuple((os.path.realpath(path), path) for path in binds),
        links=tuple(links),
        files=tuple((path, text.encode()) for path, text in files.items()),
    )


def plan_image(*, network: bool) -> Root:
    """Plan a root that is this machine's own, which is meant to be a container, with our users.

    Mounts below its root, such as /proc or volumes, aren't part of it.
    """
    accounts = _add_lines(_read_text("/etc/passwd"), _ACCOUNTS)
    files = {
        "/etc/passwd": accounts,
        "/etc/group": _add_lines(_read_text("/etc/group"), _GROUPS),
        "/etc/hosts": _HOSTS,
    }
    if network:
        files["/etc/resolv.conf"] = _read_text("/etc/resolv.conf")
    rows = tuple((path, text.encode()) for path, text in files.items())
    return Root(binds=(), links=(), files=rows, image=True)


def _add_lines(text: str, ours: str) -> str:
    """Return account lines with ours in place of those that have our names or ids."""
    added = [line for line in ours.splitlines() if line.startswith(("sandbox:", "verifier:"))]
    taken = {line.split(":")[field] for line in added for field in (0, 2)}
    kept = [line for line in text.splitlines() if not taken & set(line.split(":")[:3:2])]
    return "\n".join([*kept, *added, ""])


def plan_trees(root: Root, *, allow_root: bool) -> tuple[tuple[str, str, str, int, int], ...]:
    """Return the writable folders of a slot: a name, the path, the host's folder below it or
    nothing, mode and owner; see `treadle_sandbox.slot.volume.Tree`.
    """
    if root.image:
        return (
            ("root", "/", "/", 0o755, 0),
            ("run", "/run", "", 0o755, 0),
            ("tmp", "/tmp", "", 0o1777, 0),
        )
    trees = [("workspace", WORKDIR, "", 0o700, 1000), ("tmp", "/tmp", "", 0o1777, 0)]
    if allow_root:
        bound = [target for _, target in root.binds]
        folders = [
            path for path in bound if path == "/usr" or not _is_within(path, ["/usr", "/etc"])
        ]
        folders = [path for path in folders if not path.startswith(_STORES) and Path(path).is_dir()]
        trees += [(path.strip("/").replace("/", "-"), path, path, 0o755, 0) for path in folders]
        trees += [(name, f"/{name}", "", 0o755, 0) for name in ("var", "opt", "root")]
        trees.append(("etc", "/etc", f"{SKELETON}/etc", 0o755, 0))
    return tuple(trees)


def _is_within(path: str, folders: list[str]) -> bool:
    return any(path == folder or path.startswith(f"{folder}/") for folder in folders)


def _read_text(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
