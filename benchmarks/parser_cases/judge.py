"""Whether a parsed message is what a case expects, part by part.

Calls: the same names and arguments in the same order, compared as JSON values. Expected arguments
that aren't JSON are the fragment of a call whose recording stopped early: a call that isn't
complete must hold exactly that text, a complete one must begin with it. A call that can't be read
may be reported (it is here) or left out (as some engines do).

Content and reasoning: the same text but for white space at both ends, and nothing is the same as
empty. Nothing is compared where the recording engine's splitting was switched off.
"""

import contextlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from recorded import Case

from treadle_parsers import CallStatus, ParsedMessage, ToolCall
from treadle_parsers.testing import check_text, pieces

READABLE = frozenset({CallStatus.OK, CallStatus.UNKNOWN_TOOL, CallStatus.SCHEMA_MISMATCH})
SIZES = (1, 2, 3, 7)


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What was right; None for a part that the case doesn't tell."""

    case: Case
    message: ParsedMessage
    calls: bool
    content: bool | None
    reasoning: bool | None
    streaming: bool

    @property
    def wrong(self) -> tuple[str, ...]:
        """The names of the parts that are wrong."""
        parts = {
            "calls": self.calls,
            "content": self.content,
            "reasoning": self.reasoning,
            "streaming": self.streaming,
        }
        return tuple(name for name, right in parts.items() if right is False)


def judge(case: Case) -> Verdict:
    """Parse `case` whole and in pieces."""
    message = case.parser.parse(case.text, case.tools, prefix=case.prefix)
    told = not case.unsplit
    return Verdict(
        case=case,
        message=message,
        calls=_calls_right(case.calls, message),
        content=_same(case.content, message.content) if told else None,
        reasoning=(
            _same(case.reasoning, message.reasoning)
            if told and case.reasoning is not None
            else None
        ),
        streaming=_streams(case),
    )


def _streams(case: Case) -> bool:
    """Say whether every way of cutting gives the same message, and its events add up to it."""
    cuts = [pieces(case.text, size) for size in SIZES]
    try:
        check_text(case.parser, case.text, cuts, tools=case.tools, prefix=case.prefix)
    except AssertionError:
        return False
    return True


def _same(expected: str, found: str) -> bool:
    return expected.strip() == found.strip()


def _calls_right(expected: Sequence[dict[str, Any]], message: ParsedMessage) -> bool:
    every = message.tool_calls
    readable = tuple(call for call in every if call.status in READABLE)
    return _all_match(expected, readable) or _all_match(expected, every)


def _all_match(expected: Sequence[dict[str, Any]], calls: Sequence[ToolCall]) -> bool:
    return len(expected) == len(calls) and all(map(_matches, expected, calls))


def _matches(expected: dict[str, Any], call: ToolCall) -> bool:
    if expected["name"] != call.name:
        return False
    wanted = expected["arguments"]
    if isinstance(wanted, str):
        with contextlib.suppress(ValueError):
            wanted = json.loads(wanted) if wanted.strip() else {}
    if isinstance(wanted, str):
        complete = call.status in READABLE
        return call.arguments.startswith(wanted) if complete else call.arguments == wanted
    found: Any = call.arguments
    with contextlib.suppress(ValueError):
        found = json.loads(call.arguments) if call.arguments.strip() else {}
    return _canonical(wanted or {}) == _canonical(found or {})


def _canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True)
