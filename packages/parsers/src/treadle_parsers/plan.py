"""A format compiled for reading: the markers of its two modes, and what each means.

A body may say what has to follow its opener (`Choosy`); then most prose that holds the opener
costs nothing, or next to nothing.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, TypeAlias, runtime_checkable

from treadle_parsers.cursor import Markers
from treadle_parsers.lookahead import any_of

if TYPE_CHECKING:
    from treadle_parsers.format import Body, Format, Thinking


@runtime_checkable
class Choosy(Protocol):
    """A body that can refuse an opener by what follows it."""

    def follow(self, opener: str) -> str:
        """Return what must follow `opener`, a pattern of `lookahead`; empty when anything may."""
        ...


@dataclass(frozen=True, slots=True)
class Think:
    """Go to reasoning."""

    thinking: "Thinking"


@dataclass(frozen=True, slots=True)
class Answer:
    """Go back to content."""


@dataclass(frozen=True, slots=True)
class Drop:
    """Framing: nothing happens."""


@dataclass(frozen=True, slots=True)
class Stray:
    """What closes a call: framing right after a call or marker, text within running text."""


@dataclass(frozen=True, slots=True)
class Skip:
    """A control token: the text goes on as if it weren't there."""


@dataclass(frozen=True, slots=True)
class Call:
    """A call may begin, in one of these ways."""

    opener: str
    bodies: tuple["Body", ...]
    follow: str = field(init=False)
    """What must follow the opener; empty when anything may."""
    begins: re.Pattern[str] = field(init=False)
    """The same, compiled."""

    def __post_init__(self) -> None:
        follows = [
            body.follow(self.opener) if isinstance(body, Choosy) else "" for body in self.bodies
        ]
        object.__setattr__(self, "follow", any_of(follows))
        object.__setattr__(self, "begins", re.compile(self.follow))


Rule: TypeAlias = Think | Answer | Drop | Stray | Skip | Call


class Table:
    """The markers of one mode and what each means."""

    __slots__ = ("closes", "markers", "rules")

    def __init__(self, rules: Mapping[str, Rule]) -> None:
        self.rules: dict[str, Rule] = dict(rules)
        self.closes: tuple[str, ...] = tuple(
            literal for literal, rule in rules.items() if isinstance(rule, Answer)
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
        skips: dict[str, Rule] = dict.fromkeys(form.control, Skip())
        drops: dict[str, Rule] = {**skips, **dict.fromkeys(form.framing, Drop())}
        strays: dict[str, Rule] = {stray: Stray() for body in form.bodies for stray in body.strays}
        closes: dict[str, Rule] = {thinking.close: Answer() for thinking in form.thinking}
        opens: dict[str, Rule] = {thinking.open: Think(thinking) for thinking in form.thinking}
        return cls(
            first=form.first,
            content=Table({**strays, **drops, **closes, **opens, **calls}),
            reasoning=Table(
                {**drops, **opens, **closes, **(calls if form.calls_in_thinking else {})}
            ),
            quiet=Table({**drops, **opens, **closes}),
        )
