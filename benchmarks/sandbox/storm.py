"""Random SIGKILLs of drivers, sandbox servers and slots while drivers use a pool."""

import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

_DRIVERS = 2
_SHARES = (("slot", 6), ("server", 3), ("driver", 1))
_PAUSE = (0.05, 0.25)
_END = 60.0
_USE = 10.0


class Drivers:
    """The driver processes and what they say."""

    def __init__(self, state: Path) -> None:
        self._state = state
        self._processes: list[subprocess.Popen[str]] = []
        self._readers: list[threading.Thread] = []
        self.rows: list[dict[str, Any]] = []
        self._seen = 0

    def start(self) -> None:
        """Start one more."""
        script = str(Path(__file__).parent / "storm_driver.py")
        process = subprocess.Popen(
            [sys.executable, script, str(self._state)], stdout=subprocess.PIPE, text=True
        )
        reader = threading.Thread(target=self._read, args=(process,), daemon=True)
        reader.start()
        self._processes.append(process)
        self._readers.append(reader)

    def _read(self, process: "subprocess.Popen[str]") -> None:
        assert process.stdout is not None
        for line in process.stdout:
            if line.endswith("\n"):
                self.rows.append(json.loads(line))

    @property
    def numbers(self) -> list[int]:
        """Process ids."""
        return [process.pid for process in self._processes]

    def wait_for_use(self) -> None:
        """Return when a lease was used since the last call: kills must meet work, not starts."""
        end = time.monotonic() + _USE
        while len(self.rows) == self._seen and time.monotonic() < end:
            time.sleep(0.01)
        self._seen = len(self.rows)

    def kill(self, chosen: random.Random) -> None:
        """Kill one and start another in its place."""
        process = self._processes.pop(chosen.randrange(len(self._processes)))
        process.kill()
        process.wait()
        self.start()

    def stop(self) -> list[int]:
        """End all as a user would; return their exit statuses."""
        for process in self._processes:
            process.terminate()
        statuses = [process.wait(timeout=_END) for process in self._processes]
        for reader in self._readers:
            reader.join(timeout=_END)
        return statuses


def below(roots: list[int]) -> list[int]:
    """Return all processes below some, parents first."""
    found = list(roots)
    for process in found:
        try:
            text = Path(f"/proc/{process}/task/{process}/children").read_text(encoding="ascii")
        except OSError:
            continue
        found += [int(word) for word in text.split()]
    return found[len(roots) :]


def is_server(process: int, state: Path) -> bool:
    """Return whether a process is a sandbox server of this storm's pool."""
    try:
        words = Path(f"/proc/{process}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    return b"serve" in words and any(word.startswith(bytes(state)) for word in words)


def servers(state: Path) -> list[int]:
    """Return the process ids of the pool's servers, also those whose driver died."""
    numbers = [int(folder.name) for folder in Path("/proc").glob("[0-9]*")]
    return [number for number in numbers if is_server(number, state)]


def strike(drivers: Drivers, chosen: random.Random, state: Path) -> str:
    """Kill something; return what it was, or nothing when there was nothing to kill."""
    names, shares = zip(*_SHARES, strict=True)
    kind = chosen.choices(names, shares)[0]
    if kind == "driver":
        drivers.kill(chosen)
        return kind
    found = servers(state)
    if kind == "slot":
        found = [process for process in below(found) if not is_server(process, state)]
    if not found:
        return ""
    try:
        os.kill(chosen.choice(found), signal.SIGKILL)
    except ProcessLookupError:
        return ""
    return kind


def run(kills: int, chosen: random.Random) -> dict[str, Any]:
    """Run the storm; return what was killed, done, lost and wrong."""
    killed: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        drivers = Drivers(Path(folder))
        for _ in range(_DRIVERS):
            drivers.start()
        shown = time.monotonic()
        while killed.total() < kills:
            time.sleep(chosen.uniform(*_PAUSE))
            drivers.wait_for_use()
            kind = strike(drivers, chosen, Path(folder))
            if kind:
                killed[kind] += 1
            if time.monotonic() - shown > 10:
                shown = time.monotonic()
                print(f"  {killed.total()} of {kills} kills", file=sys.stderr)
        statuses = drivers.stop()
        end = time.monotonic() + _END
        while servers(Path(folder)) and time.monotonic() < end:
            time.sleep(0.2)
    used = [row for row in drivers.rows if "lease" in row]
    return {
        "killed": dict(killed),
        "uses": len(used),
        "lost": dict(Counter(row["lost"] for row in drivers.rows if "lost" in row)),
        "crossed": [row["wrong"] for row in used if row["wrong"]],
        "owned_twice": [
            name for name, count in Counter(row["lease"] for row in used).items() if count > 1
        ],
        "driver_statuses": statuses,
    }
