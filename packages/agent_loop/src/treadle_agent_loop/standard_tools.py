"""The ready tools on the `Workspace` protocol: `python` and `terminal`.

Both start a fresh process in the rollout's workspace for every call; files persist between calls,
variables don't. A non-zero exit or a timeout is a `ToolError`: the model gets the text and the
record says so. What the python tool answers is pinned, because models are trained on it: see
`build_python_tool`.
"""

from typing import Annotated

from treadle_agent_loop.clipping import last_lines
from treadle_agent_loop.errors import ToolError
from treadle_agent_loop.tools import DEFAULT_RESULT_LIMIT, Tool, tool
from treadle_agent_loop.workspace import CommandResult, Workspace

_TRACEBACK_LINES = 6


def build_python_tool(
    *, timeout: float = 30.0, result_limit: int = DEFAULT_RESULT_LIMIT, interpreter: str = "python3"
) -> Tool:
    """Make the `python` tool: the script goes to the interpreter's standard input.

    The result is stdout without its trailing newline, or `(no output: print the result)` when there
    is none; on failure `exit code N` and the last lines of stderr; on a timeout one line that says
    so, then the output.
    """

    async def python(
        workspace: Workspace, code: Annotated[str, "The script. Print the result."]
    ) -> str:
        """Run a Python script and return what it prints."""
        result = await workspace.exec([interpreter, "-"], stdin=_encode(code), timeout=timeout)
        output = _decode(result.stdout)
        if result.timed_out:
            raise ToolError(_timeout_text(timeout, output))
        if result.exit_code != 0:
            report = last_lines(_decode(result.stderr), _TRACEBACK_LINES)
            raise ToolError(f"exit code {result.exit_code}\n{report}")
        return output or "(no output: print the result)"

    return tool(result_limit=result_limit)(python)


def build_terminal_tool(
    *, timeout: float = 60.0, result_limit: int = DEFAULT_RESULT_LIMIT, shell: str = "bash"
) -> Tool:
    """Make the `terminal` tool: one shell command per call, stdout and stderr in its result.

    `timeout` in seconds bounds every command; the model may ask for less, never for more.
    """

    async def terminal(
        workspace: Workspace,
        command: Annotated[str, "The shell command."],
        timeout_seconds: Annotated[int | None, "Stop the command after this many seconds."] = None,
    ) -> str:
        """Run a shell command in the working directory and return its output."""
        if timeout_seconds is not None and timeout_seconds <= 0:
            raise ToolError(f"timeout_seconds must be positive, not {timeout_seconds}")
        if "\0" in command:
            raise ToolError("the command contains a NUL character")
        limit = timeout if timeout_seconds is None else min(float(timeout_seconds), timeout)
        result = await workspace.exec([shell, "-c", _encode(command).decode()], timeout=limit)
        output = _both_streams(result)
        if result.timed_out:
            raise ToolError(_timeout_text(limit, output))
        if result.exit_code != 0:
            raise ToolError(f"{output}\nexit code {result.exit_code}".lstrip("\n"))
        return output or "(no output)"

    return tool(result_limit=result_limit)(terminal)


python_tool = build_python_tool()
"""The `python` tool with its defaults."""
terminal_tool = build_terminal_tool()
"""The `terminal` tool with its defaults."""


def _both_streams(result: CommandResult) -> str:
    parts = [_decode(result.stdout), _decode(result.stderr)]
    return "\n".join(part for part in parts if part)


def _timeout_text(seconds: float, output: str) -> str:
    return f"timed out after {seconds:g} seconds\n{output}".rstrip("\n")


def _decode(data: bytes) -> str:
    return data.decode(errors="replace").removesuffix("\n")


def _encode(text: str) -> bytes:
    """Encode a script; lone surrogates (legal in JSON text) become `?` and never raise."""
    return text.encode(errors="replace")
