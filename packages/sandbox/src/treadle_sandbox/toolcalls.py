"""The earlier system's tools, run in a lease: bash, bash_stateful, read_file, write_file.

What a tool may do is the backend's policy: arguments can ask for less than it gives, never for
more, and a call that asks for what the backend can't hold fails.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from treadle_sandbox import errors
from treadle_sandbox.backend import Lease
from treadle_sandbox.records import Capabilities, ExecResult, Isolation

OUTPUT_LIMIT = 50_000
FILE_LIMIT = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolOutput:
    """What a tool gave."""

    success: bool
    output: str = ""
    error: str = ""
    metadata: Mapping[str, Any] = field(default_factory=dict[str, Any])


def check_policy(arguments: Mapping[str, Any], policy: Capabilities) -> None:
    """Raise UnsupportedError for a call that asks for an isolation that the backend lacks."""
    if arguments.get("allow_network") is False and policy.network:
        raise errors.UnsupportedError("allow_network is false, but these slots have a network")
    if arguments.get("require_sandbox") and policy.isolation is Isolation.PROCESS:
        raise errors.UnsupportedError("require_sandbox is true, but these slots have no boundary")


async def run_tool(
    lease: Lease, tool: str, arguments: Mapping[str, Any], *, timeout: float
) -> ToolOutput:
    """Run one tool call.

    Raises:
        InvalidCommandError: an unknown tool, or an argument that is missing or of the wrong kind.
    """
    run = _TOOLS.get(tool)
    if run is None:
        known = ", ".join((*_TOOLS, "tmux"))
        raise errors.InvalidCommandError(f"no tool {tool!r}: use one of {known}")
    return await run(lease, arguments, timeout)


async def _bash(lease: Lease, arguments: Mapping[str, Any], timeout: float) -> ToolOutput:
    command = _text(arguments, "command")
    seconds = _seconds(arguments, timeout)
    result = await lease.shell(command, timeout=seconds, output_limit=OUTPUT_LIMIT)
    return _describe(lease, result)


async def _bash_stateful(lease: Lease, arguments: Mapping[str, Any], timeout: float) -> ToolOutput:
    session = await lease.session()
    seconds = _seconds(arguments, timeout)
    result = await session.run(
        _text(arguments, "command"), timeout=seconds, output_limit=OUTPUT_LIMIT
    )
    return _describe(lease, result)


async def _read_file(lease: Lease, arguments: Mapping[str, Any], timeout: float) -> ToolOutput:
    data = await lease.read_file(_text(arguments, "path"), limit=FILE_LIMIT)
    return ToolOutput(success=True, output=data.decode(errors="replace"))


async def _write_file(lease: Lease, arguments: Mapping[str, Any], timeout: float) -> ToolOutput:
    data = _text(arguments, "content").encode(errors="replace")
    if len(data) > FILE_LIMIT:
        raise errors.InvalidCommandError(f"content has {len(data)} bytes, above {FILE_LIMIT}")
    path = _text(arguments, "path")
    await lease.write_file(path, data)
    return ToolOutput(success=True, output=f"{len(data)} bytes written to {path}")


def _describe(lease: Lease, result: ExecResult) -> ToolOutput:
    output = result.stdout.decode(errors="replace")
    if result.stderr:
        gap = "\n" if output and not output.endswith("\n") else ""
        output += f"{gap}[stderr]\n{result.stderr.decode(errors='replace')}"
    error = "" if result.exit_code == 0 else f"exit code {result.exit_code}"
    if result.timed_out:
        error = f"timed out after {result.seconds:.1f} s"
    metadata = {
        "exit_code": result.exit_code,
        "timeout": result.timed_out,
        "truncated": result.truncated,
        "sandboxed": lease.isolation is not Isolation.PROCESS,
    }
    return ToolOutput(success=result.exit_code == 0, output=output, error=error, metadata=metadata)


def _text(arguments: Mapping[str, Any], name: str) -> str:
    value = arguments.get(name)
    if not isinstance(value, str):
        raise errors.InvalidCommandError(f"{name} is {value!r}: give a string")
    return value


def _seconds(arguments: Mapping[str, Any], timeout: float) -> float:
    """Return the time a call may take: what it asks for, at most what its caller grants."""
    value = arguments.get("timeout", timeout)
    if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
        raise errors.InvalidCommandError(f"timeout is {value!r}: give seconds above 0")
    return min(float(value), timeout)


_TOOLS: dict[str, Callable[[Lease, Mapping[str, Any], float], Awaitable[ToolOutput]]] = {
    "bash": _bash,
    "bash_stateful": _bash_stateful,
    "read_file": _read_file,
    "write_file": _write_file,
}
