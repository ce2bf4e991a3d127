"""The child's side: reads cases as JSON lines, times an engine's parser, answers in JSON lines.

Runs in the engine's interpreter, so it uses the standard library alone. The first line it writes
says which version and names the engine has. What engines print goes to stderr.
"""

import gc
import json
import os
import sys
from typing import Any, Protocol, TextIO

from deltas import limited_time


class Engine(Protocol):
    """An engine's parser for one case, called as its server calls it."""

    def whole(self) -> str:
        """Parse the text; return the arguments of its one call."""
        ...

    def stream(self) -> str:
        """Feed the deltas to a new parser; return the argument deltas, joined."""
        ...


class Make(Protocol):
    """Builds an engine for one order: its `parser`, `text`, `markers` and `tools`."""

    def __call__(self, order: dict[str, Any]) -> Engine:
        """Build it."""
        ...


def claim_stdout() -> TextIO:
    """Return the child's stdout for answers; what the engine prints goes to stderr from now on."""
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return out


def serve(out: TextIO, *, version: str, names: list[str], make: Make) -> None:
    """Say the engine's version and names, then answer cases until stdin ends."""
    _write(out, {"version": version, "names": sorted(names)})
    gc.collect()
    gc.freeze()  # or each collection would walk all that the engine has imported
    for line in sys.stdin:
        _write(out, _answer(json.loads(line), make))


def _write(out: TextIO, record: dict[str, Any]) -> None:
    out.write(json.dumps(record) + "\n")
    out.flush()


def _answer(order: dict[str, Any], make: Make) -> dict[str, Any]:
    said: list[str] = []
    try:
        engine = make(order)
        whole = limited_time(lambda: said.append(engine.whole()), limit=order["limit"])
        stream = limited_time(lambda: said.append(engine.stream()), limit=order["limit"])
    except Exception as error:  # noqa: BLE001  # an engine's failure is a result
        return {"failure": f"{type(error).__name__}: {error}"[:200]}
    right = all(_equal(one, order["arguments"]) for one in said)
    return {"whole": whole, "stream": stream, "right": right}


def _equal(arguments: str, expected: dict[str, Any]) -> bool:
    try:
        return json.loads(arguments) == expected
    except ValueError:
        return False
