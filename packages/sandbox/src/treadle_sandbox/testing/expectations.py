"""Ways of the conformance checks to ask a lease and to expect an error."""

from collections.abc import Awaitable, Callable

from treadle_sandbox.backend import Backend, Lease
from treadle_sandbox.records import ExecResult


async def run_python(lease: Lease, code: str, *, timeout: float = 30.0) -> ExecResult:
    """Run a script in the slot's own Python, without its site packages."""
    return await lease.exec(["python3", "-I", "-S", "-c", code], timeout=timeout)


async def expect_output(lease: Lease, code: str, expected: str) -> None:
    """Assert what a script prints."""
    result = await run_python(lease, code)
    printed = result.stdout.decode().strip()
    assert printed == expected, (
        f"expected {expected!r}, got {printed!r} and {result.stderr[-500:]!r}"
    )


async def expect_error(kind: type[Exception], work: Awaitable[object]) -> Exception:
    """Assert that awaiting raises `kind`; return the error."""
    try:
        value = await work
    except kind as error:
        raised = error
    else:
        raise AssertionError(f"expected {kind.__name__}, got {value!r}")
    assert str(raised), f"{kind.__name__} has no message"
    return raised


async def in_lease(backend: Backend, work: Callable[[Lease], Awaitable[None]]) -> None:
    """Run something in a fresh lease."""
    async with await backend.lease() as lease:
        await work(lease)


OPEN_PIDS = """
import os
def alive(mark):
    found = 0
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                words = open(f"/proc/{name}/cmdline", "rb").read().split(b"\\0")
                state = open(f"/proc/{name}/stat", "rb").read().rpartition(b")")[2].split()[0]
            except OSError:
                continue
            found += mark.encode() in words and state not in (b"Z", b"X")
    return found
"""
"""Python that counts live processes with a word in their command line."""


async def expect_gone(lease: Lease, mark: str) -> None:
    """Assert that within two seconds no process with `mark` as an argument lives."""
    code = f"{OPEN_PIDS}\nimport time\nend = time.monotonic() + 2\n"
    code += f"mark = {mark[:3]!r} + {mark[3:]!r}\n"
    code += "while alive(mark) and time.monotonic() < end: pass\nprint(alive(mark))"
    await expect_output(lease, code, "0")
