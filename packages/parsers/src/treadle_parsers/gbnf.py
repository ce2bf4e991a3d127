"""Shapes as GBNF, the grammar notation of llama.cpp.

The grammar describes the calls alone; the text before them is left to the engine's triggers. JSON
schemas are followed as far as types, properties, items, enumerations and unions go; anything else
allows every JSON value.
"""

from collections.abc import Sequence
from typing import Any, assert_never

from treadle_parsers import coercion, schema
from treadle_parsers.schema import Schema
from treadle_parsers.shapes import (
    Choice,
    Json,
    Literal,
    Pattern,
    RawText,
    Repeated,
    Sequential,
    Shape,
)

_JSON_RULES = {
    "ws": r"[ \t\n]{0,20}",
    "string": r'"\"" ([^"\\\x00-\x1f] | "\\" (["\\/bfnrt] | "u" [0-9a-fA-F]{4}))* "\""',
    "integer": r'"-"? ("0" | [1-9] [0-9]{0,15})',
    "number": r'"-"? ("0" | [1-9] [0-9]{0,15}) ("." [0-9]{1,16})? ([eE] [-+]? [0-9]{1,3})?',
    "boolean": '"true" | "false"',
    "null": '"null"',
    "array": '"[" ws (value (ws "," ws value)*)? ws "]"',
    "object": '"{" ws (string ws ":" ws value (ws "," ws string ws ":" ws value)*)? ws "}"',
    "value": "string | number | boolean | null | array | object",
}


def gbnf(shape: Shape) -> str:
    """Return the grammar of `shape`."""
    writer = _Writer()
    root = writer.expression(shape)
    rules = {"root": root, **writer.rules, **_JSON_RULES}
    return "".join(f"{name} ::= {body}\n" for name, body in rules.items())


class _Writer:
    """Collects the rules of one grammar."""

    def __init__(self) -> None:
        self.rules: dict[str, str] = {}

    def expression(self, shape: Shape) -> str:
        match shape:
            case Literal(text):
                return _quoted(text)
            case Json(declared, root):
                return self._value(declared, root, 0)
            case RawText(stop):
                return self._until(stop)
            case Pattern(_, pattern):
                return pattern
            case Sequential(parts):
                return self._sequence(parts)
            case Choice(options):
                return f"({' | '.join(self.expression(option) for option in options)})"
            case Repeated():
                return self._repeated(shape, _quoted(shape.separator))
            case _:
                assert_never(shape)

    def _sequence(self, parts: Sequence[Shape]) -> str:
        """Return the parts in order; an end that begins like the separator before it shares its
        rule, for readers that cut a text into the literals of a grammar.
        """
        written: list[str] = []
        for place, part in enumerate(parts):
            after = parts[place + 1] if place + 1 < len(parts) else None
            before = parts[place - 1] if place else None
            if isinstance(part, Repeated) and _shares(part, after):
                written.append(self._repeated(part, self._rule("between", _quoted(part.separator))))
            elif isinstance(before, Repeated) and isinstance(part, Literal):
                size = len(before.separator) if _shares(before, part) else 0
                written += [self._rule("between", _quoted(before.separator))] if size else []
                written.append(_quoted(part.text[size:]))
            else:
                written.append(self.expression(part))
        return " ".join(written)

    def _repeated(self, part: Repeated, separator: str) -> str:
        name = self._rule("call", self.expression(part.item))
        return f"{name} ({separator} {name})*"

    def _rule(self, stem: str, body: str) -> str:
        for name, known in self.rules.items():
            if known == body:
                return name
        name = f"{stem}{len(self.rules)}"
        self.rules[name] = body
        return name

    def _until(self, stop: str) -> str:
        """Return what matches text up to the first `stop`, included: one rule for each state."""
        stem = f"until{len(self.rules)}x"
        letters = sorted(set(stop))
        other = "".join(map(_in_class, letters))
        for state in range(len(stop)):
            options = [f"[^{other}] {stem}0"]
            for letter in letters:
                reached = _state_after(stop, stop[:state] + letter)
                rest = f" {stem}{reached}" if reached < len(stop) else ""
                options.append(_quoted(letter) + rest)
            self.rules[f"{stem}{state}"] = " | ".join(options)
        return f"{stem}0"

    def _value(self, declared: Any, root: Schema, depth: int) -> str:
        current = schema.resolved(declared, root)
        listed = schema.allowed_values(current, root)
        if listed is not None:
            return f"({' | '.join(_quoted(coercion.encode(value)) for value in listed)})"
        if depth > schema.MAX_DEPTH:
            return "value"
        for keyword in ("anyOf", "oneOf"):
            options = schema.branches(current, keyword, root)
            if options:
                written = [self._value(option, root, depth + 1) for option in options]
                return f"({' | '.join(written)})"
        allowed = schema.types(current, root)
        if allowed == schema.ALL_TYPES:
            return "value"
        if "number" in allowed:
            allowed = allowed - {"integer"}
        return self._types(sorted(allowed), current, root, depth)

    def _types(self, names: Sequence[str], current: Schema, root: Schema, depth: int) -> str:
        written: list[str] = []
        for name in names:
            if name == "object" and schema.mapping(current.get("properties")):
                written.append(self._object(current, root, depth))
            elif name == "array" and "items" in current:
                item = self._value(current["items"], root, depth + 1)
                body = f'"[" ws ({item} (ws "," ws {item})*)? ws "]"'
                written.append(self._rule("list", body))
            else:
                written.append(name)
        return written[0] if len(written) == 1 else f"({' | '.join(written)})"

    def _object(self, current: Schema, root: Schema, depth: int) -> str:
        """Return an object with its properties in order, optional ones left out or not."""
        needed = schema.required(current, root)
        members = {
            str(key): f'{_quoted(coercion.encode(key))} ws ":" ws '
            + self._value(inner, root, depth + 1)
            for key, inner in schema.mapping(current.get("properties")).items()
        }
        comma = 'ws "," ws '
        must = [member for key, member in members.items() if key in needed]
        may = [member for key, member in members.items() if key not in needed]
        if must:
            body = f" {comma}".join(must) + "".join(f" ({comma}{member})?" for member in may)
        else:
            starts = [
                member + "".join(f" ({comma}{other})?" for other in may[place + 1 :])
                for place, member in enumerate(may)
            ]
            body = f"({' | '.join(starts)})?"
        return self._rule("object", f'"{{" ws {body} ws "}}"')


def _shares(part: Repeated, after: Shape | None) -> bool:
    """Say whether what comes after begins like the separator."""
    shared = isinstance(after, Literal) and after.text.startswith(part.separator)
    return shared and bool(part.separator)


def _state_after(stop: str, text: str) -> int:
    """Return how much of `stop` the end of `text` has matched."""
    return next(
        size for size in range(len(text), -1, -1) if stop.startswith(text[len(text) - size :])
    )


def _quoted(text: str) -> str:
    """Return `text` as a terminal."""
    escapes = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t"}
    return '"' + "".join(escapes.get(char, char) for char in text) + '"'


def _in_class(char: str) -> str:
    escapes = {"\\": "\\\\", "]": "\\]", "[": "\\[", "^": "\\^", "-": "\\-", "\n": "\\n"}
    return escapes.get(char, char)
