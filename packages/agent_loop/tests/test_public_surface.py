import treadle_agent_loop
import treadle_agent_loop.standard_tools
import treadle_agent_loop.testing
import treadle_agent_loop.tokens


def test_the_public_names_are_pinned():
    assert treadle_agent_loop.__all__ == sorted(treadle_agent_loop.__all__)
    assert set(treadle_agent_loop.__all__) == {
        *("AgentLoop", "AgentLoopError", "ChatClient", "ChatTemplateError", "ChatTokenizer"),
        *("CommandOutput", "CommandResult", "ContextLengthError", "DuplicateToolError"),
        *("Concurrency", "DropOldest", "LoopObserver", "StopAtLimit", "Summarise"),
        *("ToolServerError", "UnknownToolsetError"),
        *("FinishReason", "HistoryRewrittenError", "LedgerError", "LedgerReport", "Message"),
        *("ModelClient", "ModelRequestError", "ModelServerError", "ModelSession"),
        *("ModelTimeoutError", "ModelTurn", "RewritePolicy", "RolloutResult", "SamplingParams"),
        *("Segment", "StopReason", "TokenClient", "TokenProtocolError", "Tool", "ToolContext"),
        *("ToolDefinitionError", "ToolError", "ToolOutcome", "ToolRecord", "ToolRegistry"),
        *("ToolReply", "UnknownModelError", "UnknownToolError", "Usage", "Workspace"),
        *("build_python_tool", "build_terminal_tool", "python_tool", "terminal_tool", "tool"),
    }


def test_the_standard_tools_are_pinned():
    names = treadle_agent_loop.standard_tools.__all__
    assert names == sorted(names)
    tools = ("patch", "process", "python", "python_session", "read_file", "search_files")
    assert set(names) == {
        name
        for tool in (*tools, "terminal", "write_file")
        for name in (f"{tool}_tool", f"build_{tool}_tool")
    }


def test_every_public_name_exists():
    for module in (
        treadle_agent_loop,
        treadle_agent_loop.standard_tools,
        treadle_agent_loop.testing,
        treadle_agent_loop.tokens,
    ):
        for name in module.__all__:
            assert getattr(module, name) is not None
