"""One message being read: routes text to content, reasoning and calls.

The text outside calls is searched for the markers of the current mode. A marker that begins a
call is offered to its body; when the body declines, the marker was prose. White space alone
between two markers is framing, and so is white space around the text of a thinking block; all
other text is kept as it is.
"""

import re

from treadle_parsers.cursor import Cursor, Steps
from treadle_parsers.draft import CallDraft, Draft
from treadle_parsers.plan import Call, Plan, Rule, Table, Turn
from treadle_parsers.records import CallStatus, SegmentKind
from treadle_parsers.toolbox import Toolbox

MAX_FOLLOWED = 65_536
"""Most markers of one message that are followed; after them all is text, so that a text made of
markers stays quick.
"""
CUT_MARKER = 3
"""Fewest characters in which the beginning of a marker at the end of the text is recognised."""


class Reading:
    """The state of one message: what has arrived, what was understood, what mode the text is in."""

    __slots__ = (
        "_blank",
        "_followed",
        "_kind",
        "_marked",
        "_next",
        "_pending",
        "_trim",
        "cursor",
        "draft",
        "length",
        "plan",
        "tools",
        "variants",
    )

    def __init__(self, plan: Plan, cursor: Cursor, draft: Draft, tools: Toolbox) -> None:
        self.plan: Plan = plan
        self.cursor: Cursor = cursor
        self.draft: Draft = draft
        self.tools: Toolbox = tools
        self.length: bool = False
        """The text was cut off by the token limit; known once it has ended."""
        self.variants: set[str] = set()
        """Which variants of the format the message uses, where a body tells them apart."""
        self._kind = SegmentKind.CONTENT
        self._next = SegmentKind.CONTENT
        self._blank = True
        self._followed = 0
        self._marked = False
        self._trim = False
        self._pending: list[tuple[str, int]] = []

    def message(self) -> Steps[None]:
        """Read the whole message."""
        if self.plan.first:
            yield from self.plan.first.read(self, "", self.cursor.position)
        cursor = self.cursor
        prose = 0  # how many of the next characters hold no marker that counts
        while True:
            table = self._table()
            found = table.markers.search(cursor, prose)
            if found:
                rule = table.rules[found.group()]
                if self._is_prose(rule, found):
                    prose = found.end() - cursor.at
                    continue
                self._emit(found.start())
                cursor.at = found.end()
                prose = 0
                if isinstance(rule, Call):
                    yield from self._call(rule)
                else:
                    self._turn(rule, found.group())
                continue
            self._emit(table.markers.held_from(cursor, prose))
            prose = 0
            if cursor.ended:
                self._end(table)
                return
            yield

    def close_call(
        self, call: CallDraft, status: CallStatus | None = None, *, complete: bool = False
    ) -> None:
        """Finish `call` at the read position.

        Without a status it is judged by its name and arguments. A call that the token limit may
        have cut off is truncated, unless `complete` says that its closing marker was read.
        """
        cursor = self.cursor
        if self.length and not complete and cursor.at >= len(cursor.buffer):
            status = CallStatus.TRUNCATED
        if status is None:
            status = self.tools.judge(call.name, call.arguments)
        call.finish(status, cursor.position)

    def turn_to(self, kind: SegmentKind) -> None:
        """Say what the text after the marker now being read is; content unless this is called."""
        self._next = kind

    def stay(self) -> None:
        """Say that the text after the marker now being read is what the text before it was."""
        self._next = self._kind

    @property
    def begun(self) -> bool:
        """Whether anything of the message came before the marker now being read."""
        return self._marked or not self._blank

    def _table(self) -> Table:
        """Return the markers that count now."""
        if self._followed >= MAX_FOLLOWED:
            return self.plan.still
        if self.draft.full:
            return self.plan.quiet
        return self.plan.content if self._kind is SegmentKind.CONTENT else self.plan.reasoning

    def _is_prose(self, rule: Rule, found: re.Match[str]) -> bool:
        """Say whether a marker is surely text like the text before it."""
        if self._blank:
            return False
        if isinstance(rule, Call):
            return rule.begins.match(self.cursor.buffer, found.end()) is None
        if rule is Turn.STRAY:
            return True
        if self._kind is SegmentKind.REASONING:
            return rule is Turn.THINK
        return rule is Turn.ANSWER and found.group().startswith("</")

    def _begins_close(self, table: Table, rest: str) -> bool:
        """Say whether the text ended within the marker that closes the thinking block."""
        if self._kind is SegmentKind.CONTENT or len(rest) < CUT_MARKER or rest[0] not in "<[":
            return False
        return any(close.startswith(rest) for close in table.closes)

    def _call(self, rule: Call) -> Steps[None]:
        """Offer the call whose opener was consumed to its bodies; the opener is text if none takes
        it.
        """
        cursor = self.cursor
        self._followed += not rule.follow  # any other is found, or not, as the text is cut
        start = cursor.position - len(rule.opener)
        for body in rule.bodies if rule.begins.match(cursor.buffer, cursor.at) else ():
            self.turn_to(SegmentKind.CONTENT)
            if (yield from body.read(self, rule.opener, start)):
                self._enter(self._next, trim=self._next is SegmentKind.REASONING)
                return
        self._say(rule.opener, start)

    def _turn(self, turn: Turn, marker: str) -> None:
        """Follow a marker that begins no call."""
        if turn is Turn.SKIP:
            return
        if turn is Turn.THINK:
            if self._kind is SegmentKind.REASONING and not self._blank:
                self._say(marker, self.cursor.position - len(marker))
            else:
                self._enter(SegmentKind.REASONING, trim=True)
        elif turn is Turn.ANSWER:
            self._answer(marker)
        elif turn is Turn.STRAY and not self._blank:
            self._say(marker, self.cursor.position - len(marker))
        else:
            self._enter(self._kind, trim=self._trim and self._blank)

    def _answer(self, marker: str) -> None:
        """Leave the thinking block; where none is open, the marker is text unless it is first."""
        if self._kind is SegmentKind.CONTENT and self.begun and marker.startswith("</"):
            self._say(marker, self.cursor.position - len(marker))
        else:
            self._enter(SegmentKind.CONTENT, trim=True)

    def _enter(self, kind: SegmentKind, *, trim: bool) -> None:
        """Begin a new stretch of text; white space that was held back was framing."""
        self._pending = []
        self._followed += 1
        self._marked = True
        self._kind = kind
        self._blank = True
        self._trim = trim

    def _end(self, table: Table) -> None:
        """Keep what waits at the end of the text: the beginning of a marker unless it was to close
        the thinking block, and white space that is all there is of the message.
        """
        if not self._begins_close(table, self.cursor.buffer[self.cursor.at :]):
            self._emit(len(self.cursor.buffer))
        if self._pending and self._kind is SegmentKind.CONTENT and not self._marked:
            self._release()

    def _emit(self, stop: int) -> None:
        """Consume the text up to `stop` in the buffer."""
        cursor = self.cursor
        if stop <= cursor.at:
            return
        text = cursor.buffer[cursor.at : stop]
        start = cursor.position
        cursor.at = stop
        self._say(text, start)

    def _say(self, text: str, start: int) -> None:
        """Pass `text` on; white space waits while it may turn out to be framing."""
        end = start + len(text)
        reasoning = self._kind is SegmentKind.REASONING
        if self._blank:
            solid = text.lstrip()
            if not solid:
                self._pending.append((text, end))
                return
            self._blank = False
            if self._trim:
                text = solid
                self._pending = []
        if reasoning:
            solid = text.rstrip()
            if len(solid) < len(text):
                if not solid:
                    self._pending.append((text, end))
                    return
                tail = text[len(solid) :]
                self._release()
                self._deliver(solid, end - len(tail))
                self._pending = [(tail, end)]
                return
        self._release()
        self._deliver(text, end)

    def _release(self) -> None:
        """Deliver white space that was held back."""
        for text, end in self._pending:
            self._deliver(text, end)
        self._pending = []

    def _deliver(self, text: str, end: int) -> None:
        if self._kind is SegmentKind.REASONING:
            self.draft.reasoning(text)
        else:
            self.draft.content(text)
        self.draft.mark(self._kind, end - len(text), end)
