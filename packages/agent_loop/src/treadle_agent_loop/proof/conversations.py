"""The small conversations that `check_template` puts to a chat template."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from treadle_agent_loop.model import Message
from treadle_parsers import ToolSchema

TOOL: ToolSchema = {
    "type": "function",
    "function": {
        "name": "lookup",
        "description": "Look a word up.",
        "parameters": {
            "type": "object",
            "properties": {"word": {"type": "string"}},
            "required": ["word"],
        },
    },
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversation:
    """A conversation whose assistant messages stand for sampled turns."""

    messages: tuple[Message, ...]
    tools: tuple[ToolSchema, ...] = ()
    truncated: bool = False
    """Whether the first turn is cut off, without a close."""


def _user(text: str) -> Message:
    return {"role": "user", "content": text}


def _answer(text: str, *words: str, thought: str = "") -> Message:
    message: Message = {"role": "assistant", "content": text}
    if thought:
        message["reasoning_content"] = thought
    if words:
        message["tool_calls"] = [_call(index, word) for index, word in enumerate(words)]
    return message


def _call(index: int, word: str) -> dict[str, Any]:
    function = {"name": "lookup", "arguments": {"word": word}}
    return {"id": f"call0000{index}", "type": "function", "function": function}


def _result(text: str, index: int = 0) -> Message:
    return {
        "role": "tool",
        "tool_call_id": f"call0000{index}",
        "name": "lookup",
        "content": text,
    }


_ASK = _user("What is a heddle?")
_DONE = _answer("It guides the warp.")
_MORE = _user("And a reed?")
_END = _answer("It beats the weft.")

CONVERSATIONS: Mapping[str, Conversation] = {
    "plain": Conversation(messages=(_ASK, _DONE, _MORE, _END)),
    "system": Conversation(
        messages=({"role": "system", "content": "Be brief."}, _ASK, _DONE, _MORE, _END)
    ),
    "tools": Conversation(
        messages=(_ASK, _answer("", "heddle"), _result("a loop"), _DONE, _MORE, _END),
        tools=(TOOL,),
    ),
    "parallel calls": Conversation(
        messages=(
            _ASK,
            _answer("", "heddle", "reed"),
            _result("a loop"),
            _result("a comb", 1),
            _DONE,
        ),
        tools=(TOOL,),
    ),
    "thinking": Conversation(
        messages=(_ASK, _answer("It guides the warp.", thought="Looms, then."), _MORE, _END)
    ),
    "thinking and tools": Conversation(
        messages=(_ASK, _answer("", "heddle", thought="I look it up."), _result("a loop"), _DONE),
        tools=(TOOL,),
    ),
    "tool error": Conversation(
        messages=(
            _ASK,
            _answer("", "heddle"),
            _result("exit code 1\nNameError: heddle"),
            _answer("", "reed"),
            _result(""),
            _DONE,
        ),
        tools=(TOOL,),
    ),
    "unicode": Conversation(
        messages=(_user("Was heißt 綜絖? 🧵"), _answer("Litze é\u0301 🧵"), _user("Ümlaut\n"), _END)
    ),
    "truncated turn": Conversation(messages=(_ASK, _DONE, _MORE, _END), truncated=True),
}
