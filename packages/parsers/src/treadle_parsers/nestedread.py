"""The arguments of one call in nested elements, read while they arrive.

A string argument flows while it is written; any other waits for its end.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass, field

from treadle_parsers import coercion, elements, schema
from treadle_parsers.cursor import Markers, Steps
from treadle_parsers.draft import CallDraft
from treadle_parsers.reading import Reading
from treadle_parsers.records import CallStatus
from treadle_parsers.tagged import NAME_ATTRIBUTE, Head


@dataclass(frozen=True, slots=True, kw_only=True)
class NestedRules:
    """The tags of a format with a mark before each."""

    mark: str
    """What stands before every tag."""
    marks: Markers = field(init=False, repr=False, compare=False)
    """The mark, to look for."""
    tags: re.Pattern[str] = field(init=False, repr=False, compare=False)
    """Any tag."""
    stops: re.Pattern[str] = field(init=False, repr=False, compare=False)
    """Any tag, and the beginning of a call."""
    head: Head = field(init=False, repr=False, compare=False)
    """The opening tag of a call."""

    def __post_init__(self) -> None:
        head = Head(open=f"{self.mark}<invoke", rest=NAME_ATTRIBUTE + r"[^>]*>", end=">", write="")
        object.__setattr__(self, "marks", Markers((self.mark,)))
        tags = elements.tags(self.mark)
        stops = rf"{tags.pattern}|{re.escape(self.mark)}<invoke "
        object.__setattr__(self, "tags", tags)
        object.__setattr__(self, "stops", re.compile(stops))
        object.__setattr__(self, "head", head)


class NestedArguments:
    """The arguments of one call while they are read."""

    __slots__ = ("_any", "_body", "_broken", "_call", "_pattern", "_reading", "_root")

    def __init__(self, body: NestedRules, reading: Reading, call: CallDraft) -> None:
        self._body = body
        self._reading = reading
        self._call = call
        self._root = reading.tools.schema(call.name)
        self._pattern = body.tags
        self._any = False
        self._broken = False

    def read(self) -> Steps[None]:
        """Read elements up to the end of the call and close its record."""
        cursor, mark = self._reading.cursor, self._body.mark
        while True:
            char = yield from cursor.skip_space()
            if not char:
                self._finish(complete=False)
                return
            if not (yield from cursor.looking_at(mark)):
                self._broken = True
                if cursor.ended and mark.startswith(cursor.buffer[cursor.at :]):
                    cursor.at = len(cursor.buffer)
                    self._broken = False
                else:
                    yield from cursor.skip_to(self._body.marks)
                continue
            tag = yield from self._tag()
            if tag in (f"{mark}</invoke>", f"{mark}</tool_call>", f"{mark}<tool_call>"):
                if tag == f"{mark}</invoke>":
                    cursor.at += len(tag)
                self._finish(complete=True)
                return
            found = self._pattern.fullmatch(tag)
            if tag.startswith(f"{mark}<invoke"):
                self._finish(complete=True)
                return
            cursor.at += len(tag) if found else len(mark)
            if found and not found[1] and not (yield from self._argument(found[2])):
                return

    def _tag(self) -> Steps[str]:
        """Return the tag at the cursor, as far as there is one."""
        cursor = self._reading.cursor
        while True:
            stop = cursor.buffer.find(">", cursor.at + len(self._body.mark), cursor.at + 300)
            if stop >= 0:
                return cursor.buffer[cursor.at : stop + 1]
            if cursor.ended or len(cursor.buffer) - cursor.at >= 300:
                return cursor.buffer[cursor.at : cursor.at + len(self._body.mark)]
            yield

    def _finish(self, *, complete: bool) -> None:
        if not complete and not self._any:
            self._reading.close_call(self._call, CallStatus.TRUNCATED)
            return
        self._call.add("}" if self._any else "{}")
        status = CallStatus.INVALID_JSON if self._broken else None
        self._reading.close_call(self._call, status, complete=complete)

    def _argument(self, key: str) -> Steps[bool]:
        """Read one argument; False when the text ended in it."""
        call, cursor, mark = self._call, self._reading.cursor, self._body.mark
        call.add((", " if self._any else "{") + coercion.encode(key) + ": ")
        self._any = True
        declared = schema.property_schema(self._root, key, self._root)
        string = coercion.is_text(declared, self._root)
        if string and not declared:
            string = not (yield from cursor.looking_at(f"{mark}<"))
            closing = yield from cursor.looking_at(f"{mark}</")
            string = string or closing
        closed = yield from self._text(key, declared, string=string)
        if not closed:
            self._reading.close_call(call, CallStatus.TRUNCATED)
        return closed

    def _text(self, key: str, declared: schema.Schema | None, *, string: bool) -> Steps[bool]:
        call, cursor, mark = self._call, self._reading.cursor, self._body.mark
        opened, closed = f"{mark}<{key}>", f"{mark}</{key}>"
        around = (f"{mark}</invoke>", f"{mark}<invoke ", f"{mark}</tool_call>")
        wanted = (opened, closed, *around)
        parts: list[str] | None = None if string else []
        depth = 1
        call.add('"' if string else "")
        while True:
            text, marker = self._take_to(wanted)
            if not marker:
                self._keep(text, parts)
                if cursor.ended:
                    call.add("".join(parts or ()))
                    return False
                yield
                continue
            depth += (marker == opened and not string) - (marker == closed)
            ends = depth == 0 or marker in around
            self._keep(text if ends else text + marker, parts)
            if not ends or marker == closed:
                cursor.at += len(marker)
            if ends:
                break
        if parts is None:
            call.add('"')
        else:
            call.add(elements.to_json("".join(parts), self._pattern, declared, self._root))
        return True

    def _keep(self, text: str, parts: list[str] | None) -> None:
        """Pass on the text of a string; of another value, keep it for later."""
        if parts is None:
            self._call.add(coercion.encode(text)[1:-1])
        else:
            parts.append(text)

    def _take_to(self, wanted: Collection[str]) -> tuple[str, str]:
        """Consume text up to the next of the tags `wanted`, or what may begin one; return it, and
        the tag.
        """
        cursor = self._reading.cursor
        buffer, at = cursor.buffer, cursor.at
        for found in self._body.stops.finditer(buffer, at):
            if found.group() in wanted:
                cursor.at = found.start()
                return buffer[at : cursor.at], found.group()
        cursor.at = len(buffer) if cursor.ended else self._held_from(wanted)
        return buffer[at : cursor.at], ""

    def _held_from(self, wanted: Collection[str]) -> int:
        """Return where in the buffer one of the tags `wanted` may have begun."""
        cursor = self._reading.cursor
        least = max(cursor.at, len(cursor.buffer) - max(map(len, wanted)))
        start = cursor.buffer.rfind(self._body.mark, least)
        if start >= 0 and any(tag.startswith(cursor.buffer[start:]) for tag in wanted):
            return start
        return self._body.marks.held_from(cursor)
