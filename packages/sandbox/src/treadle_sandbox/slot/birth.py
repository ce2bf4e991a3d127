"""How a slot comes to be, in the process that becomes its first.

A fork of the keeper makes the slot's volume and trees in the keeper's mount namespace, moves with
them into a copy of the template's, takes namespaces of its own for the rest, gives up every right
that built it, and serves. It holds no descriptor of the keeper then but its control socket.
"""

# pathlib would double the start-up time of a slot.
# ruff: noqa: PTH101, PTH102

import os
import signal
import socket
from typing import Any

from treadle_sandbox.slot import (
    confine,
    grants,
    linux,
    main,
    mounts,
    notes,
    rights,
    template,
    volume,
)
from treadle_sandbox.slot.layer import Copy

_SPACES = linux.CLONE_NEWNS | linux.CLONE_NEWIPC | linux.CLONE_NEWUTS | linux.CLONE_NEWCGROUP
_TERMINALS, _QUIET = ("nosuid", "noexec"), ("nosuid", "nodev", "noexec")
_FAILED, _NOT_EMPTY = 70, 71
_CONTROL, _DESCRIPTORS_MOST = 3, 1 << 20


def run(
    config: "dict[str, Any]", host: socket.socket, shared: int, descriptors: "list[int]"
) -> None:
    """Build the slot of `config` and serve it; never returns.

    The first descriptor is the slot's control socket. The others are `cgroup.procs` files, opened
    by the host: the slot joins each before it does anything else.
    """
    control, *groups = descriptors
    status = _FAILED
    try:
        for group in groups:
            os.write(group, b"0")
        main.prefer_as_victim()
        greeting = _build(config, host, shared)
        control = _keep_only(control)
        status = 0 if main.serve(control, config, greeting) else _NOT_EMPTY
    except OSError as error:
        notes.send(host, {"id": config["id"], "failure": str(error)[:2000]})
    finally:
        os._exit(status)


def _keep_only(control: int) -> int:
    """Close every other descriptor; return this one, above the standard three."""
    kept = os.dup2(control, _CONTROL, inheritable=False) if control != _CONTROL else control
    os.closerange(0, _CONTROL)
    os.closerange(_CONTROL + 1, _DESCRIPTORS_MOST)
    return kept


def _build(config: "dict[str, Any]", host: socket.socket, shared: int) -> bytes:
    trees = _make_trees(config)
    linux.join(shared, linux.CLONE_NEWNS)
    linux.unshare(_SPACES if config["network"] else _SPACES | linux.CLONE_NEWNET)
    if not config["network"]:
        linux.set_loopback_up()
        if config["port"]:
            _offer_port(config, host)
    for path in config["inner"]:
        trees[path] = mounts.clone_tree(path, recursive=True)
    _mount_all(trees, template.NEW if config["image"] else "")
    return _drop(config)


def _mount_all(trees: "dict[str, int]", new: str) -> None:
    """Attach the slot's own mounts; with `new`, make the tree of `/` the root."""
    if new:
        mounts.attach(trees.pop("/"), new)
        mounts.attach(mounts.clone_tree("/dev", recursive=True), f"{new}/dev")
    process_files = mounts.create("proc", _QUIET)
    linux.unmount_lazily("/proc")
    mounts.attach(process_files, f"{new}/proc")
    options = {"newinstance": "", "ptmxmode": "0666", "mode": "620"}
    mounts.attach(mounts.create("devpts", _TERMINALS, **options), f"{new}/dev/pts")
    for target, tree in sorted(trees.items()):
        template.make_place(f"{new}{target}", like=f"{new}/proc/self/fd/{tree}")
        mounts.attach(tree, f"{new}{target}")
    if new:
        os.chdir(new)
        linux.pivot_root(".", ".")
        linux.unmount_lazily(".")
    os.chdir("/")


def _make_trees(config: "dict[str, Any]") -> "dict[str, int]":
    """Return the slot's writable trees as detached mounts, by path in the slot, parents first."""
    number = config["volume"]
    place = volume.make(number, config["disk_bytes"], config["files_count"])
    chain = tuple(config["chain"])
    if chain and not config["layered"]:
        copy = Copy(f"{place}/top", shift=config["shift"])
        copy.run(f"{volume.path(chain[0])}/top")
        chain = ()
    maker = volume.Trees(number, chain, config)
    made = {row[1]: maker.make(volume.Tree(row)) for row in config["trees"]}
    os.mkdir(f"{place}/shm")
    os.chmod(f"{place}/shm", 0o1777)
    made["/dev/shm"] = mounts.clone_tree(f"{place}/shm")
    return made


def _offer_port(config: "dict[str, Any]", host: socket.socket) -> None:
    """Send the host a socket that listens in this slot's network, on its loopback.

    The host serves it: what commands may reach is decided outside of the slot.
    """
    with socket.create_server(("127.0.0.1", config["port"]), backlog=64) as server:
        notes.send(host, {"id": config["id"], "listens": config["port"]}, server.fileno())


def _drop(config: "dict[str, Any]") -> bytes:
    if config["user_namespace"] >= 0:
        linux.join(config["user_namespace"], linux.CLONE_NEWUSER)
        rights.serve_as_user(grants.kept(allow_root=config["allow_root"]))
    else:
        confine.enter_user(confine.INNER_ID)
        linux.prctl(linux.PR_SET_NO_NEW_PRIVS, 1)
        linux.drop_capabilities()
    linux.set_seccomp(config["filter"])
    linux.prctl(linux.PR_SET_DUMPABLE, 0)
    linux.prctl(linux.PR_SET_PDEATHSIG, signal.SIGKILL)
    return confine.report()
