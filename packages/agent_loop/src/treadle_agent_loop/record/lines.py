"""An append-only file of JSON lines, on disk line by line.

Every line is strict JSON in one write: what has been written can be read while the run goes on, and
a crash loses at most the line being written.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self


class JsonLines:
    """An append-only JSON-lines file; a context manager. Parent folders are created.

    A half-written last line that an earlier run left behind is taken off, so that it spoils nothing
    that follows; `torn` tells how many bytes it had.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self.torn = _cut_torn_line(path)
        self._file = path.open("a", encoding="utf-8")

    def write(self, record: Mapping[str, Any]) -> None:
        """Write one line and flush it.

        Raises:
            ValueError: it holds a number that isn't finite.
        """
        line = json.dumps(record, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        self._file.write(line + "\n")
        self._file.flush()

    def close(self) -> None:
        """Close the file; safe to call twice."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _cut_torn_line(path: Path) -> int:
    """Take a half-written last line off a file; return how many bytes it had."""
    if not path.is_file():
        return 0
    torn = 0
    with path.open("rb+") as file:
        for line in file:
            torn = 0 if line.endswith(b"\n") else len(line)
        if torn:
            file.truncate(path.stat().st_size - torn)
    return torn
