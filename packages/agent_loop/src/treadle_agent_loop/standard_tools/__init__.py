"""The ready tools on the `Workspace` protocol, one per file; names in brackets are the model's.

Files and processes: `terminal_tool` [terminal], `process_tool` [process], `read_file_tool`
[read_file], `write_file_tool` [write_file], `patch_tool` [patch], `search_files_tool`
[search_files]. Python: `python_tool` [python] starts afresh for every call, `python_session_tool`
[python] keeps its variables. Every tool has a `build_...` function with its settings.
"""

from treadle_agent_loop.standard_tools.patch import build_patch_tool, patch_tool
from treadle_agent_loop.standard_tools.process import build_process_tool, process_tool
from treadle_agent_loop.standard_tools.python_script import build_python_tool, python_tool
from treadle_agent_loop.standard_tools.python_session import (
    build_python_session_tool,
    python_session_tool,
)
from treadle_agent_loop.standard_tools.read_file import build_read_file_tool, read_file_tool
from treadle_agent_loop.standard_tools.search_files import (
    build_search_files_tool,
    search_files_tool,
)
from treadle_agent_loop.standard_tools.terminal import build_terminal_tool, terminal_tool
from treadle_agent_loop.standard_tools.write_file import build_write_file_tool, write_file_tool

__all__ = [
    "build_patch_tool",
    "build_process_tool",
    "build_python_session_tool",
    "build_python_tool",
    "build_read_file_tool",
    "build_search_files_tool",
    "build_terminal_tool",
    "build_write_file_tool",
    "patch_tool",
    "process_tool",
    "python_session_tool",
    "python_tool",
    "read_file_tool",
    "search_files_tool",
    "terminal_tool",
    "write_file_tool",
]
