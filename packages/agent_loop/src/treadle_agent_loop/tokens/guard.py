"""Keeps message content from writing control tokens.

A guarded text is a rendered prompt in which every marker that came out of message content is broken
by two noncharacters (U+FDD0 U+FDD2), so that a tokenizer that splits on added tokens doesn't see
it, while a chat template still finds nearly the text it expects. The breaks come out again when the
text is encoded. Which added tokens count as markers:

- control tokens (`special`, or written like `<|...|>`): broken wherever they come from, assistant
text included;
- other added tokens that the chat template itself writes (`<tool_call>`, `<think>`): broken
everywhere but in
  assistant text, where templates look for them and the model may write them.

Other added tokens (HTML tags, runs of spaces) are ordinary vocabulary and stay.
"""

import re
from collections.abc import Iterable, Mapping
from enum import Enum
from functools import lru_cache
from typing import Any, cast

LEAD = "\ufdd0"
_OWN = LEAD + "\ufdd1"
"""Stands for a LEAD that was in the content itself."""
BREAK = LEAD + "\ufdd2"
"""Stands for nothing: it breaks a marker."""
MARK = LEAD + "\ufdd3"
"""Stands for nothing: it marks a position."""
_ANY = re.compile(f"{LEAD}[\ufdd1-\ufdd3]")

_VERBATIM_KEYS = frozenset({"role", "type", "id", "tool_call_id"})


class Source(Enum):
    """Where a text comes from, which decides how much of it is guarded."""

    DATA = "data"
    """Users, tools, system prompts, tool schemas and call arguments."""
    ASSISTANT = "assistant"
    """The model's own text."""


class Guard:
    """Breaks markers in content; one per tokenizer and template."""

    def __init__(self, control: Iterable[str], template_markers: Iterable[str]) -> None:
        self.control = frozenset(control)
        self.markers = self.control | frozenset(template_markers)
        patterns = {
            Source.DATA: _overlapping(self.markers),
            Source.ASSISTANT: _overlapping(self.control),
        }

        @lru_cache(maxsize=4096)
        def guarded(text: str, source: Source) -> str:
            if not text.isascii():
                text = text.encode(errors="replace").decode()  # lone surrogates have no ids
            owned = text.replace(LEAD, _OWN)
            return patterns[source].sub(lambda match: match[0] + BREAK, owned)

        self.text = guarded
        """Return a content text with its markers broken."""

    def message(self, message: Mapping[str, Any]) -> dict[str, Any]:
        """Return a message whose texts are guarded according to its role."""
        source = Source.ASSISTANT if message.get("role") == "assistant" else Source.DATA
        return {
            key: value if key in _VERBATIM_KEYS else self.value(value, _narrow(key, source))
            for key, value in message.items()
        }

    def value(self, value: Any, source: Source = Source.DATA) -> Any:
        """Return a JSON value with every string in it guarded, keys included."""
        if isinstance(value, str):
            return self.text(value, source)
        if isinstance(value, Mapping):
            items = cast("Mapping[str, Any]", value).items()
            return {self.text(key, source): self.value(item, source) for key, item in items}
        if isinstance(value, list | tuple):
            return [self.value(item, source) for item in cast("list[Any]", value)]
        return value


def unguard(text: str) -> str:
    """Return the text a guarded text stands for."""
    if LEAD not in text:
        return text
    return _ANY.sub(lambda match: LEAD if match[0] == _OWN else "", text)


def with_mark(message: Mapping[str, Any]) -> dict[str, Any]:
    """Return a guarded message with a position mark before the first word of its content."""
    content = str(message.get("content") or "")
    words = content.lstrip()
    space = content[: len(content) - len(words)]
    return {**message, "content": space + MARK + words}


def _narrow(key: str, source: Source) -> Source:
    return Source.DATA if key == "tool_calls" else source


def _overlapping(markers: Iterable[str]) -> re.Pattern[str]:
    """Match the first character of every marker, also of markers that overlap."""
    texts = sorted((re.escape(marker) for marker in markers if len(marker) > 1), key=len)
    if not texts:
        return re.compile(r"(?!)")
    return re.compile(f"(?=(?:{'|'.join(texts)})).", re.DOTALL)
