"""A format's thinking block as vLLM's `ReasoningParser`. Imported inside vLLM alone.

The thinking at the beginning of the message is reasoning; everything from the answer's first
character on goes to the tool parser as it is, and a call inside the block ends the reasoning.

Whether the prompt has opened the block is read from the prompt where vLLM shows it: in streams, and
since 0.33 for whole texts too. Otherwise it is told by the text, which closes a block that it
didn't open, and by the chat template's own generation prompt.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from treadle_parsers.parser import Parser
from treadle_parsers.shims.answers import Part, ReasoningStream
from treadle_parsers.shims.prompts import opened_by, opens_thinking, thinking_is_over
from treadle_parsers.shims.vllm import engine

if TYPE_CHECKING:

    class _ReasoningParser:
        """What is used of vLLM's base class."""

        model_tokenizer: Any
        vocab: Mapping[str, int]

        def __init__(self, tokenizer: Any, *args: Any, **kwargs: Any) -> None: ...
else:
    _ReasoningParser = engine.reasoning_parsing("ReasoningParser")

_TAIL = 64
"""Tokens before the newest ones among which the marker that closes the block may have begun."""


class TreadleReasoningParser(_ReasoningParser):
    """Splits the reasoning of one format off; the class of each format names its `parser`."""

    parser: ClassVar[Parser]
    engine_based_streaming: ClassVar[bool] = True
    """Deltas are enough, and the answer's beginning is told by `has_engine_confirmed_...`."""

    def __init__(self, tokenizer: Any, *args: Any, **kwargs: Any) -> None:
        super().__init__(tokenizer, *args, **kwargs)
        self._template_options: dict[str, Any] = dict(kwargs.get("chat_template_kwargs") or {})
        self._stream = ReasoningStream(self.parser)
        self._prompt: str | None = None

    @property
    def reasoning_start_str(self) -> str:
        """The marker that opens the block."""
        return self.parser.format.thinking[0].open

    @property
    def reasoning_end_str(self) -> str:
        """The marker that closes the block."""
        return self.parser.format.thinking[0].close

    def adjust_request(self, request: Any) -> Any:
        """Keep special tokens in the text: in many vocabularies the markers are special."""
        request.skip_special_tokens = False
        return request

    def is_reasoning_end(self, input_ids: Sequence[int]) -> bool:
        """Say whether these tokens, a prompt or a prompt and an answer, are past the thinking."""
        return thinking_is_over(self.parser, self._text(input_ids))

    def is_reasoning_end_streaming(
        self, input_ids: Sequence[int], delta_ids: Iterable[int]
    ) -> bool:
        """Say whether the newest tokens close the block."""
        newest = list(delta_ids)
        text = self._text(list(input_ids[-_TAIL:]) if input_ids else newest)
        return any(block.close in text for block in self.parser.format.thinking)

    def extract_content_ids(self, input_ids: list[int]) -> list[int]:
        """Return the tokens after the one that closes the block; none when it isn't one token."""
        closing = {self.vocab.get(block.close) for block in self.parser.format.thinking} - {None}
        places = [place for place, one in enumerate(input_ids) if one in closing]
        return input_ids[places[0] + 1 :] if places else []

    def set_prompt_token_ids(self, prompt_token_ids: Sequence[int]) -> None:
        """Take the prompt that the text goes on from."""
        self._prompt = self._text(prompt_token_ids)

    def adjust_initial_state_from_prompt(self, prompt_token_ids: Sequence[int]) -> None:
        """Begin where the prompt ends."""
        self._stream = ReasoningStream(self.parser, self._text(prompt_token_ids))

    def extract_reasoning(self, model_output: str, request: Any) -> tuple[str | None, str | None]:
        """Return the reasoning and the rest of a whole text."""
        prefix = self._prompt
        if prefix is None:
            prefix = self._guessed(model_output)
        elif thinking_is_over(self.parser, prefix):
            return None, model_output or None
        stream = ReasoningStream(self.parser, prefix)
        parts = (stream.feed(model_output), stream.close())
        rest = "".join(part.rest for part in parts if part.rest)
        return "".join(part.reasoning for part in parts) or None, rest or None

    def extract_reasoning_streaming(
        self,
        previous_text: str,
        current_text: str,
        delta_text: str,
        previous_token_ids: Sequence[int],
        current_token_ids: Sequence[int],
        delta_token_ids: Sequence[int],
    ) -> Any:
        """Return what `delta_text` made certain, None when that is nothing."""
        return _message(self._stream.feed(delta_text))

    def has_engine_confirmed_reasoning_end(self) -> bool:
        """Say whether the answer has begun."""
        return self._stream.ended

    def finish_streaming(self) -> Any:
        """Return what the end of the text made certain."""
        return _message(self._stream.close())

    def _guessed(self, output: str) -> str:
        """Return what the prompt must have ended with, as far as that can be told without it."""
        opened = opened_by(self.parser, output)
        if not opened and opens_thinking(self.parser, self.model_tokenizer, self._template_options):
            return self.reasoning_start_str
        return opened

    def _text(self, ids: Sequence[int]) -> str:
        return self.model_tokenizer.decode(list(ids), skip_special_tokens=False)


def _message(part: Part) -> Any:
    message = engine.protocol("DeltaMessage")
    field = "reasoning" if "reasoning" in message.model_fields else "reasoning_content"
    fields = {field: part.reasoning, "content": part.rest}
    said = {key: text for key, text in fields.items() if text}
    return message(**said) if said else None
