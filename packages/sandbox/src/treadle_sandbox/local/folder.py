"""The folder of a slot at the `process` level: a working directory, a temporary one, and a
`python3` on PATH.
"""

import contextlib
import os
import signal
import sys
import tempfile
import time
from pathlib import Path

from treadle_sandbox.local.root import Interpreter
from treadle_sandbox.slot.files import remove_tree

MARK = "TREADLE_SLOT"
"""Environment variable by which stray processes of a slot are found."""
_ROUNDS = 20


def make(interpreter: Interpreter) -> Path:
    """Create a slot's folder, readable by this user alone."""
    folder = Path(tempfile.mkdtemp(prefix="treadle-slot-")).resolve()
    for name in ("work", "tmp", "bin"):
        (folder / name).mkdir()
    for name in ("python3", "python"):
        (folder / "bin" / name).symlink_to(interpreter.executable)
    return folder


def remove(folder: Path) -> bool:
    """Delete the folder; return whether it is gone."""
    with contextlib.suppress(OSError):
        remove_tree(str(folder))
    return not folder.exists()


def sweep(folder: Path) -> bool:
    """Clean up after a slot whose first process didn't: end its processes, delete its folder.

    Processes that scrubbed their environment aren't found: the `process` level is no boundary.
    """
    for _ in range(_ROUNDS):
        strays = _find_strays(f"{MARK}={folder}".encode())
        for process in strays:
            with contextlib.suppress(OSError):
                os.kill(process, signal.SIGKILL)
        if not strays:
            break
        time.sleep(0.01)
    return remove(folder)


def _find_strays(mark: bytes) -> list[int]:
    if sys.platform != "linux":
        return []
    found: list[int] = []
    for name in [entry.name for entry in Path("/proc").iterdir()]:
        if name.isdigit():
            with contextlib.suppress(OSError):
                if mark in Path(f"/proc/{name}/environ").read_bytes().split(b"\0"):
                    found.append(int(name))
    return found
