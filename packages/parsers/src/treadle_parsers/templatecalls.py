"""The calls of a response template, as bodies of a format.

A template says where a call opens and closes, how its content is written, and by a transform which
part of it is the name and which the arguments. Content as JSON objects or arrays, JSON with
delimiters of its own, and tags are read; anything else is refused.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

from treadle_parsers.anchors import Anchor, anchor, pieces
from treadle_parsers.bodies.json_array import JsonArray
from treadle_parsers.bodies.json_call import JsonCall
from treadle_parsers.bodies.literal_calls import LiteralCalls
from treadle_parsers.bodies.named_json import NamedJson
from treadle_parsers.bodies.tagged_calls import Block, TaggedCalls
from treadle_parsers.dialects import Dialect, Quote
from treadle_parsers.errors import TemplateError
from treadle_parsers.format import Body
from treadle_parsers.jsonfields import JsonKeys
from treadle_parsers.tagged import Head
from treadle_parsers.taggedwrite import Layout

_WORDS = {"true": "true", "false": "false", "null": "null"}
_TIGHT = Layout(
    block_lead="",
    call_lead="",
    before_value="",
    after_value="",
    after_param="",
    after_call="",
    between="",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class CallTemplate:
    """The field `tool_calls` with its anchors read."""

    field: Mapping[str, Any]
    opens: tuple[Anchor, ...]
    closes: tuple[list[str], ...]
    """The literals of each closing anchor, the first of which ends the call."""

    @staticmethod
    def groups(transform: Any) -> dict[str, str]:
        """Return which groups of the opening pattern hold the name and the id."""
        found = dict(_placeholders(transform))
        return {
            path: key
            for key, path in found.items()
            if key in ("name", "id") and path and "." not in path
        }

    @property
    def close(self) -> str:
        """The literal that ends a call; empty when none does."""
        return self.closes[0][0] if self.closes else ""

    @property
    def tail(self) -> str:
        """Literals after the one that ends a call."""
        return "".join(self.closes[0][1:]) if self.closes else ""

    @property
    def others(self) -> tuple[str, ...]:
        """Other literals that end a call."""
        return tuple(close[0] for close in self.closes[1:])


def bodies_of(calls: CallTemplate) -> tuple[Body, ...]:
    """Return the bodies that read and write the calls. Raises: TemplateError."""
    content = calls.field.get("content", "text")
    paths = dict(_placeholders(calls.field.get("transform")))
    args = cast("Mapping[str, Any]", calls.field.get("content_args") or {})
    whole = paths.get("arguments") == "content"
    if content == "json" and not whole:
        return tuple(_json(calls, paths, one) for one in calls.opens)
    if content == "json":
        made = _literal if args.get("string_delims") or args.get("unquoted_keys") else _named
        return tuple(made(calls, args, one) for one in calls.opens)
    if content == "xml-inline" and whole:
        return tuple(_tagged(calls, args, one) for one in calls.opens)
    raise TemplateError(
        f"tool calls written as {content!r} with the arguments {paths.get('arguments')!r} can't be "
        "read; 'json' can, and 'xml-inline' whose content is the arguments"
    )


def _placeholders(transform: Any) -> Iterator[tuple[str, str]]:
    """Return the paths that a transform takes name, arguments and id from."""
    if isinstance(transform, Mapping):
        for key, inner in cast("Mapping[str, Any]", transform).items():
            if key in ("name", "arguments", "id") and isinstance(inner, str):
                if not (inner.startswith("{") and inner.endswith("}")):
                    raise TemplateError(
                        f"the transform gives {key!r} as the text {inner!r}; only a placeholder "
                        "such as '{content}' can be read"
                    )
                yield key, inner[1:-1]
            else:
                yield from _placeholders(inner)
    elif isinstance(transform, list):
        for inner in cast("list[Any]", transform):
            yield from _placeholders(inner)


def _keys(paths: Mapping[str, str], *, each: bool) -> JsonKeys:
    """Return the keys that a JSON object holds name, arguments and id under."""
    wrapper: tuple[str, ...] = ("function",)
    found = {"name": ("name",), "arguments": ("arguments", "parameters"), "id": ("id",)}
    for key, path in paths.items():
        steps = path.split(".")
        if not each and steps[0] != "content":
            raise TemplateError(
                f"the transform takes {key!r} from {path!r} and other parts from the content; name "
                "and arguments must both come from the content, or the name from the pattern"
            )
        steps = steps if each else steps[1:]
        if len(steps) not in (1, 2):
            raise TemplateError(f"the transform takes {key!r} from {path!r}, which is too deep")
        found[key] = (steps[-1],)
        wrapper = tuple(steps[:-1]) or wrapper
    return JsonKeys(
        name=found["name"], arguments=found["arguments"], id=found["id"], wrapper=wrapper
    )


def _json(calls: CallTemplate, paths: Mapping[str, str], opened: Anchor) -> Body:
    each = bool(calls.field.get("transform_each", False))
    keys = _keys(paths, each=each)
    _no_tail(calls)
    if opened.rest and not all(p.blank for parts in pieces(opened.rest, {}) for p in parts):
        raise TemplateError(
            f"calls open with {opened.open!r} and the pattern {opened.rest!r}, which captures no "
            "name; calls whose name is in the JSON need a literal anchor"
        )
    one_each = bool(paths) if not each else False
    if one_each or (not each and calls.field.get("repeats", False)):
        return JsonCall(open=opened.open, close=calls.close, keys=keys, lead="", tail="")
    return JsonArray(open=opened.open, close=calls.close, keys=keys)


def _no_tail(calls: CallTemplate) -> None:
    if calls.tail:
        raise TemplateError(
            f"calls close with {calls.closes[0]!r}; one literal can close calls written as JSON"
        )


def _head(opened: Anchor, end: str) -> Head:
    if "(?P<name>" not in opened.rest:
        raise TemplateError(
            f"calls open with {opened.open!r} and {opened.rest!r}, without a group that the "
            "transform takes the name from"
        )
    return Head(
        open=opened.open,
        rest=opened.rest,
        end=opened.end or end,
        write=opened.write,
        sure=True,
    )


def _named(calls: CallTemplate, args: Mapping[str, Any], opened: Anchor) -> Body:
    del args
    return NamedJson(
        call=_head(opened, "{"), close=calls.close, also_close=calls.others, tail=calls.tail
    )


def _literal(calls: CallTemplate, args: Mapping[str, Any], opened: Anchor) -> Body:
    _no_tail(calls)
    delims = cast("list[list[str]]", args.get("string_delims") or [])
    quotes = tuple(Quote(pair[0], pair[1], escapes=False) for pair in delims)
    dialect = Dialect(
        quotes=(*quotes, Quote('"', '"')),
        words=_WORDS,
        bare_stop=r"[,\[\]{}]",
        key_stop=r"[:,\[\]{}]",
    )
    return LiteralCalls(call=_head(opened, "{"), close=calls.close, dialect=dialect)


def _tagged(calls: CallTemplate, args: Mapping[str, Any], opened: Anchor) -> Body:
    pattern = str(args.get("tag_pattern", ""))
    found = pieces(pattern, {"key": "name", "value": "value"})
    places = {part.group: at for at, part in enumerate(found[0]) if part.group}
    if len(found) != 1 or not places.keys() >= {"name", "value"}:
        raise TemplateError(
            f"the tag pattern {pattern!r} has no groups 'key' and 'value' one after the other; "
            "that is how an argument is read"
        )
    before, after = found[0][: places["value"]], found[0][places["value"] + 1 :]
    closed = "".join(part.literal for part in after)
    newlines = any(part.blank for part in (*before[-1:], *after[:1]))
    while before and before[-1].blank:
        before = before[:-1]
    head = anchor(before, pattern)
    if not closed or not head.end or any(not part.literal and not part.blank for part in after):
        raise TemplateError(f"the tag pattern {pattern!r} doesn't end with a literal closing tag")
    value = cast("Mapping[str, Any]", args.get("value_parser") or {})
    if value.get("name", "text") not in ("text", "json"):
        raise TemplateError(f"values written as {value['name']!r} can't be read; text and JSON can")
    block, opened = _block(calls, opened)
    return TaggedCalls(
        call=_head(opened, head.open[0]),
        call_close=calls.close,
        also_close=calls.others,
        param=Head(open=head.open, rest=head.rest, end=head.end, write=head.write),
        param_close=closed,
        blocks=(block,) if block else (),
        bare=block is None,
        newlines=newlines,
        guess=value.get("name") == "json",
        layout=_TIGHT,
    )


def _block(calls: CallTemplate, opened: Anchor) -> tuple[Block | None, Anchor]:
    """Return the markers around a call and its own opening, where two literals close it."""
    if not calls.tail:
        return None, opened
    pattern = str(calls.field.get("open_pattern", ""))
    for parts in pieces(pattern, calls.groups(calls.field.get("transform"))):
        gap = next((at for at, part in enumerate(parts) if part.blank), len(parts))
        block = "".join(part.literal for part in parts[:gap])
        if block == opened.open and gap < len(parts):
            return Block(open=block, close=calls.tail), anchor(parts[gap:], pattern)
    raise TemplateError(
        f"calls open with {pattern!r} and close with {calls.closes[0]!r}; two literals that close "
        "a call need two that open it, with white space that may be missing between them"
    )
