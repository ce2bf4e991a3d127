"""The arguments of one call in tags, read while they arrive.

An argument's text ends at its closing tag only when structure follows; at the opening tag of an
argument that the schema knows and that hasn't come yet; or at the end of the call, when that ends
the block too.
"""

import html

from treadle_parsers import coercion, schema
from treadle_parsers.cursor import Markers, Steps
from treadle_parsers.draft import CallDraft
from treadle_parsers.jsonvalue import Breakouts, Outcome, read_value
from treadle_parsers.lookahead import END
from treadle_parsers.reading import Reading
from treadle_parsers.records import CallStatus
from treadle_parsers.tagged import ValueText, name_of
from treadle_parsers.tagrules import CDATA, TagRules

_CDATA_END = Markers(("]]>",))

_STRING_MARKS = ("true", "string", "str")
"""What a tag says of an argument that is a string."""


class TaggedArguments:
    """The arguments of one call while they are read."""

    __slots__ = ("_body", "_broken", "_call", "_keys", "_reading", "_root")

    def __init__(self, body: TagRules, reading: Reading, call: CallDraft) -> None:
        self._body = body
        self._reading = reading
        self._call = call
        self._root = reading.tools.schema(call.name)
        self._keys: set[str] = set()
        self._broken = False

    def read(self) -> Steps[None]:
        """Read arguments up to the end of the call and close its record."""
        body, cursor = self._body, self._reading.cursor
        while True:
            char = yield from cursor.skip_space()
            if char == "":
                self._end()
                return
            marker = yield from cursor.at_marker(body.structure)
            if marker == body.param.open:
                if not (yield from self._argument()):
                    return
            elif marker == body.param_close:
                cursor.at += len(marker)
            elif marker:
                cursor.at += len(marker) if marker in body.call_closes else 0
                self._finish(complete=True)
                return
            elif char == "{" and body.json_body and not self._keys:
                yield from self._json()
                return
            elif cursor.ended and body.structure.may_grow(cursor):
                cursor.at = len(cursor.buffer)
                self._end()
                return
            elif not (yield from self._skip()):
                return

    def _finish(self, *, complete: bool) -> None:
        self._call.add("}" if self._keys else "{}")
        status = CallStatus.INVALID_JSON if self._broken else None
        self._reading.close_call(self._call, status, complete=complete)

    def _end(self) -> None:
        """The text ended between arguments: complete as far as it goes, if it goes anywhere."""
        if self._keys:
            self._finish(complete=False)
        else:
            self._reading.close_call(self._call, CallStatus.TRUNCATED)

    def _skip(self) -> Steps[bool]:
        """Skip text that can't stand between arguments; False when the text ended in it."""
        self._broken = True
        cursor = self._reading.cursor
        found = yield from cursor.skip_to(self._body.structure)
        if found:
            return True
        self._reading.close_call(self._call, CallStatus.TRUNCATED)
        return False

    def _json(self) -> Steps[None]:
        """Read a JSON object that stands for the arguments."""
        cursor, call = self._reading.cursor, self._call
        outcome = yield from read_value(self._reading, call.add, Breakouts())
        if outcome is Outcome.ENDED:
            self._reading.close_call(call, CallStatus.TRUNCATED)
            return
        yield from cursor.skip_to(self._body.structure)
        closed = yield from cursor.starts_with(self._body.call_close)
        status = CallStatus.INVALID_JSON if outcome is Outcome.BAD else None
        self._reading.close_call(call, status, complete=closed)

    def _argument(self) -> Steps[bool]:
        """Read one argument, or skip what isn't one; False when the text ended in it."""
        body, cursor, call = self._body, self._reading.cursor, self._call
        found = yield from body.param.look(cursor, len(body.param.open))
        if found is None:
            cursor.at += len(body.param.open)
            cut = cursor.ended
            after = yield from cursor.skip_to(body.structure)
            self._broken |= after == body.param_close  # a value without a name
            if cut and not after:
                self._reading.close_call(call, CallStatus.TRUNCATED)
            return bool(after) or not cut
        cursor.at = found.end()
        key = html.unescape(name_of(found)) if body.xml_names else name_of(found)
        call.add(("{" if not self._keys else ", ") + coercion.encode(key) + ": ")
        self._keys.add(key)
        groups = found.groupdict()
        value = self._value(key, groups.get("string") or groups.get("type"))
        if (yield from self._text(value)):
            value.close()
            return True
        value.abandon()
        self._reading.close_call(call, CallStatus.TRUNCATED)
        return False

    def _value(self, key: str, marked: str | None) -> ValueText:
        body = self._body
        declared = schema.property_schema(self._root, key, self._root)
        if body.self_typed:
            declared = None
        if marked is not None:
            string = marked in _STRING_MARKS
        elif declared:
            string = coercion.is_text(declared, self._root)
        else:
            string = not body.guess
        return ValueText(
            self._call,
            None if marked is not None and not declared else declared or {},
            self._root,
            newlines=body.newlines,
            xml=body.xml,
            string=string,
            guess=marked is not None or body.guess,
        )

    def _text(self, value: ValueText) -> Steps[bool]:
        """Pass on the text of an argument up to its end; False when the whole text ended first."""
        body, cursor = self._body, self._reading.cursor
        while True:
            text, marker = cursor.take_to(body.value_ends)
            if text:
                value.add(text)
            if not marker:
                if cursor.ended:
                    return False
                yield
            elif marker == CDATA:
                if not (yield from self._cdata(value)):
                    return False
            elif (yield from self._ends(marker)):
                cursor.at += len(marker) if marker == body.param_close else 0
                return True
            else:
                value.add(marker)
                cursor.at += len(marker)

    def _cdata(self, value: ValueText) -> Steps[bool]:
        """Pass on a CDATA section, unread; False when the text ended in it."""
        cursor = self._reading.cursor
        cursor.at += len(CDATA)
        while True:
            text, end = cursor.take_to(_CDATA_END)
            value.add(text, raw=True)
            if end:
                cursor.at += len(end)
                return True
            if cursor.ended:
                return False
            yield

    def _ends(self, marker: str) -> Steps[bool]:
        """Say whether `marker`, at the cursor, ends the text of an argument."""
        body, cursor = self._body, self._reading.cursor
        if marker == body.call.open and body.special:
            return (yield from body.call.look(cursor, len(marker))) is not None
        if marker != body.param.open:
            return (yield from self._followed(marker, body.after[marker]))
        found = yield from body.param.look(cursor, len(marker))
        if found is None:
            return False
        key = name_of(found)
        if not self._root:
            return True
        return key not in self._keys and bool(schema.property_schema(self._root, key, self._root))

    def _followed(self, marker: str, parts: tuple[str, ...]) -> Steps[bool]:
        for part in parts:
            cursor = self._reading.cursor
            found = yield from cursor.looking_at(marker, part)
            if found or (part != END and cursor.may_reach(marker, part)):
                return True
        return False
