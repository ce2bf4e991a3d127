"""A format as vLLM's `ToolParser`. Imported inside vLLM alone.

Both ways give the same: a whole text is fed once and closed. With no tools in the request, or with
`tool_choice="none"`, no text is a call. Where a call is demanded the model is held to the format's
own grammar, and what it writes is read as ever.
A thinking block that reaches this parser is passed on as content, for a reasoning parser stands
before it where one is configured. A release that never calls `finish_streaming` loses the few
characters that may begin a marker where a message ends with them.
"""

import json
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any, ClassVar

from treadle_parsers.parser import Parser
from treadle_parsers.shims.answers import AnswerStream, tool_schemas, whole_answer
from treadle_parsers.shims.constraints import constraint
from treadle_parsers.shims.vllm import engine

if TYPE_CHECKING:

    class _ToolParser:
        """What is used of vLLM's base class."""

        prev_tool_call_arr: list[dict[str, Any]]
        streamed_args_for_tool: list[str]

        def __init__(self, tokenizer: Any, tools: Any = None) -> None: ...

        def adjust_request(self, request: Any) -> Any: ...
else:
    _ToolParser = engine.tool_parsing("ToolParser")

_READS_DEMANDED = hasattr(_ToolParser, "supports_required_and_named")
"""Whether a demanded call may be written in the format; older releases have it in JSON always."""


class TreadleToolParser(_ToolParser):
    """Reads the calls of one format; the class of each format names its `parser`."""

    parser: ClassVar[Parser]
    engine_based_streaming: ClassVar[bool] = True
    """Deltas are enough: vLLM needn't keep the whole text, and ends the stream explicitly."""
    supports_required_and_named: ClassVar[bool] = False
    """Demanded calls are read here too, not as vLLM's JSON."""

    def __init__(self, tokenizer: Any, tools: Any = None, **_options: Any) -> None:
        super().__init__(tokenizer, *([tools] if tools is not None else []))
        self._request: Any = None
        self._stream: AnswerStream | None = None

    def adjust_request(self, request: Any) -> Any:
        """Keep special tokens in the text, for in many vocabularies the markers are special; hold
        the model to a call where one is demanded.
        """
        adjusted = super().adjust_request(request)
        if _reads(adjusted):
            adjusted.skip_special_tokens = False
            if _READS_DEMANDED and adjusted.tool_choice not in (None, "auto"):
                self._demand(adjusted)
        return adjusted

    def extract_tool_calls(self, model_output: str, request: Any) -> Any:
        """Return the calls and the content of a whole text."""
        answer: dict[str, Any] = {"content": model_output}
        if _reads(request):
            answer = whole_answer(self.parser, model_output, tool_schemas(request.tools))
        calls = [_call(call) for call in answer.get("tool_calls", ())]
        return engine.protocol("ExtractedToolCallInformation")(
            tools_called=bool(calls), tool_calls=calls, content=answer.get("content")
        )

    def extract_tool_calls_streaming(
        self,
        previous_text: str,
        current_text: str,
        delta_text: str,
        previous_token_ids: Sequence[int],
        current_token_ids: Sequence[int],
        delta_token_ids: Sequence[int],
        request: Any,
    ) -> Any:
        """Return what `delta_text` made certain, None when that is nothing."""
        if not _reads(request):
            return _message({"content": delta_text})
        if request is not self._request or self._stream is None:
            self._request = request
            self._stream = AnswerStream(self.parser, tool_schemas(request.tools))
        return self._told(self._stream.feed(delta_text))

    def finish_streaming(self) -> Any:
        """Return what the end of the text made certain."""
        stream, self._stream = self._stream, None
        return self._told(stream.close()) if stream else None

    def get_remaining_unstreamed_args(self) -> str:
        """Return nothing: arguments are sent as soon as they are certain."""
        return ""

    def _demand(self, request: Any) -> None:
        function = getattr(request.tool_choice, "function", request.tool_choice)
        tag = constraint(
            self.parser,
            tool_schemas(request.tools),
            only=getattr(function, "name", None),
            parallel=request.parallel_tool_calls is not False,
        )
        if tag is None:
            return
        params = import_module("vllm.sampling_params").StructuredOutputsParams
        request.structured_outputs = params(structural_tag=json.dumps(tag))
        field = "response_format" if hasattr(request, "response_format") else "text"
        setattr(request, field, None)  # another demand on the text, which would contradict

    def _told(self, delta: Mapping[str, Any]) -> Any:
        for call in delta.get("tool_calls", ()):
            if "id" in call:
                # Older servers count these, and send what the first holds and the second lacks.
                self.prev_tool_call_arr.append({"name": call["function"]["name"], "arguments": {}})
                self.streamed_args_for_tool.append("{}")
        return _message(delta)


def _reads(request: Any) -> bool:
    return bool(request.tools) and request.tool_choice != "none"


def _call(call: Mapping[str, Any]) -> Any:
    function = engine.protocol("FunctionCall")(**call["function"])
    return engine.protocol("ToolCall")(id=call["id"], type="function", function=function)


def _message(delta: Mapping[str, Any]) -> Any:
    """Return the delta as vLLM's own, with only the fields set that say something."""
    fields: dict[str, Any] = {}
    if delta.get("content"):
        fields["content"] = delta["content"]
    if delta.get("reasoning_content"):
        message = engine.protocol("DeltaMessage")
        new = "reasoning" in message.model_fields
        fields["reasoning" if new else "reasoning_content"] = delta["reasoning_content"]
    if delta.get("tool_calls"):
        fields["tool_calls"] = [_delta(call) for call in delta["tool_calls"]]
    return engine.protocol("DeltaMessage")(**fields) if fields else None


def _delta(call: Mapping[str, Any]) -> Any:
    function = engine.protocol("DeltaFunctionCall")(**call["function"])
    return engine.protocol("DeltaToolCall")(**{**call, "function": function})
