"""A format as SGLang's `BaseFormatDetector`. Imported inside SGLang alone; tested with 0.5.23.

Both ways give the same: a whole text is fed once and closed. `tool_index` counts the calls of the
message. Calls of tools that the request doesn't have are returned too, for the client to refuse. A
thinking block that reaches the detector is passed on as text, for SGLang's reasoning parser stands
before it where one is configured.
"""

from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any, ClassVar

from treadle_parsers.parser import Parser
from treadle_parsers.registry import get_parser
from treadle_parsers.shims.answers import AnswerStream, tool_schemas, whole_answer
from treadle_parsers.shims.constraints import constraint


def _sglang(module: str) -> Any:
    try:
        return import_module(f"sglang.srt.function_call.{module}")
    except ModuleNotFoundError as error:
        raise ImportError(
            f"{error.name} isn't there: this module works inside SGLang; "
            "install treadle-parsers in the environment of the server"
        ) from error


_base = _sglang("base_format_detector")
_types = _sglang("core_types")
_parsing = _sglang("function_call_parser")

if TYPE_CHECKING:

    class _BaseFormatDetector:
        """What is used of SGLang's base class."""

else:
    _BaseFormatDetector = _base.BaseFormatDetector

DETECTORS: dict[str, Any] = _parsing.FunctionCallParser.ToolCallParserEnum
"""SGLang's own table of names."""


class TreadleDetector(_BaseFormatDetector):
    """Reads the calls of one format; the class of each format names it in `format_name`."""

    format_name: ClassVar[str]

    def __init__(self) -> None:
        super().__init__()
        self._parser: Parser = get_parser(self.format_name)
        self._stream: AnswerStream | None = None

    def has_tool_call(self, text: str) -> bool:
        """Say whether `text` holds a marker that may begin a call."""
        bodies = self._parser.format.bodies
        return any(opener in text for body in bodies for opener in body.openers)

    def detect_and_parse(self, text: str, tools: Sequence[Any]) -> Any:
        """Return the calls and the other text of a whole text."""
        return _result(whole_answer(self._parser, text, tool_schemas(tools)))

    def parse_streaming_increment(self, new_text: str, tools: Sequence[Any]) -> Any:
        """Return what `new_text` made certain."""
        if self._stream is None:
            self._stream = AnswerStream(self._parser, tool_schemas(tools))
        return _result(self._stream.feed(new_text))

    def finish(self, tools: Sequence[Any]) -> Any:
        """Return what the end of the text made certain."""
        stream, self._stream = self._stream, None
        return _result(stream.close() if stream else {})

    def supports_structural_tag(self) -> bool:
        """Say that demanded calls are written in the format, not as SGLang's JSON array."""
        return True

    def get_structural_tag(
        self,
        tools: Sequence[Any] | None = None,
        tool_choice: Any = "auto",
        thinking_mode: bool = False,
        parallel_tool_calls: bool = True,
    ) -> Any:
        """Return the grammar of a format whose arguments aren't one JSON object; None for others,
        which SGLang builds itself from `structure_info`.
        """
        if not tools or self._arguments_are_json():
            return None
        tag = constraint(
            self._parser,
            tool_schemas(tools),
            choice="auto" if tool_choice == "auto" else "required",
            only=getattr(getattr(tool_choice, "function", None), "name", None),
            parallel=parallel_tool_calls,
        )
        return _base.StructuralTag.model_validate(tag) if tag else None

    def structure_info(self) -> Any:
        """Return the function that tells what stands around the arguments of a tool's call."""
        both = self._tags(["a", "b"])["triggers"][0]
        openers = (opener for body in self._parser.format.bodies for opener in body.openers)
        trigger = next((opener for opener in openers if both.startswith(opener)), both)

        def info(name: str) -> Any:
            tag = self._tags([name])["tags"][0]
            return _types.StructureInfo(begin=tag["begin"], end=tag["end"], trigger=trigger)

        return info

    def _arguments_are_json(self) -> bool:
        contents = {tag["content"]["type"] for tag in self._tags(["a", "b"])["tags"]}
        return contents == {"json_schema"}

    def _tags(self, names: Sequence[str]) -> dict[str, Any]:
        tools = [{"type": "function", "function": {"name": name}} for name in names]
        return self._parser.structural_tag(tools)["format"]


def detector_of(name: str) -> type[TreadleDetector]:
    """Return the detector class of the format `name`."""
    return type(f"TreadleDetector_{name}", (TreadleDetector,), {"format_name": name})


def _result(delta: Mapping[str, Any]) -> Any:
    calls = [_item(call) for call in delta.get("tool_calls", ())]
    return _types.StreamingParseResult(normal_text=delta.get("content", ""), calls=calls)


def _item(call: Mapping[str, Any]) -> Any:
    function = call["function"]
    return _types.ToolCallItem(
        tool_index=call["index"], name=function.get("name"), parameters=function["arguments"]
    )
