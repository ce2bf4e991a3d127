"""A call written as one JSON object, read field by field while it arrives.

The argument text is passed on exactly as the model writes it, as soon as the name is known.
"""

from dataclasses import dataclass

from treadle_parsers import coercion, jsontext
from treadle_parsers.cursor import Steps
from treadle_parsers.draft import CallDraft
from treadle_parsers.jsonvalue import Breakouts, Outcome, read_value
from treadle_parsers.reading import Reading


@dataclass(frozen=True, slots=True, kw_only=True)
class JsonKeys:
    """The keys of a call object; the first of each kind is the one that is rendered."""

    name: tuple[str, ...] = ("name",)
    arguments: tuple[str, ...] = ("arguments", "parameters")
    id: tuple[str, ...] = ("id",)
    wrapper: tuple[str, ...] = ("function",)
    """Keys whose object value holds the fields, as in the OpenAI form."""
    numbered: bool = False
    """Whether the model writes the number of the call as its id."""
    keyed: bool = False
    """Whether the name is itself the key of the arguments: `{"f": {"x": 1}}`."""


JSON_KEYS = JsonKeys()
"""The usual keys."""


def read_fields(
    reading: Reading, call: CallDraft, keys: JsonKeys, breakouts: Breakouts
) -> Steps[Outcome]:
    """Read the object at the cursor, which stands at its `{`, into `call`."""
    cursor = reading.cursor
    cursor.at += 1
    fields = _Fields(reading, call, keys, breakouts)
    depth = 1
    after_field = False
    while depth:
        char = cursor.solid() or (yield from cursor.skip_space())
        if char == "}":
            cursor.at += 1
            depth -= 1
            after_field = True
            continue
        if after_field and char == ",":
            cursor.at += 1
            char = cursor.solid() or (yield from cursor.skip_space())
        elif after_field:
            return _stopped(char)
        if char != '"':
            return _stopped(char)
        outcome = yield from fields.field()
        if outcome is not Outcome.DONE:
            return outcome
        after_field = not fields.opened
        if fields.opened:
            fields.opened = False
            depth += 1
    fields.complete()
    return Outcome.DONE


def _stopped(char: str) -> Outcome:
    return Outcome.BAD if char else Outcome.ENDED


class _Fields:
    """The fields of one call object."""

    __slots__ = ("_breakouts", "_call", "_has_arguments", "_keys", "_others", "_reading", "opened")

    def __init__(
        self, reading: Reading, call: CallDraft, keys: JsonKeys, breakouts: Breakouts
    ) -> None:
        self._reading = reading
        self._call = call
        self._keys = keys
        self._breakouts = breakouts
        self._has_arguments = False
        self._others: list[str] = []
        self.opened = False
        """The field just read opened a wrapper object: its fields follow."""

    def complete(self) -> None:
        """The object is complete: without arguments a call has none to give.

        An object that names nothing is itself what is kept as the arguments.
        """
        if not self._has_arguments:
            self._call.add("{}" if self._call.name else "{" + ", ".join(self._others) + "}")

    def field(self) -> Steps[Outcome]:
        """Read one key, its colon and its value."""
        cursor = self._reading.cursor
        key = self._plain()
        if not key:
            text = yield from self._text()
            if isinstance(text, Outcome):
                return text
            key = _string(text)
        char = cursor.solid() or (yield from cursor.skip_space())
        if char != ":":
            return _stopped(char)
        cursor.at += 1
        char = cursor.solid() or (yield from cursor.skip_space())
        if char == "":
            return Outcome.ENDED
        if self._keys.keyed and not self._has_arguments:
            self._call.begin(key)
            return (yield from self._arguments(char))
        if char == "{" and key in self._keys.wrapper:
            cursor.at += 1
            self.opened = True
            return Outcome.DONE
        if key in self._keys.arguments and not self._has_arguments:
            return (yield from self._arguments(char))
        return (yield from self._other(key, char))

    def _other(self, key: str, char: str) -> Steps[Outcome]:
        """Read a value that isn't the arguments, and take what it tells."""
        value = self._plain()
        text: str | Outcome = f'"{value}"'
        if not value:
            text = yield from self._text()
            if isinstance(text, Outcome):
                return text
            value = _string(text)
        if char == '"':
            self._take(key, value)
        if not self._call.name:
            self._others.append(f"{coercion.encode(key)}: {text}")
        return Outcome.DONE

    def _plain(self) -> str:
        """Consume a string that has arrived whole and needs no second look; empty when it does."""
        cursor = self._reading.cursor
        found = self._breakouts.plain.match(cursor.buffer, cursor.at)
        if found is None or not found[1]:
            return ""
        cursor.at = found.end()
        return found[1]

    def _text(self) -> Steps[str | Outcome]:
        """Read a value; return its text, or how reading ended."""
        parts: list[str] = []
        outcome = yield from read_value(self._reading, parts.append, self._breakouts)
        return "".join(parts) if outcome is Outcome.DONE else outcome

    def _take(self, key: str, value: str) -> None:
        if key in self._keys.name or (key in self._keys.wrapper and not self._call.name):
            if value:
                self._call.begin(value)
        elif key in self._keys.id:
            self._call.id = self._call.id or value

    def _arguments(self, char: str) -> Steps[Outcome]:
        self._has_arguments = True
        if char not in '"n':
            return (yield from read_value(self._reading, self._call.add, self._breakouts))
        value: list[str] = []
        outcome = yield from read_value(self._reading, value.append, self._breakouts)
        self._call.add(_unwrapped("".join(value)) if outcome is Outcome.DONE else "".join(value))
        return outcome


def _string(text: str) -> str:
    """Return the string that JSON `text` writes; the bare text when it can't be read."""
    try:
        value = jsontext.load(text)
    except ValueError:
        return text.strip('"')
    return value if isinstance(value, str) else ""


def _unwrapped(text: str) -> str:
    """Return arguments that were written as `null` or as a string of JSON in their plain form."""
    if text == "null":
        return "{}"
    if not text.startswith('"'):
        return text
    inner = _string(text)
    if not inner.strip():
        return "{}"
    try:
        value = jsontext.load(inner)
    except ValueError:
        return text
    return inner if isinstance(value, dict | jsontext.TooDeep) else text
