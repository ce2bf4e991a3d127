"""A format from a checkpoint's `response_template`, the metadata that Hugging Face tokenizers
carry and that serving engines read under the names `hf`, `beam` and `response_template`.

Reads version 1: anchors that are literals or patterns (see `anchors` for which), calls as JSON, as
JSON with delimiters and keys of its own, or as tags; names from the content or from the opening
pattern. What can't be read exactly is refused with an error that names it: `kv-lines`, patterns
that could take more than linear time, and the older `response_schema`.
"""

import re
from collections.abc import Mapping
from typing import Any, cast

from treadle_parsers.anchors import Anchor, anchor, pieces
from treadle_parsers.errors import TemplateError
from treadle_parsers.format import TURN, Format, Thinking
from treadle_parsers.templatecalls import CallTemplate, bodies_of

_REASONING = ("thinking", "reasoning_content", "reasoning")


def find_response_template(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the template in `config`, a tokenizer's or a processor's configuration.

    Raises: TemplateError when there is none.
    """
    found = config.get("response_template")
    if isinstance(found, Mapping):
        return cast("Mapping[str, Any]", found)
    if "response_schema" in config:
        raise TemplateError(
            "the configuration holds a 'response_schema', whose free regular expressions over the "
            "whole text can't be streamed; ask for a checkpoint with a 'response_template'"
        )
    raise TemplateError("the configuration holds no 'response_template'; name a format instead")


def format_from_response_template(
    template: Mapping[str, Any], *, name: str = "response_template"
) -> Format:
    """Return the format that `template` describes.

    Raises: TemplateError when the template isn't of version 1 or holds what this format can't
    express.
    """
    if template.get("version", 1) != 1 or not isinstance(template.get("fields"), Mapping):
        raise TemplateError(
            f"a response template of version {template.get('version', 1)!r} with fields "
            f"{type(template.get('fields')).__name__} can't be read; version 1 with a mapping can"
        )
    fields = cast("Mapping[str, Mapping[str, Any]]", template["fields"])
    thinking = tuple(
        block for key in _REASONING if key in fields for block in _thinking(key, fields[key])
    )
    framing = _framing(fields["content"]) if "content" in fields else ()
    bodies = ()
    if "tool_calls" in fields:
        calls = _calls(fields["tool_calls"])
        bodies = bodies_of(calls)
        framing += tuple(one for close in calls.closes for one in close)
    return Format(
        name=name,
        summary="read from a response template",
        models="the checkpoint that carries the template",
        bodies=bodies,
        thinking=thinking,
        calls_in_thinking=False,
        framing=tuple(dict.fromkeys(one for one in framing if not _closes(thinking, one))),
        signature=(),
        turn=_turn(template),
    )


def _closes(thinking: tuple[Thinking, ...], literal: str) -> bool:
    return any(literal in (block.open, block.close) for block in thinking)


def _thinking(name: str, field: Mapping[str, Any]) -> list[Thinking]:
    opens = [_plain(name, one) for one in _opens(name, field, {})]
    closes = [close[0] for close in _literals_closing(field)]
    if not opens or not closes:
        raise TemplateError(
            f"field {name!r} has no opening and no closing anchor, so that all other text would be "
            "in it; only blocks with both can be read"
        )
    return [
        Thinking(open=opened, close=closed, lead="", tail="", gap="")
        for opened in opens
        for closed in closes
    ]


def _plain(name: str, found: Anchor) -> str:
    """Return the literal that an anchor is, white space aside."""
    if found.rest and not _is_blank(found.rest):
        raise TemplateError(
            f"field {name!r} opens with {found.open!r} and a pattern {found.rest!r}; only literal "
            "anchors can be read there"
        )
    return found.open


def _is_blank(regex: str) -> bool:
    return all(part.blank for parts in pieces(regex, {}) for part in parts)


def _framing(field: Mapping[str, Any]) -> tuple[str, ...]:
    opens = [_plain("content", one) for one in _opens("content", field, {})]
    return (*opens, *(one for close in _literals_closing(field) for one in close))


def _calls(field: Mapping[str, Any]) -> CallTemplate:
    groups = CallTemplate.groups(field.get("transform"))
    opens = _opens("tool_calls", field, groups)
    if not opens:
        raise TemplateError("field 'tool_calls' has no opening anchor; calls need a marker")
    return CallTemplate(field=field, opens=tuple(opens), closes=tuple(_literals_closing(field)))


def _opens(name: str, field: Mapping[str, Any], groups: Mapping[str, str]) -> list[Anchor]:
    if "open_pattern" in field:
        pattern = str(field["open_pattern"])
        return [anchor(parts, pattern) for parts in pieces(pattern, groups)]
    return [Anchor(open=one, write=_written(one)) for one in _literals(name, field, "open")]


def _written(literal: str) -> str:
    return literal.replace("{", "{{").replace("}", "}}")


def _literals(name: str, field: Mapping[str, Any], side: str) -> list[str]:
    value = field.get(side, [])
    found = [value] if isinstance(value, str) else [str(one) for one in value]
    if not all(found):
        raise TemplateError(f"field {name!r} has an empty {side!r} anchor; anchors hold text")
    return found


def _literals_closing(field: Mapping[str, Any]) -> list[list[str]]:
    """Return the literals of each closing anchor; white space around them doesn't count."""
    if "close_pattern" not in field:
        return [[one] for one in _literals("close", field, "close")]
    pattern = str(field["close_pattern"])
    found: list[list[str]] = []
    for parts in pieces(pattern, {}):
        runs = [""]
        for part in parts:
            if part.literal:
                runs[-1] += part.literal
            elif part.blank:
                runs.append("")
            elif not part.edge:
                raise TemplateError(
                    f"the closing pattern {pattern!r} holds {part.regex!r}; only literals with "
                    "white space between them can close a part"
                )
        literals = [run for run in runs if run.strip()]
        if literals:
            found.append(literals)
    return found


def _turn(template: Mapping[str, Any]) -> str:
    """Return the regular expression of the header of an assistant turn."""
    if "start_anchor_pattern" in template:
        parsed = pieces(str(template["start_anchor_pattern"]), {})
        return "|".join("".join(part.regex for part in parts) for parts in parsed)
    return "|".join(map(re.escape, _literals("start", template, "start_anchor"))) or TURN
