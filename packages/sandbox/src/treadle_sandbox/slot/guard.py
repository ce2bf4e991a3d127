"""The start of a keeper: namespaces of its own, then the keeper as their first process.

The guard stays outside, as the process that the host started, and waits. When it dies the keeper
is killed; when the keeper dies the kernel kills every slot, because their process namespaces lie in
the keeper's. Three kinds of rights: `root` builds slots with root's own; `range` enters a user
namespace that has many ids of the host; `single` enters one that has this user's id alone.
"""

# pathlib would double the start-up time of a slot.

import os
import signal
import sys
from typing import Any

from treadle_sandbox.slot import confine, linux

_CANNOT_START = 70
_SPACES = linux.CLONE_NEWPID | linux.CLONE_NEWNS | linux.CLONE_NEWUTS | linux.CLONE_NEWIPC


def run(config: "dict[str, Any]") -> None:
    """Start the keeper and wait for its end; never returns."""
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        signal.signal(getattr(signal, name), signal.SIG_IGN)
    os.umask(0o022)
    try:
        if config["rights"] == "single":
            confine.enter_user(0)
        elif config["rights"] == "range":
            _enter_range(config["first_id"], config["ids"])
        linux.unshare(_SPACES)
        keeper = os.fork()
        if keeper == 0:
            _keep(config)
    except OSError as error:
        sys.stderr.write(f"can't start the keeper: {error}\n")
        os._exit(_CANNOT_START)
    os.close(config["control"])
    os._exit(os.waitstatus_to_exitcode(os.waitpid(keeper, 0)[1]) & 0xFF)


def _enter_range(first: int, count: int) -> None:
    """Enter a new user namespace whose ids, from 0, are `count` ids of the host.

    A child that stays outside writes the map: that needs rights over the ids there.
    """
    ready, go = os.pipe()
    outside = os.getpid()
    writer = os.fork()
    if writer == 0:
        status = 1
        try:
            os.close(go)
            os.read(ready, 1)
            for kind in ("uid", "gid"):
                confine.put(f"/proc/{outside}/{kind}_map", f"0 {first} {count}")
            status = 0
        finally:
            os._exit(status)
    os.close(ready)
    linux.prctl(linux.PR_SET_DUMPABLE, 1)
    linux.unshare(linux.CLONE_NEWUSER)
    os.write(go, b"!")
    os.close(go)
    if os.waitpid(writer, 0)[1]:
        raise PermissionError(1, "no right to map a range of ids")
    os.setgroups([])
    os.setresgid(0, 0, 0)
    os.setresuid(0, 0, 0)


def _keep(config: "dict[str, Any]") -> None:
    linux.prctl(linux.PR_SET_PDEATHSIG, signal.SIGKILL)
    status = _CANNOT_START
    try:
        from treadle_sandbox.slot.keeper import Keeper

        Keeper(config).run()
        status = 0
    except OSError as error:
        sys.stderr.write(f"the keeper failed: {error}\n")
        sys.stderr.flush()
    finally:
        os._exit(status)
