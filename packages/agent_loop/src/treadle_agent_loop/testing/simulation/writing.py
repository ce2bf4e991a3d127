"""What a simulated model, user and tool write: prose, markers, calls good and bad, odd ids."""

import json
import random
from collections.abc import Sequence
from typing import Any

from treadle_agent_loop.model import Message
from treadle_agent_loop.testing.families import Family
from treadle_agent_loop.testing.scripted import call
from treadle_agent_loop.tokens.chat_tokenizer import ChatTokenizer
from treadle_parsers import ToolSchema, get_parser

_WORDS = (
    "warp",
    "weft",
    " ",
    "  ",
    "\n",
    "\n\n",
    "é",
    "e\u0301",
    "😀",
    "綜",
    "{",
    '"',
    "</",
    "\\n",
)


def tool_schema(name: str) -> ToolSchema:
    """Return the schema of a tool with one text parameter and one free one."""
    properties = {"text": {"type": "string"}, "extra": {}}
    parameters = {"type": "object", "properties": properties, "required": ["text"]}
    function = {"name": name, "description": "Say it back.", "parameters": parameters}
    return {"type": "function", "function": function}


class Writer:
    """Writes for one family, out of one source of randomness."""

    def __init__(self, family: Family, tokenizer: ChatTokenizer, rng: random.Random) -> None:
        self._family = family
        self._tokenizer = tokenizer
        self._rng = rng
        self._parser = get_parser(family.parser)
        self._pieces = (*_WORDS, *family.control, *family.added, "<think>", "</think>")

    def text(self, most: int = 6) -> str:
        """Return a content: empty, prose, or prose with markers."""
        count = self._rng.randrange(most + 1)
        return "".join(self._rng.choice(self._pieces) for _ in range(count))

    def answer(self) -> list[int]:
        """Return the ids of a turn, in pieces that needn't be what the tokenizer would make."""
        rng = self._rng
        body = self._said()
        close = rng.choices(
            (self._family.close, *self._family.other_closes, ""),
            (8, *(1 for _ in self._family.other_closes), 1),
        )[0]
        ids: list[int] = []
        while body:
            cut = len(body) if rng.random() < 0.6 else rng.randint(1, len(body))
            ids += self._tokenizer.encode(body[:cut])
            body = body[cut:]
        return [*ids, *self._tokenizer.encode(close)]

    def reserialised(self, messages: Sequence[Message]) -> list[Message]:
        """Return a history as a scaffold may send it back: same meaning, other spelling."""
        return [self._respelt(message) for message in messages]

    def _said(self) -> str:
        rng = self._rng
        reasoning = self.text(3) if rng.random() < 0.4 else ""
        if rng.random() < 0.1:
            return self.text(8)
        calls = [call("echo", **self._arguments()) for _ in range(rng.choice((0, 1, 1, 1, 2, 3)))]
        body = self._parser.render(calls, content=self.text(4), reasoning=reasoning)
        if rng.random() < 0.05:
            return body[: rng.randint(0, len(body))]
        return body

    def _arguments(self) -> dict[str, Any]:
        arguments: dict[str, Any] = {"text": self.text(3)}
        if self._rng.random() < 0.3:
            arguments["extra"] = self._rng.choice((1, 1.5, True, None, ["é"], {"b": 1, "a": 2}))
        return arguments

    def _respelt(self, message: Message) -> Message:
        copy = dict(message)
        if message["role"] != "assistant":
            return copy
        copy["content"] = str(message["content"]).rstrip() + self._rng.choice(("", " ", "\n"))
        if message.get("tool_calls"):
            copy["tool_calls"] = [self._respelt_call(entry) for entry in message["tool_calls"]]
        return copy

    def _respelt_call(self, entry: dict[str, Any]) -> dict[str, Any]:
        function = dict(entry["function"])
        try:
            arguments: Any = json.loads(function["arguments"])
        except ValueError:
            return entry
        if isinstance(arguments, dict):
            function["arguments"] = json.dumps(
                arguments, indent=self._rng.choice((None, 1)), sort_keys=True, ensure_ascii=False
            )
        return {**entry, "function": function}
