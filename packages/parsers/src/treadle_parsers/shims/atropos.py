"""A translator for atroposlib's `ManagedServer` that needs no vLLM.

It has the methods of `atroposlib.envs.server_handling.tool_call_translator.ToolCallTranslator`
(0.4) and reads and writes every format of this package. `install()` puts it in that class's place
for all managed servers made afterwards. Nothing of atroposlib is imported before.

Where that one guesses or loses something, this one differs: one bad call doesn't hide the others,
ids are unique over a conversation, a message that the caller changed is rendered in the model's own
format, and the end-of-turn token isn't kept, for the chat template writes it again.
"""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Literal

from treadle_parsers.coercion import encode
from treadle_parsers.events import CallStart
from treadle_parsers.openai import READABLE
from treadle_parsers.parser import Parser
from treadle_parsers.records import CallStatus, Span, ToolCall, ToolSchema
from treadle_parsers.registry import get_parser
from treadle_parsers.shims.answers import answer_parser, fresh_id

_MODULE = "atroposlib.envs.server_handling.tool_call_translator"
_NAME = "ToolCallTranslator"
_PROXY = "atroposlib.envs.server_handling.managed_server_proxy"
_CHATML_END = "<|im_end|>"


@dataclass(frozen=True, slots=True, kw_only=True)
class TranslatedFunction:
    """What a translated call calls."""

    name: str
    arguments: str
    """JSON text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TranslatedCall:
    """A tool call with the attributes of an OpenAI tool call."""

    id: str
    function: TranslatedFunction
    type: Literal["function"] = "function"


class ToolCallTranslator:
    """Turns model text into tool calls, and messages with tool calls back into model text."""

    def __init__(self, tokenizer: Any, parser_name: str = "hermes") -> None:
        """`parser_name` is any name that `get_parser` takes. Raises: UnknownParserError."""
        self.tokenizer = tokenizer
        self.parser_name = parser_name
        self.parser: Parser = get_parser(parser_name)
        self.call_id_to_raw_text: dict[str, str] = {}
        """The text of the message that each call came from, by the call's id."""
        self._told: dict[str, TranslatedFunction] = {}

    def parse_model_output(
        self,
        raw_text: str,
        tool_choice: str | None = None,
        tools: Sequence[ToolSchema] | None = None,
    ) -> tuple[str | None, list[TranslatedCall] | None, str]:
        """Return content, calls and finish reason; calls that can't be read are left in the text.

        Without tools, or with `tool_choice="none"`, the text is returned as it is.
        """
        if tool_choice == "none" or not tools:
            return raw_text, None, "stop"
        text = self._without_end(raw_text)
        message = answer_parser(self.parser.format).parse(text, tools)
        calls = [self._call(call) for call in message.tool_calls if call.status in READABLE]
        for call in calls:
            self.call_id_to_raw_text[call.id] = text
            self._told[call.id] = call.function
        if calls:
            return message.content or None, calls, "tool_calls"
        return (text if message.tool_calls else message.content), None, "stop"

    def reconstruct_raw_text_from_tool_calls(
        self, tool_calls: Sequence[Mapping[str, Any]], *, content: str = ""
    ) -> str:
        """Return the model's text for a message with these calls and `content`.

        It is what the model wrote where the calls are those of one of its messages, unchanged, and
        rendered otherwise. Raises: RenderError when the format can't write a call.
        """
        if not tool_calls:
            return content
        functions = [_function(call) for call in tool_calls]
        ids = [str(call.get("id", "")) for call in tool_calls]
        texts = {self.call_id_to_raw_text.get(one) for one in ids}
        if (
            texts != {None}
            and len(texts) == 1
            and [self._told.get(one) for one in ids] == functions
        ):
            return self.call_id_to_raw_text[ids[0]]
        calls = [_record(place, ids[place], one) for place, one in enumerate(functions)]
        return self.parser.render(calls, content=content)

    def convert_messages_for_template(
        self, messages: Sequence[Mapping[str, Any]]
    ) -> list[dict[str, Any]]:
        """Return the messages with the model's text in place of tool calls, others as they are."""
        return [self._converted(message) for message in messages]

    def decode_with_tool_awareness(self, token_ids: Sequence[int], has_tools: bool = False) -> str:
        """Decode tokens; with tools, special tokens are kept, for markers may be special."""
        return self.tokenizer.decode(token_ids, skip_special_tokens=not has_tools)

    def _converted(self, message: Mapping[str, Any]) -> dict[str, Any]:
        calls = message.get("tool_calls")
        if message.get("role") != "assistant" or not calls:
            return dict(message)
        content = message.get("content") or ""
        text = self.reconstruct_raw_text_from_tool_calls(calls, content=content)
        return {"role": "assistant", "content": text}

    def _call(self, call: ToolCall) -> TranslatedCall:
        start = CallStart(call.index, call.id, call.name)
        function = TranslatedFunction(name=call.name, arguments=call.arguments)
        return TranslatedCall(id=fresh_id(self.parser.format, start), function=function)

    def _without_end(self, text: str) -> str:
        ends = [getattr(self.tokenizer, "eos_token", None)]
        ends += [one for one in self.parser.format.framing if one == _CHATML_END]
        for end in ends:
            text = text.removesuffix(end or "")
        return text


def install() -> None:
    """Make atroposlib use this translator. Raises: ImportError where atroposlib isn't installed."""
    try:
        module = import_module(_MODULE)
    except ModuleNotFoundError as error:
        raise ImportError(f"{error.name} isn't there; install treadle-parsers[atropos]") from error
    setattr(module, _NAME, ToolCallTranslator)
    if _PROXY in sys.modules:  # it has taken the name already
        setattr(sys.modules[_PROXY], _NAME, ToolCallTranslator)


def _function(call: Mapping[str, Any]) -> TranslatedFunction:
    function: Mapping[str, Any] = call.get("function", {})
    arguments = function.get("arguments", "{}")
    text = arguments if isinstance(arguments, str) else encode(arguments)
    return TranslatedFunction(name=str(function.get("name", "")), arguments=text)


def _record(index: int, call_id: str, function: TranslatedFunction) -> ToolCall:
    return ToolCall(
        name=function.name,
        arguments=function.arguments,
        id=call_id,
        index=index,
        status=CallStatus.OK,
        span=Span(start=0, end=0),
        raw="",
    )
