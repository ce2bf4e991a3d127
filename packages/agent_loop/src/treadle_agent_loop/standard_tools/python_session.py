"""The `python` tool with a persistent interpreter: variables, imports and functions stay.

One interpreter per workspace, started by the first call and reached through a socket in the state
folder. A call that takes too long ends it, as does code that crashes it; the model is told that its
variables are gone, and the next call starts anew. The workspace must let background processes
outlive their command.
"""

import json
from functools import cache
from importlib import resources
from typing import Annotated, Any

from treadle_agent_loop.clipping import last_lines
from treadle_agent_loop.definition import DEFAULT_RESULT_LIMIT, Concurrency, Tool, tool
from treadle_agent_loop.errors import ToolError
from treadle_agent_loop.standard_tools.shell import decode, encode, timeout_text
from treadle_agent_loop.workspace import Workspace, told_to_model
from treadle_agent_loop.workspace_state import STATE_FOLDER, state_file

_FOLDER = f"{STATE_FOLDER}/python"
_OUTPUT_BYTES = 400_000
_GRACE = 10.0
"""Seconds beyond the timeout for starting an interpreter and reading what it left."""
_GONE = "the interpreter was restarted: variables and imports are gone, files are still there"


def build_python_session_tool(
    *, timeout: float = 60.0, result_limit: int = DEFAULT_RESULT_LIMIT, interpreter: str = "python3"
) -> Tool:
    """Make the `python` tool with a persistent interpreter; `timeout` in seconds bounds a call.

    The result is what the code printed on both streams, and the value of its last expression. An
    exception is a `ToolError` with the output and the traceback.
    """

    async def python(workspace: Workspace, code: Annotated[str, "The code to run."]) -> str:
        """Run Python code in an interpreter that stays: variables, imports and functions are kept
        for the next call. Returns what is printed and the value of the last expression.
        """
        with told_to_model():
            await state_file(workspace, "python/.keep", b"")
            result = await workspace.exec(
                _command(interpreter, timeout),
                stdin=encode(code),
                timeout=timeout + _GRACE,
                output_limit=6 * _OUTPUT_BYTES + 1_000,  # JSON writes a byte as six at most
            )
        if result.timed_out:
            raise ToolError(f"{timeout_text(timeout, '')}; {_GONE}")
        if result.exit_code != 0:
            report = last_lines(decode(result.stderr), 3)
            raise ToolError(f"the interpreter can't run (exit code {result.exit_code})\n{report}")
        return _answer(json.loads(result.stdout), timeout)

    return tool(name="python", result_limit=result_limit, concurrency=Concurrency.ORDERED)(python)


python_session_tool = build_python_session_tool()
"""The persistent `python` tool with its defaults."""


def _answer(answer: dict[str, Any], timeout: float) -> str:
    output = str(answer["output"]).removesuffix("\n")
    note = f"[the earlier interpreter had ended; {_GONE}]\n" if answer["lost"] else ""
    match answer["status"]:
        case "ok":
            return note + (output or "(no output)")
        case "timeout":
            raise ToolError(f"{note}{timeout_text(timeout, output)}\n[{_GONE}]")
        case "died":
            raise ToolError(f"{note}{output}\n[the interpreter died; {_GONE}]".lstrip("\n"))
        case _:
            raise ToolError(note + output)


def _command(interpreter: str, timeout: float) -> list[str]:
    program = _program()
    client = ["client", _FOLDER, str(timeout), str(_OUTPUT_BYTES)]
    return [interpreter, "-I", "-S", "-c", program, program, *client]


@cache
def _program() -> str:
    source = resources.files("treadle_agent_loop.guest").joinpath("interpreter.py")
    return source.read_text(encoding="utf-8")
