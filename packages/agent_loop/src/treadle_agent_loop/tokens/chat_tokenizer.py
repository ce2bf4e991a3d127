"""A Hugging Face tokenizer with its chat template, made safe and exact.

`render` runs the real template over guarded messages (see `guard`), `encode` turns the result into
ids. Nothing is added, trimmed or cached behind the template's back. A template that ignores `tools`
is found by asking it. Loading and long renderings take time: call them in a thread.
"""

import copy
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any, Self, cast

from jinja2.exceptions import TemplateError
from tokenizers import Tokenizer

from treadle_agent_loop.errors import ChatTemplateError
from treadle_agent_loop.history import content_text, for_template
from treadle_agent_loop.model import Message
from treadle_agent_loop.tokens.encoder import GuardedEncoder
from treadle_agent_loop.tokens.guard import Guard, with_mark
from treadle_parsers import ToolSchema

_CONTROL = re.compile(r"[<\[][|｜].*[|｜][>\]]", re.DOTALL)
_CLOCK = re.compile(r"""\bstrftime_now\(\s*(?P<quote>['"])(?P<format>[^'"\\]*)(?P=quote)\s*\)""")
"""How templates write the date."""
_PROBE = "probe7f3"
_PROBE_TOOL: ToolSchema = {
    "type": "function",
    "function": {
        "name": _PROBE,
        "description": "A probe.",
        "parameters": {"type": "object", "properties": {_PROBE: {"type": "string"}}},
    },
}
_PROBE_USER: Message = {"role": "user", "content": "Hello."}
_PROBE_ANSWERS: tuple[Message, ...] = (
    {"role": "assistant", "content": _PROBE},
    {
        "role": "assistant",
        "content": "",
        "tool_calls": [
            {
                "id": "call00000",
                "type": "function",
                "function": {"name": _PROBE, "arguments": {_PROBE: _PROBE}},
            }
        ],
    },
)


class ChatTokenizer:
    """Renders conversations to ids and decodes ids to text."""

    def __init__(
        self,
        tokenizer: Any,
        *,
        chat_template: str | None = None,
        template_arguments: Mapping[str, Any] | None = None,
    ) -> None:
        """Wrap a fast tokenizer of `transformers`; `chat_template` replaces its own template.

        `template_arguments` are passed on to the template (`enable_thinking` and the like).

        Raises:
            ChatTemplateError: the tokenizer has no chat template, or isn't a fast one.
        """
        backend = getattr(tokenizer, "backend_tokenizer", None)
        if not isinstance(backend, Tokenizer):
            raise ChatTemplateError(
                f"{type(tokenizer).__name__} is no fast tokenizer; a tokenizer.json is needed"
            )
        source: Any = chat_template or tokenizer.chat_template
        if not source:
            raise ChatTemplateError(
                "the tokenizer has no chat template; take the chat model's tokenizer, or give one "
                "with chat_template="
            )
        self._tokenizer = tokenizer
        self._backend = backend
        self._template = chat_template
        self._arguments = dict(template_arguments or {})
        written = source if isinstance(source, str) else "\n".join(source.values())
        self._clocked = source if isinstance(source, str) and _CLOCK.search(source) else None
        added: dict[int, Any] = backend.get_added_tokens_decoder()
        self._added = {str(token.content): index for index, token in added.items()}
        self.control: frozenset[str] = frozenset(
            str(token.content)
            for token in added.values()
            if token.special or _CONTROL.fullmatch(str(token.content))
        )
        """Added tokens that structure a conversation."""
        self._guard = Guard(
            self.control, (text for text in self._added if text in written and not text.isspace())
        )
        self._encoder = GuardedEncoder(backend, self._guard.markers)

    @classmethod
    def load(
        cls,
        name_or_path: str | Path,
        *,
        chat_template: str | None = None,
        template_arguments: Mapping[str, Any] | None = None,
    ) -> Self:
        """Load a tokenizer from a folder or the model hub; slow, so call it in a thread.

        Raises:
            ChatTemplateError: it has no chat template, or can't be loaded.
        """
        from transformers import AutoTokenizer  # takes seconds to import

        try:
            tokenizer: Any = cast("Any", AutoTokenizer).from_pretrained(str(name_or_path))
        except (OSError, ValueError) as error:
            raise ChatTemplateError(
                f"no tokenizer could be loaded from {str(name_or_path)!r}: {error}"
            ) from error
        return cls(tokenizer, chat_template=chat_template, template_arguments=template_arguments)

    def render(
        self,
        messages: Sequence[Message],
        tools: Sequence[ToolSchema] = (),
        *,
        generation_prompt: bool,
        mark: int | None = None,
    ) -> str:
        """Render a conversation to guarded text; `mark` puts a position mark into that message.

        Raises:
            ChatTemplateError: the template refuses the messages.
        """
        guarded = [self._guard.message(message) for message in for_template(messages)]
        if mark is not None:
            guarded[mark] = with_mark(guarded[mark])
        try:
            text: Any = self._tokenizer.apply_chat_template(
                guarded,
                tools=[self._guard.value(tool) for tool in tools] or None,
                add_generation_prompt=generation_prompt,
                tokenize=False,
                chat_template=self._template,
                **self._arguments,
            )
        except (TemplateError, TypeError, ValueError, RecursionError) as error:
            raise ChatTemplateError(f"the chat template refuses the messages: {error}") from error
        return str(text)

    def at(self, now: datetime) -> Self:
        """Return a tokenizer whose template writes this time; itself when its template writes none.

        Otherwise the prompts of one rollout could differ in the time alone.
        """
        if self._clocked is None:
            return self
        known = (self.closers, self.turn_tail)  # found once, kept by the copy
        pinned = copy.copy(self)
        pinned._template = _CLOCK.sub(
            lambda call: repr(now.strftime(call["format"])), self._clocked
        )
        assert (pinned.closers, pinned.turn_tail) == known
        return pinned

    def encode(self, guarded: str) -> tuple[int, ...]:
        """Return the ids of a guarded text, without anything added at its ends."""
        return self._encoder.encode(guarded)

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of ids, control tokens included."""
        return self._backend.decode(list(ids), skip_special_tokens=False)

    def save(self, folder: Path) -> None:
        """Write the tokenizer and its template to a folder that `load` reads."""
        self._tokenizer.save_pretrained(folder)
        if self._template is not None:
            (folder / "chat_template.jinja").write_text(self._template)

    def guarded_content(self, message: Message) -> str:
        """Return a message's content as it stands in rendered prompts that write it verbatim."""
        text = {"role": message.get("role"), "content": content_text(message.get("content"))}
        return str(self._guard.message(text)["content"])

    def guarded_assistant(self, text: str) -> str:
        """Return an assistant's text as it stands in rendered prompts."""
        return str(self._guard.message({"role": "assistant", "content": text})["content"])

    def control_text(self, index: int) -> str | None:
        """Return a control token's text, or None for any other id."""
        return self._control_ids.get(index)

    def id_of(self, control: str) -> int:
        """Return the id of an added token."""
        return self._added[control]

    @cached_property
    def closers(self) -> frozenset[str]:
        """Control tokens that end an assistant turn: the template's and the tokenizer's EOS."""
        found = {str(self._tokenizer.eos_token)} & self.control
        for tail in self._tails:
            positions = {tail.rfind(token): token for token in self.control if token in tail}
            if positions:
                found.add(positions[max(positions)])
        return frozenset(found)

    @cached_property
    def turn_tail(self) -> str:
        """Plain text that ends every assistant turn, of a template that ends none with a token."""
        if any(token in tail for tail in self._tails for token in self.control):
            return ""
        shortest = min(self._tails, key=len, default="")
        starts = range(len(shortest) + 1)
        return next(
            shortest[start:]
            for start in starts
            if all(tail.endswith(shortest[start:]) for tail in self._tails)
        )

    @cached_property
    def _tails(self) -> tuple[str, ...]:
        """What the template writes after the last word of an answer, and of a tool call."""
        tails: list[str] = []
        for answer in _PROBE_ANSWERS:
            try:
                text = self.render((_PROBE_USER, answer), (_PROBE_TOOL,), generation_prompt=False)
            except ChatTemplateError:
                continue
            tails.append(text[text.rfind(_PROBE) + len(_PROBE) :])
        return tuple(tails)

    @cached_property
    def ignores_tools(self) -> bool:
        """Whether the template leaves `tools` out of the prompt."""
        rendered = self.render((_PROBE_USER,), (_PROBE_TOOL,), generation_prompt=True)
        return _PROBE not in rendered

    @cached_property
    def _control_ids(self) -> Mapping[int, str]:
        return {self._added[text]: text for text in self.control}
