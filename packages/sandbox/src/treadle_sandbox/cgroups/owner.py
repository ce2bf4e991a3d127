"""Names of groups that tell who made them, so that only what a dead process left is removed.

A name holds the boot, the process-id namespace, the process id and the start time of its owner. An
owner in another namespace can't be judged from here and counts as alive.
"""

import re
import secrets
from dataclasses import dataclass
from pathlib import Path

_PATTERN = re.compile(r"treadle-([0-9a-f]{8})-([0-9]+)-([0-9]+)-([0-9]+)-[0-9a-f]{8}")
_START_TIME = 19
"""Place of the start time in /proc/PID/stat, counted after the name of the program."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """A process, told apart from every other one of this machine since its beginning."""

    boot: str
    namespace: int
    process: int
    started: int

    @classmethod
    def of(cls, process: int) -> "Owner":
        """Return the owner that a live process is.

        Raises:
            OSError: it is gone.
        """
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii")
        return cls(
            boot=boot[:8],
            namespace=Path("/proc/self/ns/pid").stat().st_ino,
            process=process,
            started=_start_time(process),
        )

    def name(self) -> str:
        """Return a new name for a group of this owner."""
        numbers = f"{self.namespace}-{self.process}-{self.started}"
        return f"treadle-{self.boot}-{numbers}-{secrets.token_hex(4)}"

    def is_dead(self) -> bool:
        """Return whether the process is certainly gone."""
        try:
            other = Owner.of(self.process)
        except (FileNotFoundError, ProcessLookupError):
            return self._is_of_here()
        if other.boot != self.boot:
            return True
        return other.namespace == self.namespace and other.started != self.started

    def _is_of_here(self) -> bool:
        return self.namespace == Path("/proc/self/ns/pid").stat().st_ino


def parse(name: str) -> Owner | None:
    """Return the owner that a name tells; `None` for a name that isn't ours."""
    match = _PATTERN.fullmatch(name)
    if match is None:
        return None
    namespace, process, started = (int(text) for text in match.groups()[1:])
    return Owner(boot=match[1], namespace=namespace, process=process, started=started)


def _start_time(process: int) -> int:
    text = Path(f"/proc/{process}/stat").read_text(encoding="utf-8", errors="replace")
    return int(text.rpartition(")")[2].split()[_START_TIME])
