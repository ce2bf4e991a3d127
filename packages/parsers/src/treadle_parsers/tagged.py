"""Arguments written between tags, one pair for each parameter: the parts that such a format is
described with.

A `Head` is a marker that carries a name, such as `<parameter=city>` or `<invoke name="f">`.
`ValueText` turns the text between the tags into JSON while it arrives: strings flow, other types
wait for their end.
"""

import html
import re
from dataclasses import dataclass, field

from treadle_parsers import coercion
from treadle_parsers.cursor import Cursor, Steps
from treadle_parsers.draft import CallDraft
from treadle_parsers.schema import Schema

HEAD_LIMIT = 512
"""Most characters of a head."""

_CUT_OFF = re.compile(r"\s*[^\s<>]*\s*(?:<[^<>]*)?")

NAME_ATTRIBUTE = r"""\s+name\s*=\s*(?:"(?P<name>[^"]*)"|'(?P<name1>[^']*)'|(?P<name2>[^\s>"']+))"""
"""The attribute `name`, in any quotes or none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """A marker with a name in it."""

    open: str
    """The literal it begins with."""
    rest: str
    """Regular expression of what follows, with a group `name` (or `name1`, `name2`), maybe
    others.
    """
    end: str
    """A literal: the head ends with it at the latest, and is judged once it has arrived."""
    write: str
    """How it is rendered: the text, with `{name}` for the name."""
    sure: bool = False
    """Whether the literal alone, with a word after it at most, is no prose."""
    _pattern: re.Pattern[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_pattern", re.compile(self.rest, re.DOTALL))

    def look(self, cursor: Cursor, skip: int) -> Steps[re.Match[str] | None]:
        """Match what follows the opening literal, `skip` characters ahead; consume nothing.

        Returns None when no head stands there, or when the text ended before that was clear.
        """
        while True:
            start = cursor.at + skip
            limit = start + HEAD_LIMIT
            arrived = cursor.buffer.find(self.end, start, limit)
            if arrived >= 0:
                return self._pattern.match(cursor.buffer, start, arrived + len(self.end))
            if cursor.ended or len(cursor.buffer) >= limit:
                return None
            yield

    def cut_off(self, cursor: Cursor) -> bool:
        """Say whether the text ended inside the head, as far as that can be seen."""
        if not self.sure or not cursor.ended:
            return False
        rest = cursor.buffer[cursor.at :]
        return len(rest) < HEAD_LIMIT and _CUT_OFF.fullmatch(rest) is not None


def name_of(found: re.Match[str]) -> str:
    """Return the name in a matched head."""
    groups = found.groupdict()
    for key in ("name", "name1", "name2"):
        if groups.get(key) is not None:
            return groups[key].strip()
    return ""


_LONGEST_ENTITY = 10
_HEAD_OF_VALUE = 64
"""Most characters that are looked at to tell a string from other values before its end."""
_ENTITY = re.compile(r"&(?:amp|lt|gt|quot|apos|#\d{1,7}|#x[0-9a-fA-F]{1,6});")


def _character(found: re.Match[str]) -> str:
    return html.unescape(found.group())


class ValueText:
    """The text of one argument on its way to JSON."""

    __slots__ = (
        "_call",
        "_declared",
        "_edge",
        "_fresh",
        "_guess",
        "_held",
        "_open",
        "_parts",
        "_root",
        "_string",
        "_xml",
    )

    def __init__(
        self,
        call: CallDraft,
        declared: Schema | None,
        root: Schema,
        *,
        newlines: bool,
        xml: bool,
        string: bool,
        guess: bool,
    ) -> None:
        self._call = call
        self._declared = declared
        self._root = root
        self._edge = newlines
        self._fresh = newlines
        self._held = ""
        self._string = string
        self._guess = guess
        self._xml = xml
        self._parts: list[str] = []
        self._open = not string
        if string:
            call.add('"')

    def add(self, text: str, *, raw: bool = False) -> None:
        """Take more text of the value; `raw` text comes from a CDATA section."""
        if self._xml:
            self._add_xml(text, raw=raw)
        elif not self._edge:
            self._pass(text)
        else:
            self._add_trimmed(text)

    def _add_xml(self, text: str, *, raw: bool) -> None:
        if raw:
            self._pass(self._held)
            self._held = ""
            self._pass(text)
            return
        text = self._held + text
        begun = text.rfind("&", max(0, len(text) - _LONGEST_ENTITY))
        keep = begun if begun >= 0 and ";" not in text[begun:] else len(text)
        self._held = text[keep:]
        self._pass(_ENTITY.sub(_character, text[:keep]))

    def _add_trimmed(self, text: str) -> None:
        text = self._held + text
        if self._fresh:
            if text in ("", "\r"):
                self._held = text
                return
            self._fresh = False
            text = text[1:] if text[0] == "\n" else text[2:] if text[:2] == "\r\n" else text
        keep = len(text)
        if text.endswith("\n"):
            keep -= 2 if text.endswith("\r\n") else 1
        elif text.endswith("\r"):
            keep -= 1
        self._held = text[keep:]
        self._pass(text[:keep])

    def _pass(self, text: str) -> None:
        if not text:
            return
        if self._string:
            self._call.add(coercion.encode(text)[1:-1])
        else:
            self._parts.append(text)
            if self._open:
                self._settle()

    def _settle(self) -> None:
        """Let the value flow as a string once its first characters say that it can be nothing
        else.
        """
        text = "".join(self._parts)
        head = text[:_HEAD_OF_VALUE]
        declared = None if self._guess and not self._declared else self._declared
        if coercion.can_only_be_text(head, declared, self._root):
            self._string, self._open = True, False
            self._call.add('"' + coercion.encode(text)[1:-1])
        elif len(text) >= _HEAD_OF_VALUE:
            self._open = False

    def close(self) -> None:
        """The value is complete; a newline that was held back was framing."""
        if self._held and not self._held.endswith("\n"):
            self._pass(self._held)
        if self._string:
            self._call.add('"')
        else:
            text = "".join(self._parts)
            if self._guess and not self._declared:
                self._call.add(coercion.any_json(text))
            else:
                self._call.add(coercion.to_json(text, self._declared, self._root))

    def abandon(self) -> None:
        """The text ended inside the value: keep what there is."""
        self._pass(self._held)
        if not self._string:
            self._call.add("".join(self._parts))
