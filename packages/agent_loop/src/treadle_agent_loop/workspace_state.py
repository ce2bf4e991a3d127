"""The loop's own folder in a workspace: full results, background jobs, the Python session.

It lies in the working directory, so that the model's tools can read it by a short path and it goes
when the workspace does. It ignores itself for git. What is in it was in the model's hands: it is
never trusted.
"""

from treadle_agent_loop.workspace import Workspace

STATE_FOLDER = ".treadle"


async def state_file(workspace: Workspace, name: str, data: bytes) -> str:
    """Write a file of the state folder and return its path from the working directory."""
    path = f"{STATE_FOLDER}/{name}"
    await workspace.write_file(f"{STATE_FOLDER}/.gitignore", b"*\n")
    await workspace.write_file(path, data)
    return path
