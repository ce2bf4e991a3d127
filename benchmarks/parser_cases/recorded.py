"""Cases recorded from other projects' test suites: what is counted, and how a case is run.

A case is a JSON object with `text`, `tools`, `prefix`, the expected calls, content and reasoning,
and how sure its recording is. Counted are cases for automatic tool choice whose whole output was
recorded. What the recording engine knew beside the text is given to the parser the documented
way: thinking that was open before the text began becomes `prefix`.
"""

import gzip
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from treadle_parsers import Parser, get_parser, list_parsers

SURE = frozenset({"high", "single"})
"""Asserted by a test, with a second engine that agrees or with none that disagrees."""

_FAMILIES = {"harmony": "openai", "cohere_command": "cohere_command3"}
_ADAPTERS = frozenset({"Qwen3ReasoningNoToolParser", "_ReasoningOnlyDelegating"})
_STATES = {"MESSAGE_HEADER": "<|message_model|>"}
"""The state that an engine began in, as the end of the prompt that leads to it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One recorded text with what its test expects."""

    source: str
    id: str
    family: str
    parser: Parser
    text: str
    tools: list[dict[str, Any]] | None
    prefix: str
    calls: list[dict[str, Any]]
    """The expected calls: `name` and `arguments`, which are JSON or a fragment of it."""
    content: str
    reasoning: str | None
    """None where the recording says nothing about it."""
    unsplit: bool
    """Whether reasoning stayed in the content: the engine's splitting was switched off."""

    @property
    def key(self) -> str:
        """The project and the id: unique enough to be listed."""
        return f"{self.source.split('@')[0]} {self.id}"


def load(path: Path, confidence: frozenset[str] = SURE) -> Iterator[Case]:
    """Yield the counted cases of the file at `path`."""
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            raw: dict[str, Any] = json.loads(line)
            if _is_counted(raw, confidence):
                yield _case(raw)


def _is_counted(raw: dict[str, Any], confidence: frozenset[str]) -> bool:
    recorded_with = raw.get("parser")
    return (
        raw["confidence"] in confidence
        and not raw.get("tool_choice")
        and not raw.get("partial")
        and recorded_with not in _ADAPTERS
        and (raw["family"], recorded_with) != ("hermes", "_Parser")
    )


def _case(raw: dict[str, Any]) -> Case:
    parser = _parser(raw)
    init: dict[str, Any] = raw.get("init") or {}
    markers = [block.open for block in parser.format.thinking]
    markers += [block.close for block in parser.format.thinking]
    markers.append(parser.format.reasoning_frame.open)
    off = init.get("reasoning_format") == 0 or init.get("think") is False
    shown: str = raw.get("expected_content") or ""
    return Case(
        source=raw["source"],
        id=raw["id"],
        family=raw["family"],
        parser=parser,
        text=raw["text"],
        tools=raw["tools"],
        prefix=_prefix(raw, parser, init),
        calls=raw["expected_calls"],
        content=shown,
        reasoning=raw.get("expected_reasoning"),
        unsplit=off and any(marker and marker in shown for marker in _short(markers)),
    )


def _short(markers: list[str]) -> list[str]:
    """Return the markers without the header that a template may write before them."""
    return [marker.removeprefix("<|start|>assistant") for marker in markers]


def _parser(raw: dict[str, Any]) -> Parser:
    known = set(list_parsers())
    for name in (raw.get("parser"), raw["family"], _FAMILIES.get(raw["family"])):
        if name in known:
            return get_parser(name)
    raise LookupError(f"no parser for the family {raw['family']!r}: register one")


def _prefix(raw: dict[str, Any], parser: Parser, init: dict[str, Any]) -> str:
    """Return what the recording engine knew of the prompt."""
    if raw.get("prefix"):
        return raw["prefix"]
    state = init.get("initial_state")
    if state in _STATES:
        return _STATES[state]
    if not parser.format.thinking:
        return ""
    opened = parser.format.thinking[0].open
    text, thoughts = raw["text"].lstrip(), (raw.get("expected_reasoning") or "").strip()
    begun = any(text.startswith(block.open) for block in parser.format.thinking)
    inside = bool(thoughts) and not begun and text.startswith(thoughts[:16])
    return opened if inside or state == "REASONING" else ""
