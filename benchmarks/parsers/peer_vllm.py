"""vLLM's side, run by the interpreter of an environment that has vLLM.

Built as its server builds it: `ParserManager` composes the class around the tool parser's name,
one object serves one request, `parse` takes whole texts and `parse_delta` the stream.
"""

import os
from collections.abc import Iterable
from importlib import import_module
from typing import Any

from deltas import cut
from peer_loop import claim_stdout, serve


class Vocabulary(dict[str, int]):
    """A vocabulary that has every special token a parser asks for.

    Each format's checkpoint has its own; most parsers refuse a vocabulary without their markers.
    """

    def __contains__(self, token: object) -> bool:
        return isinstance(token, str) and bool(self[token])

    def __missing__(self, token: str) -> int:
        self[token] = 100_000 + len(self)
        return self[token]

    def get(self, token: str, default: Any = None) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Return the id of `token`, a new one when it has none."""
        return self[token]


class Tokenizer:
    """What vLLM's parsers use of a tokenizer."""

    def __init__(self, markers: Iterable[str]) -> None:
        self.vocabulary = Vocabulary()
        self.ids = self.vocabulary.get
        for marker in markers:
            self.ids(marker)
        self._texts: dict[int, str] = {}

    def get_vocab(self) -> dict[str, int]:
        """Return tokens to ids."""
        return self.vocabulary

    def convert_tokens_to_ids(self, token: str) -> int:
        """Return the id of `token`."""
        return self.vocabulary[token]

    def encode(self, text: str, **_options: Any) -> list[int]:
        """Return the ids of the pieces of `text`."""
        return [self.vocabulary[piece] for piece in cut(text, [text])]

    def decode(self, ids: Iterable[int] | int, **_options: Any) -> str:
        """Return the text of `ids`."""
        if len(self._texts) != len(self.vocabulary):
            self._texts = {number: text for text, number in self.vocabulary.items()}
        return "".join(self._texts[one] for one in ([ids] if isinstance(ids, int) else ids))


class VllmEngine:
    """One case in vLLM's parser."""

    def __init__(self, order: dict[str, Any]) -> None:
        manager = import_module("vllm.parser").ParserManager
        protocol = import_module("vllm.entrypoints.openai.chat_completion.protocol")
        self._text: str = order["text"]
        self._tokenizer = Tokenizer(order["markers"])
        self._class = manager.get_parser(
            tool_parser_name=order["parser"],
            enable_auto_tools=True,
            is_harmony=order["parser"] == "openai",
        )
        self._request = protocol.ChatCompletionRequest(
            model="m",
            messages=[{"role": "user", "content": "go"}],
            tools=order["tools"],
            tool_choice="auto",
        )
        self._parser()  # asks the vocabulary for the tokens that the deltas must hold whole
        self._deltas = cut(self._text, self._tokenizer.vocabulary)
        self._ids = [[self._tokenizer.vocabulary[delta]] for delta in self._deltas]
        self._tokenizer.decode(self._ids[0])

    def _parser(self) -> Any:
        return self._class(self._tokenizer, self._request.tools)

    def whole(self) -> str:
        """Parse the text; return the arguments of its one call."""
        ids = [one for ids in self._ids for one in ids]
        _, _, calls = self._parser().parse(
            self._text, self._request, enable_auto_tools=True, model_output_token_ids=ids
        )
        found: list[Any] = calls or []
        return "".join(str(call.arguments) for call in found)

    def stream(self) -> str:
        """Feed the deltas to a new parser; return the argument deltas, joined."""
        parser = self._parser()
        last = len(self._deltas) - 1
        parts: list[str] = []
        for number, delta in enumerate(self._deltas):
            message = parser.parse_delta(
                delta, self._ids[number], self._request, [], finished=number == last
            )
            if message is None or not message.tool_calls:
                continue
            parts += [call.function.arguments or "" for call in message.tool_calls if call.function]
        return "".join(parts)


def main() -> None:
    """Answer cases on stdin."""
    os.environ["VLLM_LOGGING_LEVEL"] = "ERROR"
    out = claim_stdout()
    registry = import_module("vllm.tool_parsers").ToolParserManager
    names = [name for name in registry.list_registered() if name not in ("hf", "beam")]
    import_module("vllm.parser")
    serve(out, version=str(import_module("vllm").__version__), names=names, make=VllmEngine)


if __name__ == "__main__":
    main()
