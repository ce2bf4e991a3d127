"""What the slot's first process does: confine itself, then serve the host, then leave nothing
behind.
"""

import os
import signal
import sys
from typing import Any

from treadle_sandbox.slot import files, wayout
from treadle_sandbox.slot.agent import Agent
from treadle_sandbox.slot.processes import IS_LINUX, adopt_orphans

_CANNOT_CONFINE, _NOT_EMPTY = 70, 71
_OOM_PREFERENCE = b"500"


def run(config: "dict[str, Any]") -> None:
    """Serve the socket at descriptor 0 under `config`; never returns."""
    if config["level"] == "keeper":
        from treadle_sandbox.slot import guard

        guard.run(config)
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        signal.signal(getattr(signal, name), signal.SIG_IGN)
    if IS_LINUX:
        prefer_as_victim()
    greeting = b""
    if config["level"] == "process":
        adopt_orphans()
    else:
        greeting = _confine(config)
    if config["way_out"] >= 0:
        wayout.hand_over(config["way_out"], config["way_out_port"])
    control = os.dup(0)
    clean = serve(control, config, greeting)
    if config["level"] == "process":
        clean = _remove_folder(config["root"]) and clean
    os._exit(0 if clean else _NOT_EMPTY)


def serve(control: int, config: "dict[str, Any]", greeting: bytes) -> bool:
    """Serve the host until it is gone; return whether no process is left."""
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)
    if null > 2:
        os.close(null)
    agent = Agent(control, config)
    agent.run(greeting)
    return agent.close()


def _confine(config: "dict[str, Any]") -> bytes:
    from treadle_sandbox.slot import confine

    try:
        confine.drop(config)
        confine.hide()
        report = confine.report()
    except OSError as error:
        sys.stderr.write(f"can't confine the slot: {error}\n")
        os._exit(_CANNOT_CONFINE)
    return report


def prefer_as_victim() -> None:
    """Have the kernel end commands of a slot before anything of the host when memory runs out."""
    try:
        score = os.open("/proc/self/oom_score_adj", os.O_WRONLY)
        os.write(score, _OOM_PREFERENCE)
        os.close(score)
    except OSError:
        return


def _remove_folder(path: str) -> bool:
    try:
        files.remove_tree(path)
    except OSError:
        return False
    return True
