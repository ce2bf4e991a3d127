"""The `terminal` tool: one shell command per call, in the foreground or the background.

Every command runs in a fresh shell: files persist between calls, variables and `cd` don't. Output
is what a terminal would show, both streams as they came. A non-zero exit or a timeout is a
`ToolError`: the model gets the text and the record says so.
"""

from typing import Annotated

from treadle_agent_loop.background import start
from treadle_agent_loop.definition import DEFAULT_RESULT_LIMIT, Tool, tool
from treadle_agent_loop.errors import ToolError
from treadle_agent_loop.standard_tools.shell import decode, encode, timeout_text
from treadle_agent_loop.workspace import Workspace, told_to_model

_MERGED = 'exec "$@" 2>&1'


def build_terminal_tool(
    *,
    timeout: float = 60.0,
    max_timeout: float | None = None,
    result_limit: int = DEFAULT_RESULT_LIMIT,
    shell: str = "bash",
    background: bool = True,
) -> Tool:
    """Make the `terminal` tool.

    `timeout` in seconds is what a foreground command gets; the model may ask for less, and for more
    up to `max_timeout`. With `background=False` the model isn't offered background commands.
    """
    limit = max(timeout, max_timeout or 0.0)

    async def foreground(
        workspace: Workspace,
        command: Annotated[str, "The shell command."],
        timeout_seconds: Annotated[int | None, "Stop the command after this many seconds."] = None,
        workdir: Annotated[str | None, "The folder to run it in."] = None,
    ) -> str:
        """Run a shell command in the working directory and return its output."""
        if timeout_seconds is not None and timeout_seconds <= 0:
            raise ToolError(f"timeout_seconds must be positive, not {timeout_seconds}")
        text = _checked(command)
        seconds = timeout if timeout_seconds is None else min(float(timeout_seconds), limit)
        with told_to_model():
            result = await workspace.exec(
                ["sh", "-c", _MERGED, "sh", shell, "-c", text], workdir=workdir, timeout=seconds
            )
        output = decode(result.stdout)
        if result.timed_out:
            raise ToolError(timeout_text(seconds, output))
        if result.exit_code != 0:
            raise ToolError(f"{output}\nexit code {result.exit_code}".lstrip("\n"))
        return output or "(no output)"

    async def terminal(
        workspace: Workspace,
        command: Annotated[str, "The shell command."],
        timeout_seconds: Annotated[int | None, "Stop the command after this many seconds."] = None,
        workdir: Annotated[str | None, "The folder to run it in."] = None,
        background: Annotated[
            bool,
            "Start it and return at once, for servers and long jobs; follow it with `process`.",
        ] = False,
    ) -> str:
        """Run a shell command in the working directory and return its output."""
        if not background:
            return await foreground(workspace, command, timeout_seconds, workdir)
        with told_to_model():
            job = await start(workspace, _checked(command), shell=shell, workdir=workdir or ".")
        return (
            f"started as process {job}; use the process tool (process_id {job}) to poll it, "
            "read its log, wait for it, write to it or kill it"
        )

    function = terminal if background else foreground
    return tool(name="terminal", result_limit=result_limit)(function)


terminal_tool = build_terminal_tool()
"""The `terminal` tool with its defaults."""


def _checked(command: str) -> str:
    if "\0" in command:
        raise ToolError("the command contains a NUL character; leave it out")
    if not command.strip():
        raise ToolError("the command is empty; give a shell command")
    return encode(command).decode()
