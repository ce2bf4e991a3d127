"""The `process` tool: follows, feeds and ends what `terminal` started in the background."""

from typing import Annotated, Literal

from treadle_agent_loop import background
from treadle_agent_loop.definition import DEFAULT_RESULT_LIMIT, Tool, tool
from treadle_agent_loop.errors import ToolError
from treadle_agent_loop.standard_tools.shell import encode
from treadle_agent_loop.workspace import Workspace, told_to_model

_POLLED_LINES = 20


def build_process_tool(
    *,
    timeout: float = 60.0,
    max_timeout: float | None = None,
    result_limit: int = DEFAULT_RESULT_LIMIT,
) -> Tool:
    """Make the `process` tool.

    `timeout` in seconds is how long `wait` waits; the model may ask for less, and for more up to
    `max_timeout`.
    """
    longest = max(timeout, max_timeout or 0.0)

    async def process(
        workspace: Workspace,
        action: Annotated[
            Literal["list", "poll", "log", "wait", "kill", "write", "close"],
            "list all; poll: state and last output; log: lines of output; wait for the end; kill; "
            "write to standard input; close standard input.",
        ],
        process_id: Annotated[int | None, "Number of the process; needed by all but list."] = None,
        data: Annotated[str | None, "For write: the text; end a line with a newline."] = None,
        timeout_seconds: Annotated[int | None, "For wait: how long."] = None,
        offset: Annotated[int | None, "For log: first line, from 1; else the last lines."] = None,
        limit: Annotated[int, "For log: how many lines."] = 200,
    ) -> str:
        """Follow and control the processes that terminal started in the background."""
        with told_to_model():
            if action == "list":
                return await _listing(workspace)
            if process_id is None:
                raise ToolError(f"{action} needs the process_id; use list to see them")
            status = await background.status(workspace, process_id)
            match action:
                case "poll":
                    return await _state(workspace, status, _POLLED_LINES)
                case "log":
                    return await _log(workspace, process_id, max(offset or 0, 0), max(limit, 1))
                case "wait":
                    seconds = timeout if timeout_seconds is None else float(timeout_seconds)
                    return await _waited(workspace, status, min(max(seconds, 0.1), longest))
                case _:
                    return await _controlled(workspace, status, action, data)

    return tool(result_limit=result_limit)(process)


process_tool = build_process_tool()
"""The `process` tool with its defaults."""


async def _listing(workspace: Workspace) -> str:
    found = await background.statuses(workspace)
    return "\n".join(f"{job.id}: {job}: {job.command}" for job in found) or "(no processes)"


async def _state(workspace: Workspace, status: background.JobStatus, lines: int) -> str:
    log = await background.read_log(workspace, status.id, limit=lines)
    more = f" (the last of {log.lines} lines)" if log.lines > lines else ""
    return f"process {status.id}: {status}\noutput{more}:\n{log.text or '(none yet)'}".rstrip("\n")


async def _log(workspace: Workspace, job: int, first: int, limit: int) -> str:
    log = await background.read_log(workspace, job, first=first, limit=limit)
    start = first or max(log.lines - limit + 1, 1)
    if not log.text:
        return f"(no output from line {start} on; the log has {log.lines} lines)"
    return f"[from line {start} of {log.lines}]\n{log.text}".rstrip("\n")


async def _waited(workspace: Workspace, status: background.JobStatus, seconds: float) -> str:
    if status.running and not await background.wait(workspace, status.id, seconds):
        state = await _state(workspace, status, _POLLED_LINES)
        return f"still running after {seconds:g} seconds\n{state}"
    return await _state(workspace, await background.status(workspace, status.id), _POLLED_LINES)


async def _controlled(
    workspace: Workspace, status: background.JobStatus, action: str, data: str | None
) -> str:
    if not status.running:
        raise ToolError(f"process {status.id} isn't running: it {status}")
    if action == "kill":
        await background.kill(workspace, status.id)
        return await _state(workspace, await background.status(workspace, status.id), _POLLED_LINES)
    if action == "close":
        await background.close_input(workspace, status.id)
        return f"closed the standard input of process {status.id}"
    if not data:
        raise ToolError("write needs data: the text for standard input")
    await background.write(workspace, status.id, encode(data))
    return f"wrote {len(encode(data))} bytes to process {status.id}"
