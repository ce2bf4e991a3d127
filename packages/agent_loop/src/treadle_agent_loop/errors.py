"""Errors of the agent loop.

    AgentLoopError
    |-- ModelServerError      (ConnectionError) unreachable, or still failing after the retries
    |-- ModelTimeoutError     (TimeoutError)    one request took longer than its limit
    |-- ModelRequestError     (ValueError)      the server refused the request (4xx)
    |-- ContextLengthError    (ValueError)      the prompt leaves no room for an answer
    |-- UnknownModelError     (LookupError)     the server doesn't offer that model
    |-- TokenProtocolError    (ValueError)      token ids missing or not those sent
    |-- ChatTemplateError     (ValueError)      no template, or it ignores tools
    |-- HistoryRewrittenError (RuntimeError)    history rewritten, policy `refuse`
    |-- LedgerError           (RuntimeError)    a promise of the token ledger doesn't hold
    |-- SavedRolloutError     (ValueError)      a line of a saved run is no rollout
    |-- TruncatedRecordError  (EOFError)        the last line of a saved run is half written
    |-- ReplayMismatchError   (ValueError)      a replayed run asks what wasn't recorded
    |-- LaunchError           (RuntimeError)    an engine can't be started, or ended by itself
    |-- ToolDefinitionError   (TypeError)       a function can't become a tool
    |-- DuplicateToolError    (ValueError)      two tools with one name
    |-- UnknownToolError      (LookupError)     no tool of that name
    |-- UnknownToolsetError   (LookupError)     no toolset of that name
    |-- ToolServerError       (ConnectionError) an MCP server died, or can't be started
    |-- ToolCancelledError    (RuntimeError)    a tool was cancelled from inside, by what it used
    `-- ToolError             (RuntimeError)    raised by tools: its text is for the model

What the model does wrong is never an exception: malformed calls, bad arguments and failing tools
are text for the model and records in the result.
"""


class AgentLoopError(Exception):
    """Root of everything this package raises on purpose."""


class ModelServerError(AgentLoopError, ConnectionError):
    """The model server can't be reached or kept failing; the cause is chained."""

    def __init__(self, message: str, *, status: int | None = None, answered: bool = False) -> None:
        super().__init__(message)
        self.status = status
        """HTTP status of the last failure, where there was an answer."""
        self.answered = answered
        """Whether the server answered, with something that is no answer to the request."""


class ModelTimeoutError(AgentLoopError, TimeoutError):
    """One request to the model server took longer than its limit."""


class ModelRequestError(AgentLoopError, ValueError):
    """The model server refused the request; the message is the server's."""

    def __init__(self, message: str, *, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status
        """HTTP status, where there was an answer."""


class ContextLengthError(AgentLoopError, ValueError):
    """The prompt leaves no room for an answer in the context window."""


class UnknownModelError(AgentLoopError, LookupError):
    """The server doesn't offer the model; the message names those it does."""


class TokenProtocolError(AgentLoopError, ValueError):
    """The server's token data can't be trusted: no ids, or another prompt than the one sent."""


class ChatTemplateError(AgentLoopError, ValueError):
    """The tokenizer has no chat template, it ignores tools, or it refuses the messages."""


class HistoryRewrittenError(AgentLoopError, RuntimeError):
    """The chat template rewrote earlier text and the rewrite policy is `refuse`."""


class LedgerError(AgentLoopError, RuntimeError):
    """A promise of the token ledger doesn't hold; the rollout must not be trained on."""


class SavedRolloutError(AgentLoopError, ValueError):
    """A line of a saved run can't be read as a rollout; the message names the field."""


class TruncatedRecordError(AgentLoopError, EOFError):
    """The last line of a saved run is half written: the writer was cut off; the rest is whole."""


class ReplayMismatchError(AgentLoopError, ValueError):
    """A replayed run asks what wasn't recorded; one line, which shows the first difference."""


class LaunchError(AgentLoopError, RuntimeError):
    """A serving engine can't be started as asked, or ended by itself; one line for the user."""


class ToolDefinitionError(AgentLoopError, TypeError):
    """A function can't become a tool: the message names the parameter and the remedy."""


class DuplicateToolError(AgentLoopError, ValueError):
    """Two tools with one name."""


class UnknownToolError(AgentLoopError, LookupError):
    """No tool of that name; the message lists those there are."""


class UnknownToolsetError(AgentLoopError, LookupError):
    """No toolset of that name; the message lists those there are."""


class ToolServerError(AgentLoopError, ConnectionError):
    """A server of tools can't be started or reached, or died; the rollout can't go on."""


class ToolCancelledError(AgentLoopError, RuntimeError):
    """A tool ended as cancelled and nobody had cancelled it: what it waited for was shut down."""


class ToolError(AgentLoopError, RuntimeError):
    """Raised by a tool to tell the model what went wrong; never ends a rollout."""
