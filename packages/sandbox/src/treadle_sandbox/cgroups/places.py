"""Where the group of this process lies in each mounted hierarchy.

Pure text in, places out: the rows of /proc/self/mountinfo and /proc/self/cgroup, see proc(5) and
cgroups(7). A hierarchy whose mount doesn't show the process's own group is left out: nothing may be
made outside of it.
"""

from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from treadle_sandbox.cgroups.base import Controller

_ESCAPES = (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\"))
_USEFUL = frozenset({*(str(name) for name in Controller), "freezer"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """The process's own group in one hierarchy."""

    folder: Path
    unified: bool
    """Whether this is the one hierarchy of version 2."""
    controllers: frozenset[str]
    """Controllers that are bound to it; empty for version 2, which lists them in a file."""


def find_places(mounts: str, groups: str) -> tuple[Place, ...]:
    """Return the places named by a mountinfo text and a cgroup text."""
    own: dict[str, str] = {}
    for line in groups.splitlines():
        _, names, path = line.split(":", 2)
        own.update(dict.fromkeys(names.split(","), path))
    found: dict[Path, Place] = {}
    for line in mounts.splitlines():
        before, _, after = line.partition(" - ")
        fields, kind, options = before.split(" "), after.split(" ")[0], after.split(" ")[2:]
        if kind not in ("cgroup", "cgroup2"):
            continue
        bound = frozenset(",".join(options).split(",")) & own.keys() & _USEFUL
        path = own.get("" if kind == "cgroup2" else min(bound, default="?"))
        folder = None if path is None else _resolve(_plain(fields[3]), _plain(fields[4]), path)
        if folder is None:
            continue
        place = Place(folder=folder, unified=kind == "cgroup2", controllers=bound)
        found.setdefault(folder, place)
    return tuple(found.values())


def _plain(text: str) -> str:
    for code, character in _ESCAPES:
        text = text.replace(code, character)
    return text


def _resolve(root: str, target: str, path: str) -> Path | None:
    """Return where a group lies below a mount that shows the hierarchy from `root` on."""
    if ".." in PurePosixPath(path).parts:
        return None
    try:
        below = PurePosixPath(path).relative_to(root)
    except ValueError:
        return None
    return Path(target) / below
