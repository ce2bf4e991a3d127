"""What must hold for every case, and how long it may take."""

import random
import re
import time
from collections.abc import Callable
from dataclasses import dataclass

from parser_fuzz.cases import TOOLS, Case
from treadle_parsers import ParsedMessage, detect, get_parser
from treadle_parsers.openai import DeltaWriter
from treadle_parsers.testing import check_events, check_text, cut_at, pieces
from treadle_parsers.tokens import TokenStream, Vocabulary

SHORT = 800
"""Longest text that is also fed character by character."""


class SlowInputError(AssertionError):
    """A text took longer than its length allows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """Most CPU time of a check: seconds for it, and seconds for each character of each pass."""

    fixed: float
    each: float


GENEROUS = Bound(fixed=0.5, each=200e-6)
"""Thirty times what a text of markers costs in instrumented code on one slow core."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a case came to."""

    message: ParsedMessage
    seconds: float
    characters: int
    """Characters parsed, all passes together."""


def ways(case: Case) -> list[list[str]]:
    """Return the cuts that the text of `case` is fed in."""
    text = case.expanded
    draw = random.Random(case.cuts)
    if len(text) > SHORT:
        return [pieces(text, draw.choice([4, 7, 64, 1000]))]
    places = [draw.randrange(len(text) + 1) for _ in range(draw.randrange(1, 9))]
    return [pieces(text, 1), pieces(text, draw.randrange(2, 8)), cut_at(text, places)]


def check(case: Case, bound: Bound = GENEROUS) -> Outcome:
    """Run every check on `case`. Raises: AssertionError with what is wrong."""
    outcome = _timed(lambda: _parse(case), (2 + len(ways(case))) * len(case.expanded))
    allowed = bound.fixed + bound.each * outcome.characters
    if outcome.seconds > allowed:  # other work on the machine may have slowed it: try again
        again = min(_timed(lambda: _parse(case), 0).seconds for _ in range(2))
        if again > allowed:
            raise SlowInputError(
                f"{again:.2f} s for {outcome.characters} characters, {allowed:.2f} s allowed"
            )
    return outcome


def _timed(work: Callable[[], ParsedMessage], characters: int) -> Outcome:
    begun = time.process_time()
    message = work()
    return Outcome(message=message, seconds=time.process_time() - begun, characters=characters)


def _parse(case: Case) -> ParsedMessage:
    text = case.expanded
    message = check_text(
        get_parser(case.format),
        text,
        ways(case),
        tools=TOOLS[case.tools],
        prefix=case.prompt,
        finish_reason=case.reason,
    )
    if len(text) <= SHORT:
        detect(text=text)
        _check_deltas(case, message)
        if not case.prefix and text.encode("utf-8", "replace").decode() == text:
            _check_tokens(case, message)
    return message


def _check_deltas(case: Case, message: ParsedMessage) -> None:
    """Check that OpenAI deltas add up to the record, each name once and before its arguments."""
    stream = get_parser(case.format).stream(TOOLS[case.tools], prefix=case.prompt)
    writer = DeltaWriter()
    deltas = [one for piece in ways(case)[-1] for one in writer.write(stream.feed(piece))]
    stream.close(case.reason)
    deltas += writer.write(stream.final_events)
    content = "".join(one.get("content", "") for one in deltas)
    assert content == message.content
    calls: list[tuple[str, list[str]]] = []
    for part in (part for one in deltas for part in one.get("tool_calls", ())):
        function = part["function"]
        if "name" in function:
            assert part["index"] == len(calls)
            calls.append((function["name"], []))
        calls[part["index"]][1].append(function["arguments"])
    told = [(name, "".join(parts)) for name, parts in calls]
    assert told == [(call.name, call.arguments) for call in message.tool_calls if call.name]


def _check_tokens(case: Case, message: ParsedMessage) -> None:
    """Check that tokens, with the format's markers as special ones, give the same record."""
    markers = sorted(get_parser(case.format).format.framing, key=len, reverse=True)
    splitter = re.compile("|".join([*map(re.escape, markers), "(?s:.)"]))
    pieces_ = splitter.findall(case.expanded)
    ids = {piece: place for place, piece in enumerate(dict.fromkeys([*markers, *pieces_]))}
    vocabulary = Vocabulary(
        pieces={number: piece.encode() for piece, number in ids.items()},
        special=frozenset(ids[marker] for marker in markers),
    )
    stream = TokenStream(get_parser(case.format), vocabulary, TOOLS[case.tools])
    events = [event for piece in pieces_ for event in stream.feed([ids[piece]])]
    by_token = stream.close(case.reason)
    assert by_token == message
    check_events([*events, *stream.final_events], by_token)
