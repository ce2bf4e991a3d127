"""SGLang's side, run by the interpreter of an environment that has SGLang.

Called as its server calls it: `FunctionCallParser` by name, `parse_non_stream` for whole texts,
`parse_stream_chunk` and `parse_stream_end` for the stream.
"""

from importlib import import_module
from importlib.metadata import version
from typing import Any

from deltas import cut
from peer_loop import claim_stdout, serve


class SglangEngine:
    """One case in SGLang's parser."""

    def __init__(self, order: dict[str, Any]) -> None:
        protocol = import_module("sglang.srt.entrypoints.openai.protocol")
        module = import_module("sglang.srt.function_call.function_call_parser")
        self._class = module.FunctionCallParser
        self._name: str = order["parser"]
        self._tools = [protocol.Tool(**tool) for tool in order["tools"]]
        self._text: str = order["text"]
        self._deltas = cut(self._text, order["markers"])

    def whole(self) -> str:
        """Parse the text; return the arguments of its one call."""
        _, calls = self._class(self._tools, self._name).parse_non_stream(self._text)
        return "".join(call.parameters for call in calls)

    def stream(self) -> str:
        """Feed the deltas to a new parser; return the argument deltas, joined."""
        parser = self._class(self._tools, self._name)
        parts: list[str] = []
        for delta in self._deltas:
            _, calls = parser.parse_stream_chunk(delta)
            parts += [call.parameters or "" for call in calls]
        _, calls = parser.parse_stream_end()
        parts += [call.parameters or "" for call in calls]
        return "".join(parts)


def main() -> None:
    """Answer cases on stdin."""
    out = claim_stdout()
    module = import_module("sglang.srt.function_call.function_call_parser")
    names = [one for one in module.FunctionCallParser.ToolCallParserEnum if one not in _METADATA]
    serve(out, version=version("sglang"), names=names, make=SglangEngine)


_METADATA = ("response_template", "beam")
"""Names that read their format from a checkpoint."""


if __name__ == "__main__":
    main()
