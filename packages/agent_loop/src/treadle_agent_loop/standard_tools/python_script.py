"""The `python` tool that starts a fresh interpreter for every call: files stay, variables don't.

What it answers is pinned, because models are trained on it: see `build_python_tool`.
"""

from typing import Annotated

from treadle_agent_loop.clipping import last_lines
from treadle_agent_loop.definition import DEFAULT_RESULT_LIMIT, Tool, tool
from treadle_agent_loop.errors import ToolError
from treadle_agent_loop.standard_tools.shell import decode, encode, timeout_text
from treadle_agent_loop.workspace import Workspace

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
        result = await workspace.exec([interpreter, "-"], stdin=encode(code), timeout=timeout)
        output = decode(result.stdout)
        if result.timed_out:
            raise ToolError(timeout_text(timeout, output))
        if result.exit_code != 0:
            report = last_lines(decode(result.stderr), _TRACEBACK_LINES)
            raise ToolError(f"exit code {result.exit_code}\n{report}")
        return output or "(no output: print the result)"

    return tool(result_limit=result_limit)(python)


python_tool = build_python_tool()
"""The `python` tool with its defaults."""
