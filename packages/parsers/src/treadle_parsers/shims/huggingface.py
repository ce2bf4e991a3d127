"""Responses in the shape of Hugging Face's `tokenizer.parse_response`, in every format.

`parse_response` returns `{"role", "thinking", "content", "tool_calls"}` with the keys that have
something to say, arguments as objects, and only the calls that can be read. `attach` gives a
tokenizer of transformers 5 that method, for checkpoints without a `response_template`. Transformers
is needed for tokens and for tools given as functions, and is imported for the latter alone.
"""

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any, cast

from treadle_parsers import jsontext
from treadle_parsers.openai import READABLE
from treadle_parsers.records import ParsedMessage, ToolCall, ToolSchema
from treadle_parsers.registry import get_parser

THINKING = "thinking"
"""The key of the reasoning in transformers' documentation; some chat templates read
`reasoning_content` instead."""


def response_dict(message: ParsedMessage, *, reasoning_key: str = THINKING) -> dict[str, Any]:
    """Return a record as the message dict that chat templates take."""
    calls = [_call(call) for call in message.tool_calls if call.status in READABLE]
    fields = {reasoning_key: message.reasoning, "content": message.content, "tool_calls": calls}
    return {"role": "assistant", **{key: value for key, value in fields.items() if value}}


@dataclass(frozen=True, kw_only=True)
class ResponseReader:
    """A format's reader of responses, called as transformers calls `parse_response`."""

    format_name: str
    tokenizer: Any = None
    """Decodes token ids; not needed for text."""
    reasoning_key: str = THINKING
    original: Callable[..., Any] | None = None
    """The tokenizer's own method, for calls that pass a response template."""

    def __call__(
        self,
        response: Any,
        schema: Mapping[str, Any] | None = None,
        *,
        prefix: Any = None,
        tools: Iterable[Any] | None = None,
    ) -> Any:
        """Return the message of one response, or a list of them for a batch.

        `response` is text, token ids or a batch of either, and `prefix`, the end of the prompt,
        likewise: one for all or one for each. With a `schema` the tokenizer's own method answers.

        Raises: ValueError when there are neither as many prefixes as responses nor one; TypeError
        for token ids without a tokenizer.
        """
        if schema is not None and self.original is not None:
            return self.original(response, schema, prefix=prefix, tools=tools)
        texts = self._texts(response)
        prefixes = self._texts("" if prefix is None else prefix)
        several = [texts] if isinstance(texts, str) else texts
        begun = [prefixes] * len(several) if isinstance(prefixes, str) else prefixes or [""]
        if len(begun) == 1:
            begun *= len(several)
        if len(begun) != len(several):
            raise ValueError(
                f"{len(several)} responses came with {len(begun)} prefixes; "
                "pass one prefix, or one for each response"
            )
        known = None if tools is None else [_schema(tool) for tool in tools]
        said = [self._read(*pair, known) for pair in zip(several, begun, strict=True)]
        return said[0] if isinstance(texts, str) else said

    def _read(self, text: str, prefix: str, tools: Sequence[ToolSchema] | None) -> dict[str, Any]:
        message = get_parser(self.format_name).parse(text, tools, prefix=prefix)
        return response_dict(message, reasoning_key=self.reasoning_key)

    def _texts(self, given: Any) -> str | list[str]:
        if isinstance(given, str):
            return given
        if isinstance(given, list | tuple):
            items = cast("Sequence[Any]", given)
            if all(isinstance(item, str) for item in items):
                return list(items)
        if self.tokenizer is None:
            raise TypeError(
                "a response that isn't text needs a tokenizer; pass text, "
                "or make the reader with one"
            )
        return self.tokenizer.decode(given)


def parse_response(
    response: Any,
    format_name: str,
    *,
    prefix: Any = None,
    tools: Iterable[Any] | None = None,
    tokenizer: Any = None,
    reasoning_key: str = THINKING,
) -> Any:
    """Read `response` in the format `format_name`; see `ResponseReader`.

    Raises: UnknownParserError, and what `ResponseReader` raises.
    """
    get_parser(format_name)
    reader = ResponseReader(
        format_name=format_name, tokenizer=tokenizer, reasoning_key=reasoning_key
    )
    return reader(response, prefix=prefix, tools=tools)


def attach(tokenizer: Any, format_name: str, *, reasoning_key: str = THINKING) -> None:
    """Make `tokenizer.parse_response` read `format_name`.

    It is set on this object alone and not saved with it; attaching again replaces it.

    Raises: UnknownParserError.
    """
    get_parser(format_name)
    tokenizer.parse_response = ResponseReader(
        format_name=format_name,
        tokenizer=tokenizer,
        reasoning_key=reasoning_key,
        original=_own(tokenizer),
    )


def _own(tokenizer: Any) -> Callable[..., Any] | None:
    """Return the method of the tokenizer's class, bound; None where it has none."""
    method: Any = getattr(tokenizer.__class__, "parse_response", None)
    return method.__get__(tokenizer) if method else None


def _call(call: ToolCall) -> dict[str, Any]:
    value = jsontext.load(call.arguments)
    arguments = call.arguments if isinstance(value, jsontext.TooDeep) else value
    return {"type": "function", "function": {"name": call.name, "arguments": arguments}}


def _schema(tool: Any) -> ToolSchema:
    if inspect.isfunction(tool) or inspect.ismethod(tool):
        return _described(tool)
    return tool if "function" in tool else {"type": "function", "function": tool}


def _described(function: Callable[..., Any]) -> ToolSchema:
    try:
        utils = import_module("transformers.utils")
    except ModuleNotFoundError as error:
        raise ImportError(
            f"{error.name} isn't there; install treadle-parsers[huggingface], "
            "or pass tools as schemas"
        ) from error
    return utils.get_json_schema(function)
