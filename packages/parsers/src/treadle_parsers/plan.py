"""A format compiled for reading: the markers of its two modes, and what each means.

A body may say what has to follow its opener (`Choosy`); then most prose that holds the opener
costs nothing, or next to nothing.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Protocol, TypeAlias, cast

from treadle_parsers.cursor import Markers
from treadle_parsers.lookahead import any_of

if TYPE_CHECKING:
    from treadle_parsers.format import Body, Format


class Choosy(Protocol):
    """A body that can refuse an opener by what follows it."""

    def follow(self, opener: str) -> str:
        """Return what must follow `opener`, a pattern of `lookahead`; empty when anything may."""
        ...


class Turn(Enum):
    """What a marker that begins no call does."""

    THINK = "think"
    """Go to reasoning."""
    ANSWER = "answer"
    """Go back to content."""
    DROP = "drop"
    """Framing: nothing happens."""
    STRAY = "stray"
    """What closes a call: framing right after a call or marker, text within running text."""
    SKIP = "skip"
    """A control token: the text goes on as if it weren't there."""


class Call:
    """A call may begin, in one of these ways."""

    __slots__ = ("begins", "bodies", "follow", "opener")

    def __init__(self, opener: str, bodies: tuple["Body", ...]) -> None:
        self.opener: str = opener
        self.bodies: tuple[Body, ...] = bodies
        self.follow: str = any_of([_follow(body, opener) for body in bodies])
        """What must follow the opener; empty when anything may."""
        self.begins: re.Pattern[str] = re.compile(self.follow)
        """The same, compiled."""


def _follow(body: "Body", opener: str) -> str:
    choosy: Choosy | None = cast("Choosy", body) if hasattr(body, "follow") else None
    return choosy.follow(opener) if choosy else ""


Rule: TypeAlias = Turn | Call


class Table:
    """The markers of one mode and what each means."""

    __slots__ = ("closes", "markers", "rules")

    def __init__(self, rules: Mapping[str, Rule]) -> None:
        self.rules: dict[str, Rule] = dict(rules)
        self.closes: tuple[str, ...] = tuple(
            literal for literal, rule in rules.items() if rule is Turn.ANSWER
        )
        calls = [rule for rule in rules.values() if isinstance(rule, Call)]
        follows = {rule.opener: rule.follow for rule in calls}
        self.markers: Markers = Markers(tuple(rules), follows)


@dataclass(frozen=True, slots=True)
class Plan:
    """A format compiled: the markers of its two modes. Built once for each format."""

    content: Table
    reasoning: Table
    quiet: Table
    """For a message that has all its calls: no marker begins another."""
    still: Table
    """For a message that has all its markers: none counts."""
    first: "Body | None" = None

    @classmethod
    def of(cls, form: "Format") -> "Plan":
        """Compile `form`."""
        bodies: dict[str, tuple[Body, ...]] = {}
        for body in form.bodies:
            for opener in body.openers:
                bodies[opener] = (*bodies.get(opener, ()), body)
        calls: dict[str, Rule] = {
            opener: Call(opener, several) for opener, several in bodies.items()
        }
        skips: dict[str, Rule] = dict.fromkeys(form.control, Turn.SKIP)
        drops: dict[str, Rule] = {**skips, **dict.fromkeys(form.framing, Turn.DROP)}
        strays: dict[str, Rule] = {
            stray: Turn.STRAY for body in form.bodies for stray in body.strays
        }
        closes: dict[str, Rule] = {thinking.close: Turn.ANSWER for thinking in form.thinking}
        opens: dict[str, Rule] = {thinking.open: Turn.THINK for thinking in form.thinking}
        return cls(
            first=form.first,
            content=Table({**strays, **drops, **closes, **opens, **calls}),
            reasoning=Table(
                {**drops, **opens, **closes, **(calls if form.calls_in_thinking else {})}
            ),
            quiet=Table({**drops, **opens, **closes}),
            still=Table({}),
        )
