"""The multi-turn agent loop with exact tokens and logprobs, tools and reward-time tool access."""

from treadle_agent_loop.chat_client import ChatClient
from treadle_agent_loop.compaction import DropOldest, StopAtLimit, Summarise
from treadle_agent_loop.context import CommandOutput, ToolContext
from treadle_agent_loop.errors import (
    AgentLoopError,
    ChatTemplateError,
    ContextLengthError,
    DuplicateToolError,
    HistoryRewrittenError,
    LedgerError,
    ModelRequestError,
    ModelServerError,
    ModelTimeoutError,
    TokenProtocolError,
    ToolDefinitionError,
    ToolError,
    ToolServerError,
    UnknownModelError,
    UnknownToolError,
    UnknownToolsetError,
)
from treadle_agent_loop.loop import AgentLoop
from treadle_agent_loop.model import (
    FinishReason,
    LedgerReport,
    Message,
    ModelClient,
    ModelSession,
    ModelTurn,
    SamplingParams,
    Segment,
    Usage,
)
from treadle_agent_loop.observer import LoopObserver
from treadle_agent_loop.rollout import RolloutResult, StopReason, ToolOutcome, ToolRecord
from treadle_agent_loop.standard_tools import (
    build_python_tool,
    build_terminal_tool,
    python_tool,
    terminal_tool,
)
from treadle_agent_loop.token_client import TokenClient
from treadle_agent_loop.tokens.chat_tokenizer import ChatTokenizer
from treadle_agent_loop.tokens.planning import RewritePolicy
from treadle_agent_loop.tools import Concurrency, Tool, ToolRegistry, ToolReply, tool
from treadle_agent_loop.workspace import CommandResult, Workspace

__all__ = [
    "AgentLoop",
    "AgentLoopError",
    "ChatClient",
    "ChatTemplateError",
    "ChatTokenizer",
    "CommandOutput",
    "CommandResult",
    "Concurrency",
    "ContextLengthError",
    "DropOldest",
    "DuplicateToolError",
    "FinishReason",
    "HistoryRewrittenError",
    "LedgerError",
    "LedgerReport",
    "LoopObserver",
    "Message",
    "ModelClient",
    "ModelRequestError",
    "ModelServerError",
    "ModelSession",
    "ModelTimeoutError",
    "ModelTurn",
    "RewritePolicy",
    "RolloutResult",
    "SamplingParams",
    "Segment",
    "StopAtLimit",
    "StopReason",
    "Summarise",
    "TokenClient",
    "TokenProtocolError",
    "Tool",
    "ToolContext",
    "ToolDefinitionError",
    "ToolError",
    "ToolOutcome",
    "ToolRecord",
    "ToolRegistry",
    "ToolReply",
    "ToolServerError",
    "UnknownModelError",
    "UnknownToolError",
    "UnknownToolsetError",
    "Usage",
    "Workspace",
    "build_python_tool",
    "build_terminal_tool",
    "python_tool",
    "terminal_tool",
    "tool",
]
