"""A parsed message for people: every part of the text, in order, with what it is.

Colours repeat what the margin says, so nothing is lost without them. Control characters are shown
as escapes and never reach the terminal; a line break is shown and made; long lines are wrapped.
"""

import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from treadle_parsers.records import CallStatus, ParsedMessage, SegmentKind, ToolCall

_RESET = "\x1b[0m"
_STYLES: Mapping[str, str] = {
    "content": "",
    "reasoning": "\x1b[35m",
    "framing": "\x1b[90m",
    "call": "\x1b[32m",
    "failed call": "\x1b[31m",
    "margin": "\x1b[2m",
    "verdict": "\x1b[1m",
}
_MARGIN = 19
_NARROWEST = 20
_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp", "Zs"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """How an explanation is drawn."""

    width: int = 80
    """Columns of the terminal."""
    colour: bool = False
    ascii: bool = False
    """Whether only ASCII can be shown."""

    @property
    def newline(self) -> str:
        """What stands for a line break."""
        return "\\n" if self.ascii else "↵"

    @property
    def space(self) -> str:
        """What stands for a space that ends a row."""
        return "\\x20" if self.ascii else "·"

    def paint(self, style: str, text: str) -> str:
        """Return `text` in a style."""
        code = _STYLES[style] if self.colour and text else ""
        return f"{code}{text}{_RESET}" if code else text


def explain(
    message: ParsedMessage, title: str, reasons: Mapping[int, str], look: Look
) -> Iterator[str]:
    """Yield the lines of the explanation; `reasons` says why calls aren't ok, by their index."""
    yield _summary(message, title)
    kinds = ("content", "reasoning", "framing", "call", "failed call")
    legend = "  ".join(look.paint(kind, kind) for kind in kinds)
    yield f"legend: {legend}  ({look.newline} line break, {look.space} space that ends a line)"
    yield ""
    calls = {call.span: call for call in message.tool_calls}
    for call in message.tool_calls:
        if call.span.start == call.span.end:  # all of it stands in the prompt's prefix
            yield f"{'prefix':>6}  call {call.index}"
            yield from _verdict(call, reasons.get(call.index, ""), _style(call), look)
    for segment in message.segments:
        span = segment.span
        text = message.text[span.start : span.end]
        call = calls[span] if segment.kind is SegmentKind.CALL else None
        style = _style(call) if call else segment.kind.value
        label = f"call {call.index}" if call else segment.kind.value
        yield from _rows(f"{span.start:>6}  {label}", text, style, look)
        if call:
            yield from _verdict(call, reasons.get(call.index, ""), style, look)


def _style(call: ToolCall) -> str:
    return "call" if call.status is CallStatus.OK else "failed call"


def _summary(message: ParsedMessage, title: str) -> str:
    statuses = [call.status.value for call in message.tool_calls]
    counts = ", ".join(f"{statuses.count(one)} {one}" for one in dict.fromkeys(statuses))
    plural = "" if len(statuses) == 1 else "s"
    calls = f"{len(statuses)} call{plural}{f' ({counts})' if counts else ''}"
    return f"{title}: {len(message.text)} characters, {calls}"


def _verdict(call: ToolCall, reason: str, style: str, look: Look) -> Iterator[str]:
    line = f"= {call.status.value}: {call.name or '(no name)'} {call.arguments}"
    yield from _rows("", line.rstrip(), style, look)
    if reason:
        yield from _rows("", f"= why: {reason}", "verdict", look)


def _rows(margin: str, text: str, style: str, look: Look) -> Iterator[str]:
    width = max(look.width - _MARGIN, _NARROWEST)
    for line in _visible(text, look):
        for row in _wrapped(line, width):
            shown = f"{margin:<{_MARGIN}}"
            yield look.paint("margin", shown) + look.paint(style, row)
            margin = ""


def _visible(text: str, look: Look) -> list[list[str]]:
    """Return the lines of `text` as lists of what is drawn for each character."""
    lines: list[list[str]] = [[]]
    for place, char in enumerate(text):
        if char == "\n":
            lines[-1].append(look.newline)
            if place + 1 < len(text):
                lines.append([])
        elif char == " ":
            ends = place + 1 == len(text) or text[place + 1] in "\r\n"
            lines[-1].append(look.space if ends else " ")
        else:
            lines[-1].append(_drawn(char, look))
    return lines


def _drawn(char: str, look: Look) -> str:
    hidden = unicodedata.category(char) in _HIDDEN or (look.ascii and not char.isascii())
    return ascii(char)[1:-1] if hidden else char


def _wrapped(line: list[str], width: int) -> Iterator[str]:
    """Cut a line into rows of at most `width` columns, after a space where one is near the end."""
    row: list[str] = []
    used = 0
    for drawn in line:
        columns = _columns(drawn)
        if row and used + columns > width:
            cut = _cut(row)
            yield "".join(row[:cut])
            row = row[cut:]
            used = sum(map(_columns, row))
        row.append(drawn)
        used += columns
    yield "".join(row)


def _cut(row: list[str]) -> int:
    """Return after how many of its characters a full row ends."""
    for place in range(len(row) - 1, len(row) // 2, -1):
        if row[place] == " ":
            return place + 1
    return len(row)


def _columns(drawn: str) -> int:
    if len(drawn) > 1 or drawn.isascii():
        return len(drawn)
    if unicodedata.combining(drawn):
        return 0
    return 2 if unicodedata.east_asian_width(drawn) in "WF" else 1
