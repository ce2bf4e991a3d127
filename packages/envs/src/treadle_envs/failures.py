"""Telling failures apart: which are worth another attempt, and which one to report of several."""

from typing import Any

from treadle_agent_loop.errors import AgentLoopError
from treadle_envs.errors import EnvsError
from treadle_parsers import ParserError
from treadle_sandbox import SandboxError, SlotStartError

EXPECTED = (EnvsError, AgentLoopError, SandboxError, ParserError, OSError)
"""What a command line ends on with one line: wrong settings, bad data, failing infrastructure."""

TRANSIENT = (ConnectionError, TimeoutError, SlotStartError)
"""Failures of infrastructure: another attempt may not meet them. An unreachable, failing or slow
model server, a lost sandbox and a lease that came too late all inherit from the first two.
"""


def first_error(failures: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return the first failure of a task group that is no group itself."""
    leaf: Any = failures
    while isinstance(leaf, BaseExceptionGroup):
        leaf = leaf.exceptions[0]  # pyright: ignore[reportUnknownVariableType, reportUnknownMemberType]
    return leaf  # pyright: ignore[reportUnknownVariableType]


def error_line(error: BaseException) -> str:
    """Return an error as the one line that a command line ends with."""
    return f"error: {' '.join(str(error).split())}"
