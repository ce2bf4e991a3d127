"""Rates of a list of verdicts, by family and in all, and every miss."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from judge import Verdict

PARTS = ("calls", "content", "reasoning", "streaming")
_SHOWN = 600


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """How many of the cases that tell something are right."""

    right: int
    told: int

    def __str__(self) -> str:
        return f"{self.right}/{self.told}" + (f" {self.right / self.told:.1%}" if self.told else "")


def rate(verdicts: Sequence[Verdict], part: str) -> Rate:
    """Return the rate of one part."""
    answers = [getattr(verdict, part) for verdict in verdicts]
    return Rate(right=answers.count(True), told=len(answers) - answers.count(None))


def as_json(verdicts: Sequence[Verdict]) -> dict[str, Any]:
    """Return the rates in all, and the misses with what is wrong in them."""
    rates = {part: rate(verdicts, part) for part in PARTS}
    return {
        "rates": {part: {"right": one.right, "told": one.told} for part, one in rates.items()},
        "misses": {verdict.case.key: verdict.wrong for verdict in verdicts if verdict.wrong},
    }


def as_text(verdicts: Sequence[Verdict], *, show: bool) -> str:
    """Return a table and the misses."""
    families = sorted({verdict.case.family for verdict in verdicts})
    lines = [_row("family", PARTS), "|---" * (1 + len(PARTS)) + "|"]
    for family in families:
        own = [verdict for verdict in verdicts if verdict.case.family == family]
        lines.append(_row(family, [str(rate(own, part)) for part in PARTS]))
    lines.append(_row("all", [str(rate(verdicts, part)) for part in PARTS]))
    for verdict in verdicts:
        if verdict.wrong:
            lines.append(f"\n{verdict.case.family}: {verdict.case.key}: {', '.join(verdict.wrong)}")
            lines += _details(verdict) if show else []
    return "\n".join(lines)


def _row(name: str, cells: Sequence[str]) -> str:
    return f"| {name} | " + " | ".join(cells) + " |"


def _details(verdict: Verdict) -> list[str]:
    case, message = verdict.case, verdict.message
    pairs: dict[str, tuple[object, object]] = {
        "calls": (
            [(call["name"], call["arguments"]) for call in case.calls],
            [(call.name, call.arguments, call.status.value) for call in message.tool_calls],
        ),
        "content": (case.content, message.content),
        "reasoning": (case.reasoning, message.reasoning),
    }
    lines = [f"  text      {case.prefix!r} + {case.text!r}"[:_SHOWN]]
    for part in verdict.wrong:
        expected, found = pairs.get(part, ("", ""))
        lines.append(f"  {part} expected {expected!r}"[:_SHOWN])
        lines.append(f"  {part} found    {found!r}"[:_SHOWN])
    return lines
