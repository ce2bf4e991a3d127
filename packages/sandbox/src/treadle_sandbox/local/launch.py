"""How slots are started at each isolation level, and the check that the level holds.

As root, a slot is built with root's rights and then becomes host users of its own; where root may
not do that, and for ordinary users, a user namespace gives the rights to build it. `verify`
compares what the slot reports with what the level promises, at every start: a slot that falls short
is refused.
"""

import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from treadle_sandbox.errors import SlotStartError
from treadle_sandbox.local.bundle import BOOTSTRAP
from treadle_sandbox.local.root import WORKDIR, Interpreter, Root, plan_trees
from treadle_sandbox.network import PROXY_PORT
from treadle_sandbox.records import Isolation, Limits
from treadle_sandbox.slot import grants

_INNER_ID = "1000"
_CLEAN_ENVIRONMENT = {"PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", "LANG": "C.UTF-8"}
_NO_CAPABILITY = "0000000000000000"
_NAMESPACES = ("user", "pid", "mnt", "ipc", "uts")
_KEPT_CAPABILITIES = ("CAP_SETUID", "CAP_SETGID", "CAP_CHOWN")


@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    """One way to build slots."""

    isolation: Isolation
    tool: str
    """Path of `bwrap`; empty at the other levels."""
    privileged: bool
    """Whether root's own rights build the slot."""
    rights: str = "single"
    """What a keeper works with: `root`, a `range` of ids in a user namespace, or a `single` one."""
    separate_user: bool
    """Whether each slot gets a host user id of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """What all slots of a backend share."""

    interpreter: Interpreter
    root: Root
    limits: Limits
    network: bool
    allow_root: bool = False
    snapshot_bytes: int = 0
    slots: int = 1
    hidden: tuple[str, ...] = ()
    """Paths that slots of a whole image don't have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """Everything needed to start one slot."""

    argv: tuple[str, ...]
    environment: Mapping[str, str]
    files: tuple[bytes, ...]
    """Contents that the argv names as descriptors `{0}`, `{1}`, ..."""
    user: int | None
    """Host user id to start as; `None` for the present one."""
    config: Mapping[str, Any]
    """For `treadle_sandbox.slot.main.run`."""


def list_methods(isolation: Isolation) -> Iterator[Method]:
    """Yield the ways of this machine to reach a level, the strongest first.

    Raises:
        SlotStartError: a program that the level needs isn't on PATH.
    """
    if isolation is Isolation.PROCESS:
        yield Method(isolation=isolation, tool="", privileged=False, separate_user=False)
        return
    as_root = os.geteuid() == 0
    if isolation is Isolation.NAMESPACES:
        if as_root:
            for kind in ("root", "range"):
                yield Method(
                    isolation=isolation,
                    tool="",
                    privileged=kind == "root",
                    separate_user=True,
                    rights=kind,
                )
        yield Method(isolation=isolation, tool="", privileged=False, separate_user=False)
        return
    tool = shutil.which("bwrap")
    if tool is None:
        raise SlotStartError("no program 'bwrap' on PATH")
    if as_root:
        yield Method(isolation=isolation, tool=tool, privileged=True, separate_user=True)
    yield Method(isolation=isolation, tool=tool, privileged=False, separate_user=as_root)


def plan_keeper(method: Method, site: Site, *, first_id: int) -> dict[str, Any]:
    """Return what a keeper has to know; see `treadle_sandbox.slot.keeper`."""
    trees = plan_trees(site.root, allow_root=site.allow_root)
    return {
        "rights": method.rights,
        "first_id": first_id,
        "ids": (site.slots + 1) * grants.RANGE,
        "root": "/",
        "image": site.root.image,
        "hidden": site.hidden,
        "workdir": WORKDIR,
        "binds": site.root.binds,
        "links": site.root.links,
        "files": site.root.files,
        "folders": () if site.root.image else tuple(row[1] for row in trees),
        "trees": trees,
        "inner": tuple(
            target for _, target in site.root.binds if _is_below(target, {row[1] for row in trees})
        ),
        "users": plan_users(method, site),
        "allow_root": site.allow_root,
        "network": site.network,
        "disk_bytes": site.limits.disk_bytes,
        "files_count": site.limits.disk_files,
        "snapshot_bytes": site.snapshot_bytes,
    }


def _is_below(path: str, trees: set[str]) -> bool:
    """Whether a bound path is inside a tree that isn't made from the host's folder."""
    return path not in trees and any(
        path.startswith(f"{tree}/") for tree in trees - {"/etc", "/usr"}
    )


def plan_users(method: Method, site: Site) -> dict[str, int]:
    """Return who commands of a kept slot may run as, with the ids that they see."""
    users = {"user": grants.USER}
    if method.rights != "single":
        users["verifier"] = grants.VERIFIER
        if site.allow_root:
            users["root"] = grants.ROOT
    return users


def plan_launch(method: Method, site: Site, *, host_id: int, folder: Path | None) -> Launch:
    """Plan the start of one slot; `folder` is its folder on the host at the `process` level."""
    program = (site.interpreter.executable, "-I", "-S", "-B", "-c", BOOTSTRAP)
    outer: tuple[str, ...] = ()
    if method.isolation is Isolation.BUBBLEWRAP:
        outer = (*_bubblewrap(method, site), "--")
    return Launch(
        argv=(*outer, *program),
        environment=_CLEAN_ENVIRONMENT,
        files=tuple(data for _, data in site.root.files)
        if method.isolation is Isolation.BUBBLEWRAP
        else (),
        user=host_id if method.separate_user and not method.privileged else None,
        config={
            "level": str(method.isolation),
            "root": str(folder) if folder else "/",
            "workdir": WORKDIR,
            "binds": site.root.binds,
            "links": site.root.links,
            "files": site.root.files,
            "disk_bytes": site.limits.disk_bytes,
            "files_count": site.limits.disk_files,
            "network": site.network,
            "way_out_port": PROXY_PORT,
            "host_id": host_id if method.privileged else 0,
            "new_user": method.privileged,
        },
    )


def _bubblewrap(method: Method, site: Site) -> Iterator[str]:
    yield from (method.tool, "--die-with-parent", "--as-pid-1", "--cap-drop", "ALL")
    if method.privileged:
        for capability in _KEPT_CAPABILITIES:
            yield from ("--cap-add", capability)
    else:
        yield from ("--unshare-user", "--uid", _INNER_ID, "--gid", _INNER_ID)
    yield from ("--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try")
    yield from ("--hostname", "sandbox")
    if not site.network:
        yield "--unshare-net"
    yield from ("--proc", "/proc", "--dev", "/dev")
    room = str(site.limits.disk_bytes)
    for target, mode in (("/dev/shm", "1777"), ("/tmp", "1777"), (WORKDIR, "0700")):
        yield from ("--perms", mode, "--size", room, "--tmpfs", target)
    for parent in site.root.parents():
        yield from ("--perms", "0755", "--dir", parent)
    for source, target in site.root.binds:
        yield from ("--ro-bind", source, target)
    for link, target in site.root.links:
        yield from ("--symlink", link, target)
    for place, (path, _) in enumerate(site.root.files):
        yield from ("--perms", "0444", "--ro-bind-data", f"{{{place}}}", path)
    yield from ("--remount-ro", "/dev", "--remount-ro", "/", "--chdir", "/")


def verify(report: bytes, method: Method, site: Site) -> None:
    """Check a slot's own report against its level.

    Raises:
        SlotStartError: something that the level promises doesn't hold.
    """
    if method.isolation is Isolation.PROCESS:
        return
    facts = dict(line.split("=", 1) for line in report.decode("utf-8", "replace").splitlines())
    expected = {"pid": "1", "uid": _INNER_ID, "gid": _INNER_ID, "NoNewPrivs": "1", "Seccomp": "2"}
    expected |= dict.fromkeys(("CapEff", "CapPrm", "CapInh", "CapAmb"), _NO_CAPABILITY)
    if method.isolation is Isolation.NAMESPACES and method.rights != "single":
        kept = f"{grants.mask(grants.kept(allow_root=site.allow_root)):016x}"
        expected |= {"CapEff": f"{grants.mask(grants.SERVING):016x}"}
        expected |= {"CapPrm": kept, "CapBnd": kept}
    wrong = [
        f"{key} is {facts.get(key)}" for key, value in expected.items() if facts.get(key) != value
    ]
    for name in (*_NAMESPACES, *(() if site.network else ("net",))):
        if facts.get(f"ns_{name}", "") in ("", str(Path(f"/proc/self/ns/{name}").readlink())):
            wrong.append(f"the {name} namespace is the host's")
    top = site.root.top() | {
        row[1].split("/")[1] for row in plan_trees(site.root, allow_root=site.allow_root)
    }
    strange = set(facts.get("root", "?").split()) - top
    if strange and not site.root.image:
        wrong.append(f"the root shows {', '.join(sorted(strange))}")
    if wrong:
        raise SlotStartError(
            f"the slot isn't isolated as asked ({method.isolation}): {'; '.join(wrong)}"
        )
