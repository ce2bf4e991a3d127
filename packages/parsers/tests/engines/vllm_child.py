"""Runs in vLLM's interpreter: loads the plugin as the server does and parses what it is told.

Each line of stdin is an order, each line of stdout its answer. Content, reasoning and calls come
from `parse` and, for each list of deltas, from `parse_delta`, of the class that vLLM's server makes
for the two names.
"""

import json
import os
import sys
from importlib import import_module
from typing import Any


class Tokenizer:
    """A vocabulary of characters, with a chat template that writes the same prompt always."""

    chat_template = "given"

    def __init__(self, prompt: str) -> None:
        self.prompt = prompt

    def apply_chat_template(self, messages: list[dict[str, str]], **_options: Any) -> str:
        return self.prompt

    def get_vocab(self) -> dict[str, int]:
        return {}

    def decode(self, ids: list[int], **_options: Any) -> str:
        return "".join(map(chr, ids))


def _said(reasoning: str | None, content: str | None, calls: list[Any]) -> dict[str, Any]:
    return {"reasoning": reasoning or "", "content": content or "", "calls": calls}


def whole(parser: Any, order: dict[str, Any], request: Any) -> dict[str, Any]:
    parser.set_prompt_token_ids([ord(char) for char in order["prompt"]])
    reasoning, content, calls = parser.parse(order["text"], request, enable_auto_tools=True)
    return _said(reasoning, content, [[call.name, call.arguments] for call in calls or []])


def stream(parser: Any, order: dict[str, Any], request: Any, deltas: list[str]) -> dict[str, Any]:
    texts = {"reasoning": "", "content": ""}
    calls: dict[int, list[str]] = {}
    ids: set[str] = set()
    for place, delta in enumerate(deltas):
        told = parser.parse_delta(
            delta,
            [ord(char) for char in delta],
            request,
            [ord(char) for char in order["prompt"]],
            finished=place == len(deltas) - 1,
        )
        if told is None:
            continue
        for key in texts:
            texts[key] += getattr(told, key) or ""
        for call in told.tool_calls:
            if call.id:
                assert call.id not in ids, "an id came twice"
                assert call.index not in calls, "a call began twice"
                ids.add(call.id)
                calls[call.index] = [call.function.name, ""]
            calls[call.index][1] += call.function.arguments or ""
    return _said(texts["reasoning"], texts["content"], [calls[index] for index in sorted(calls)])


def answer(order: dict[str, Any]) -> dict[str, Any]:
    protocol = import_module("vllm.entrypoints.openai.chat_completion.protocol")
    request = protocol.ChatCompletionRequest(
        model="m",
        messages=[{"role": "user", "content": "go"}],
        tools=order["tools"],
        tool_choice=order["tool_choice"],
    )
    tokenizer = Tokenizer(order["prompt"])
    made = import_module("vllm.parser").ParserManager.get_parser(
        tool_parser_name=order["tool_parser"],
        reasoning_parser_name=order["reasoning_parser"],
        enable_auto_tools=True,
        tokenizer=tokenizer,
    )
    adjusted = made(tokenizer, request.tools).adjust_request(request)
    held = adjusted.structured_outputs
    return {
        "whole": whole(made(tokenizer, request.tools), order, request),
        "streams": [
            stream(made(tokenizer, request.tools), order, request, deltas)
            for deltas in order["streams"]
        ],
        "skip_special_tokens": adjusted.skip_special_tokens,
        "structural_tag": held and held.structural_tag,
    }


def main() -> None:
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    tools = import_module("vllm.tool_parsers").ToolParserManager
    reasoning = import_module("vllm.reasoning").ReasoningParserManager
    tools.import_tool_parser(sys.argv[1])
    reasoning.import_reasoning_parser(sys.argv[1])
    listed = {"tools": tools.list_registered(), "reasoning": reasoning.list_registered()}
    out.write(json.dumps(listed) + "\n")
    out.flush()
    for line in sys.stdin:
        out.write(json.dumps(answer(json.loads(line))) + "\n")
        out.flush()


if __name__ == "__main__":
    main()
