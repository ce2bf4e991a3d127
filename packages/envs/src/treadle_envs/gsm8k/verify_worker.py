"""The process in which math-verify runs; started by `verify_pool` as a script of its own.

It imports nothing of this package, so that it starts as fast as math-verify imports. Protocol: it
writes one line `{"ready": true}` when it is warm, then answers each JSON line
`{"gold": TEXT, "answer": TEXT}` with one JSON line `{"equal": true | false | null}` (null:
math-verify couldn't read one of them), and ends at the end of its input. Time limits are the
parent's business: math-verify's own, which use signals, are off.
"""

import json
import os
import sys
from typing import IO, Any

_MEMORY_LIMIT = 2 << 30
"""Bytes of address space: a tower of powers must not take the machine down."""


def compare(gold: str, answer: str) -> bool | None:
    """Whether math-verify finds the two equal; None when it can't read one of them."""
    import math_verify

    library: Any = math_verify

    wanted = library.parse(f"\\boxed{{{gold}}}", parsing_timeout=0)
    given = library.parse(f"\\boxed{{{answer}}}", parsing_timeout=0)
    if not wanted or not given:
        return None
    return bool(library.verify(wanted, given, timeout_seconds=None))


def _limit_memory() -> None:
    try:
        import resource
    except ImportError:
        return
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    limit = _MEMORY_LIMIT if hard == resource.RLIM_INFINITY else min(_MEMORY_LIMIT, hard)
    resource.setrlimit(resource.RLIMIT_AS, (limit, hard))


def serve(requests: IO[bytes], answers: IO[bytes]) -> None:
    """Answer requests until the input ends."""
    compare("1", "1")
    _write(answers, {"ready": True})
    for line in requests:
        request = json.loads(line)
        try:
            equal = compare(request["gold"], request["answer"])
        except Exception:  # noqa: BLE001 - whatever sympy raises on a model's text means "unreadable"
            equal = None
        _write(answers, {"equal": equal})


def _write(answers: IO[bytes], message: dict[str, bool | None]) -> None:
    answers.write(json.dumps(message).encode() + b"\n")
    answers.flush()


if __name__ == "__main__":
    _limit_memory()
    answer_pipe = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    serve(sys.stdin.buffer, answer_pipe)
