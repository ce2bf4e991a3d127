"""The `write_file` tool: a whole file, parent folders included."""

from typing import Annotated

from treadle_agent_loop.definition import Concurrency, Tool, tool
from treadle_agent_loop.standard_tools.shell import encode
from treadle_agent_loop.workspace import Workspace, told_to_model


def build_write_file_tool() -> Tool:
    """Make the `write_file` tool; it runs alone, so calls beside it see the file or don't, in call
    order.
    """

    async def write_file(
        workspace: Workspace,
        path: Annotated[str, "The file; its folders are made."],
        content: Annotated[str, "All of it."],
    ) -> str:
        """Write a file, replacing what was in it. To change a part of a file use patch."""
        data = encode(content)
        with told_to_model():
            await workspace.write_file(path, data)
        lines = len(content.splitlines())
        return f"wrote {len(data)} bytes ({lines} line{'s' * (lines != 1)}) to {path}"

    return tool(concurrency=Concurrency.EXCLUSIVE)(write_file)


write_file_tool = build_write_file_tool()
"""The `write_file` tool."""
