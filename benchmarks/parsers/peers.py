"""The parent's side of an engine: a child process that answers one case at a time.

The child limits its own cases; one that doesn't answer even so is killed and started anew.
"""

import contextlib
import json
import queue
import subprocess
import threading
from pathlib import Path
from typing import Any, Self

from cases import Case
from ours import Timing

from treadle_parsers import ParserError, get_parser

_START_SECONDS = 180.0
_GRACE_SECONDS = 10.0


class Peer:
    """One engine, or the reason why it isn't there. Used as a context manager."""

    def __init__(self, name: str, python: str | None, *, limit: float) -> None:
        self.name = name
        self.version = "not installed" if python is None else ""
        self._script = Path(__file__).with_name(f"peer_{name.lower()}.py")
        self._python = python
        self._limit = limit
        self._process: subprocess.Popen[str] | None = None
        self._lines: queue.Queue[str] = queue.Queue()
        self._names: dict[str, str] = {}

    @property
    def present(self) -> bool:
        """Whether the engine can be timed."""
        return self._process is not None

    def __enter__(self) -> Self:
        self._start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()

    def parser_of(self, form: str) -> str | None:
        """Return the engine's name for the format `form`."""
        return self._names.get(form)

    def time_case(self, case: Case) -> Timing | None:
        """Return the engine's times for `case`; None when it has no such format."""
        name = self.parser_of(case.format)
        if self._process is None or name is None:
            return None
        order = {
            "parser": name,
            "text": case.text,
            "markers": case.markers,
            "tools": case.tools,
            "arguments": case.arguments,
            "limit": self._limit,
        }
        self._write(order)
        answer = self._read(self._limit * 4 + _GRACE_SECONDS)
        if answer is None:
            self._stop()
            self._start()
            return Timing(whole=None, stream=None, right=False, failure="no answer")
        return Timing(
            whole=answer.get("whole"),
            stream=answer.get("stream"),
            right=bool(answer.get("right")),
            failure=str(answer.get("failure", "")),
        )

    def _start(self) -> None:
        if self._python is None:
            return
        self._lines = queue.Queue()
        try:
            process = subprocess.Popen(
                [self._python, str(self._script)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
                encoding="utf-8",
            )
        except OSError as error:
            self.version = f"not started: {error.strerror}"
            return
        self._process = process
        threading.Thread(target=self._pump, args=(process, self._lines), daemon=True).start()
        hello = self._read(_START_SECONDS)
        if hello is None:
            self._stop()
            self.version = f"not importable; run peer_{self.name.lower()}.py to see why"
            return
        self.version = hello["version"]
        self._names = _match(hello["names"])

    def _stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None

    @staticmethod
    def _pump(process: "subprocess.Popen[str]", lines: "queue.Queue[str]") -> None:
        assert process.stdout is not None
        with contextlib.suppress(ValueError):  # closed while reading: the peer was stopped
            for line in process.stdout:
                lines.put(line)
        lines.put("")

    def _write(self, order: dict[str, Any]) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # then reading says that it is gone
            self._process.stdin.write(json.dumps(order) + "\n")
            self._process.stdin.flush()

    def _read(self, seconds: float) -> dict[str, Any] | None:
        try:
            line = self._lines.get(timeout=seconds)
        except queue.Empty:
            return None
        return json.loads(line) if line else None


def _match(names: list[str]) -> dict[str, str]:
    """Return treadle's format to the engine's name, the format's own name before its aliases."""
    found: dict[str, str] = {}
    for name in names:
        try:
            form = get_parser(name).name
        except ParserError:
            continue
        if name == form or form not in found:
            found[form] = name
    return found
