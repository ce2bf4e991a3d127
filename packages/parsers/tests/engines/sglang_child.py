"""Runs in SGLang's interpreter: registers the detectors and parses what it is told.

Each line of stdin is an order, each line of stdout its answer. Content and calls come from
`FunctionCallParser`, called as SGLang's server calls it.
"""

import json
import os
import sys
from importlib import import_module
from typing import Any


def whole(made: Any, text: str) -> dict[str, Any]:
    content, calls = made.parse_non_stream(text)
    return {"content": content, "calls": [[call.name, call.parameters] for call in calls]}


def stream(made: Any, deltas: list[str]) -> dict[str, Any]:
    content, calls = "", {}
    for told in (*map(made.parse_stream_chunk, deltas), made.parse_stream_end()):
        content += told[0]
        for call in told[1]:
            if call.name:
                assert call.tool_index not in calls, "a call began twice"
                calls[call.tool_index] = [call.name, ""]
            calls[call.tool_index][1] += call.parameters
    return {"content": content, "calls": [calls[index] for index in sorted(calls)]}


def constraint(made: Any, choice: Any) -> str:
    """The kind of the constraint; one that isn't a grammar for xgrammar fails here."""
    kind, tag = made.get_structure_constraint(choice, parallel_tool_calls=False)
    if not hasattr(tag, "structures"):
        import_module("xgrammar").Grammar.from_structural_tag(tag)
    return kind


def answer(order: dict[str, Any]) -> dict[str, Any]:
    protocol = import_module("sglang.srt.entrypoints.openai.protocol")
    parsing = import_module("sglang.srt.function_call.function_call_parser")
    tools = [protocol.Tool(**tool) for tool in order["tools"]]

    def made() -> Any:
        return parsing.FunctionCallParser(tools, order["tool_parser"])

    named = protocol.ToolChoice(function={"name": tools[0].function.name})
    return {
        "whole": whole(made(), order["text"]),
        "streams": [stream(made(), deltas) for deltas in order["streams"]],
        "constraints": [constraint(made(), choice) for choice in ("required", named)],
        "native": made().owns_tool_format(),
    }


def main() -> None:
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    import_module("treadle_parsers.shims.sglang").register()
    parsing = import_module("sglang.srt.function_call.function_call_parser")
    arguments = import_module("sglang.srt.server_args")
    listed = {
        "table": list(parsing.FunctionCallParser.ToolCallParserEnum),
        "choices": list(arguments._tool_call_parser_choices()),
    }
    out.write(json.dumps(listed) + "\n")
    out.flush()
    for line in sys.stdin:
        out.write(json.dumps(answer(json.loads(line))) + "\n")
        out.flush()


if __name__ == "__main__":
    main()
