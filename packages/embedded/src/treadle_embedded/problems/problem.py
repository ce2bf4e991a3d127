"""Generated problems in GSM8K's form, with a reference solution in Python.

The same count, seed and split give the same problems on every machine. The two splits share no
question: a question belongs to one of them by its text. The bundled model was trained on
`Split.TRAIN` alone.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from itertools import islice
from pathlib import Path
from random import Random

from treadle_embedded.problems import counting, measures, money
from treadle_embedded.problems.story import Operand, Step, Story, Template, expression

TEMPLATES: tuple[Template, ...] = (*counting.TEMPLATES, *money.TEMPLATES, *measures.TEMPLATES)
"""Every template; problems are drawn from them evenly."""


class Split(StrEnum):
    """Which questions may be drawn."""

    TRAIN = "train"
    """Seven of eight questions: what the bundled model was trained on."""
    HELD_OUT = "held_out"
    """The others: no training question is among them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One word problem."""

    question: str
    answer: str
    """The rationale, a line per step, then `#### N`: GSM8K's own form."""
    result: int
    """The N of `answer`."""
    template: str
    """Name of the template it was drawn from."""
    expression: str
    """Reference solution as one Python expression over the question's numbers."""
    program: str
    """Reference solution as a Python script: one assignment per step, then `print` of the last."""


def generate(count: int, seed: int, *, split: Split = Split.HELD_OUT) -> list[Problem]:
    """Draw `count` problems with different questions."""
    return list(islice(stream(seed, split=split), count))


def stream(seed: int, *, split: Split = Split.HELD_OUT) -> Iterator[Problem]:
    """Draw problems with different questions, without end."""
    rng = Random(f"{split}:{seed}")
    seen: set[str] = set()
    while True:
        template = rng.choice(TEMPLATES)
        story = template(rng)
        if story.question not in seen and split_of(story.question) is split:
            seen.add(story.question)
            yield _problem(story, template.__name__)


def split_of(question: str) -> Split:
    """Say which split a question belongs to."""
    held_out = sha256(question.encode()).digest()[0] % 8 == 0
    return Split.HELD_OUT if held_out else Split.TRAIN


def write_jsonl(problems: Iterable[Problem], path: Path) -> None:
    """Write problems as JSON lines with GSM8K's keys `question` and `answer`."""
    with path.open("w", encoding="utf-8") as file:
        for problem in problems:
            row = {"question": problem.question, "answer": problem.answer}
            file.write(json.dumps(row, ensure_ascii=False) + "\n")


def write_split(path: Path, split: str) -> None:
    """Write a data set of GSM8K's sizes: `train` (7,473 problems) or `test` (1,319, held out)."""
    count, chosen = (1319, Split.HELD_OUT) if split == "test" else (7473, Split.TRAIN)
    write_jsonl(generate(count, seed=0, split=chosen), path)


def _problem(story: Story, template: str) -> Problem:
    values = story.values()
    result = values[story.steps[-1].name]
    lines = [_rationale(step, values) for step in story.steps]
    assignments = [f"{s.name} = {s.left} {s.operator} {s.right}" for s in story.steps]
    return Problem(
        question=story.question,
        answer="\n".join([*lines, f"#### {result}"]),
        result=result,
        template=template,
        expression=expression(story),
        program="\n".join([*assignments, f"print({story.steps[-1].name})"]),
    )


def _rationale(step: Step, values: dict[str, int]) -> str:
    def number(operand: Operand) -> int:
        return operand if isinstance(operand, int) else values[operand]

    sign = {"//": "/"}.get(step.operator, step.operator)
    left, right, value = number(step.left), number(step.right), values[step.name]
    sum_text = f"{left} {sign} {right} = <<{left}{sign}{right}={value}>>{value}"
    return f"{step.name.capitalize()}: {sum_text}."
