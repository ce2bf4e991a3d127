"""What a word problem is made of: a question and the steps that solve it.

A template returns a `Story`; everything else (answer, rationale, Python solution) follows from its
steps, so they can't disagree. Integer arithmetic only: every result is whole.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from random import Random

Operand = int | str
"""A number of the question, or the name of an earlier step."""

OPERATIONS: Mapping[str, Callable[[int, int], int]] = {
    "+": int.__add__,
    "-": int.__sub__,
    "*": int.__mul__,
    "//": int.__floordiv__,
    "%": int.__mod__,
}
_PRECEDENCE = {"+": 1, "-": 1, "*": 2, "//": 2, "%": 2}


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One operation of a solution."""

    name: str
    """The variable that holds its result."""
    left: Operand
    operator: str
    """A key of `OPERATIONS`."""
    right: Operand


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """A question and its solution, last step last."""

    question: str
    steps: tuple[Step, ...]

    def values(self) -> dict[str, int]:
        """Compute every step, by name, in order."""
        values: dict[str, int] = {}
        for step in self.steps:
            operate = OPERATIONS[step.operator]
            values[step.name] = operate(_value(step.left, values), _value(step.right, values))
        return values


Template = Callable[[Random], Story]
"""Draws one story."""


def step(name: str, left: Operand, operator: str, right: Operand) -> Step:
    """Make a step in reading order: `step("left", 24, "-", 7)`."""
    return Step(name=name, left=left, operator=operator, right=right)


def tell(question: str, *steps: Step) -> Story:
    """Make a story in reading order."""
    return Story(question=question, steps=steps)


def expression(story: Story) -> str:
    """Write the last step as one Python expression over the numbers of the question."""
    written: dict[str, tuple[str, int]] = {}
    for one in story.steps:
        level = _PRECEDENCE[one.operator]
        left = _operand(one.left, written, minimum=level)
        right = _operand(one.right, written, minimum=level + 1)
        written[one.name] = (f"{left} {one.operator} {right}", level)
    return written[story.steps[-1].name][0]


def _operand(operand: Operand, written: Mapping[str, tuple[str, int]], *, minimum: int) -> str:
    if isinstance(operand, int):
        return str(operand)
    text, level = written[operand]
    return text if level >= minimum else f"({text})"


def _value(operand: Operand, values: Mapping[str, int]) -> int:
    return operand if isinstance(operand, int) else values[operand]
