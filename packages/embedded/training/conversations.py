"""Training conversations: a problem, a Python call that solves it, its result and a boxed answer.

Most conversations have exactly the prompt and the tool that the GSM8K environment sends (`PINNED`).
The others vary it (other or no system message, a second tool, no tool, a failed first call, a
second question) so that the model doesn't depend on one text. `Turn.trained` marks the assistant
turns that it learns from: a call that is wrong on purpose is shown and never learned.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from typing import Any

from treadle_embedded import TRAINED_SYSTEM, TRAINED_TOOL
from treadle_embedded.problems import Problem

TERMINAL_TOOL: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "terminal",
        "description": "Run a shell command and return its output.",
        "parameters": {
            "type": "object",
            "properties": {"command": {"type": "string", "description": "The command."}},
            "required": ["command"],
        },
    },
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What stands before the question."""

    system: str
    tools: tuple[str, ...]

    def schemas(self) -> list[dict[str, Any]]:
        """The `tools=` list."""
        known = {"python": TRAINED_TOOL, "terminal": TERMINAL_TOOL}
        return [known[name] for name in self.tools]


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """One message, and whether an assistant message is learned."""

    message: dict[str, Any]
    trained: bool = True


PINNED = Setting(system=TRAINED_SYSTEM, tools=("python",))
_BOX = "Give the final answer in \\boxed{}."
_VARIANTS = (
    Setting(system="", tools=("python",)),
    Setting(system="You are a helpful assistant.", tools=("python",)),
    Setting(system="You solve maths problems.", tools=("python", "terminal")),
    Setting(system=TRAINED_SYSTEM, tools=("python", "terminal")),
    Setting(system=TRAINED_SYSTEM, tools=("terminal", "python")),
    Setting(system=_BOX, tools=("terminal",)),
    Setting(system=TRAINED_SYSTEM, tools=()),
    Setting(system="", tools=()),
)
_OPENINGS = ("Let me calculate this.", "I will use Python.", "Let me work it out.")
_CLOSINGS = ("The answer is \\boxed{%d}.", "So the answer is \\boxed{%d}.", "\\boxed{%d}")


def draw_setting(rng: Random) -> Setting:
    """Draw the setting of one batch: four of five are the pinned one."""
    return PINNED if rng.random() < 0.8 else rng.choice(_VARIANTS)


def converse(problems: Iterator[Problem], setting: Setting, rng: Random) -> list[Turn]:
    """Draw one conversation, system message included when the setting has one."""
    turns: list[Turn] = []
    if setting.system:
        turns.append(Turn(message={"role": "system", "content": setting.system}))
    for _ in range(2 if rng.random() < 0.03 else 1):
        turns.extend(_solve(next(problems), setting, rng))
    return turns


def _solve(problem: Problem, setting: Setting, rng: Random) -> list[Turn]:
    turns = [Turn(message={"role": "user", "content": problem.question})]
    if "python" in setting.tools:
        if rng.random() < 0.06:
            turns.extend(_failed_call(problem, rng))
        turns.extend(_call("python", {"code": _code(problem, rng)}, str(problem.result), rng))
    elif "terminal" in setting.tools:
        command = f"echo $(({problem.expression.replace('//', '/')}))"
        turns.extend(_call("terminal", {"command": command}, str(problem.result), rng))
    closing = rng.choice(_CLOSINGS) % problem.result
    return [*turns, Turn(message={"role": "assistant", "content": closing})]


def _code(problem: Problem, rng: Random) -> str:
    return f"print({problem.expression})" if rng.random() < 0.6 else problem.program


def _call(tool: str, arguments: dict[str, str], result: str, rng: Random) -> list[Turn]:
    content = rng.choice(_OPENINGS) if rng.random() < 0.1 else ""
    return [_call_turn(tool, arguments, content), Turn(message={"role": "tool", "content": result})]


def _call_turn(tool: str, arguments: dict[str, str], content: str, *, trained: bool = True) -> Turn:
    function = {"name": tool, "arguments": json.dumps(arguments, ensure_ascii=False)}
    calls = [{"type": "function", "function": function}]
    message = {"role": "assistant", "content": content, "tool_calls": calls}
    return Turn(message=message, trained=trained)


def _failed_call(problem: Problem, rng: Random) -> list[Turn]:
    """A wrong call that is not learned, and the tool's answer to it."""
    code, answer = rng.choice(
        (
            (problem.expression, "(no output: print the result)"),
            (
                f"print({problem.expression}",
                f"exit code 1\n    print({problem.expression}\n         ^\n"
                "SyntaxError: '(' was never closed",
            ),
            (
                "print(result)",
                "exit code 1\n    print(result)\n          ^^^^^^\n"
                "NameError: name 'result' is not defined",
            ),
            (f"while True: {problem.expression}", "timed out after 10 seconds"),
        )
    )
    return [
        _call_turn("python", {"code": code}, "", trained=False),
        Turn(message={"role": "tool", "content": answer}),
    ]
