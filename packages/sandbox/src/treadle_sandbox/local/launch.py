"""How a slot's first process is started at each isolation level, and the check that it holds.

As root, a slot is built with root's rights and then becomes a host user of its own; where root may
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
from treadle_sandbox.local.root import WORKDIR, Interpreter, Root
from treadle_sandbox.network import PROXY_PORT
from treadle_sandbox.records import Isolation, Limits

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
    """Path of `bwrap` or `unshare`; empty at the `process` level."""
    privileged: bool
    """Whether root's own rights build the slot."""
    separate_user: bool
    """Whether each slot gets a host user id of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """What all slots of a backend share."""

    interpreter: Interpreter
    root: Root
    limits: Limits
    network: bool


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
    program = "bwrap" if isolation is Isolation.BUBBLEWRAP else "unshare"
    tool = shutil.which(program)
    if tool is None:
        raise SlotStartError(f"no program {program!r} on PATH")
    as_root = os.geteuid() == 0
    if as_root:
        yield Method(isolation=isolation, tool=tool, privileged=True, separate_user=True)
    yield Method(isolation=isolation, tool=tool, privileged=False, separate_user=as_root)


def plan_launch(method: Method, site: Site, *, host_id: int, folder: Path | None) -> Launch:
    """Plan the start of one slot; `folder` is its folder on the host at the `process` level."""
    program = (site.interpreter.executable, "-I", "-S", "-B", "-c", BOOTSTRAP)
    outer: tuple[str, ...] = ()
    if method.isolation is Isolation.BUBBLEWRAP:
        outer = (*_bubblewrap(method, site), "--")
    elif method.isolation is Isolation.NAMESPACES:
        outer = (*_unshare(method, site), "--")
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
            "new_user": method.privileged or method.isolation is Isolation.NAMESPACES,
        },
    )


def _unshare(method: Method, site: Site) -> Iterator[str]:
    yield method.tool
    if not method.privileged:
        yield from ("--user", "--map-root-user")
    yield from ("--mount", "--pid", "--ipc", "--uts", "--cgroup")
    if not site.network:
        yield "--net"
    yield from ("--fork", "--kill-child=SIGKILL")


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
    wrong = [
        f"{key} is {facts.get(key)}" for key, value in expected.items() if facts.get(key) != value
    ]
    for name in (*_NAMESPACES, *(() if site.network else ("net",))):
        if facts.get(f"ns_{name}", "") in ("", str(Path(f"/proc/self/ns/{name}").readlink())):
            wrong.append(f"the {name} namespace is the host's")
    strange = set(facts.get("root", "?").split()) - site.root.top()
    if strange:
        wrong.append(f"the root shows {', '.join(sorted(strange))}")
    if wrong:
        raise SlotStartError(
            f"the slot isn't isolated as asked ({method.isolation}): {'; '.join(wrong)}"
        )
