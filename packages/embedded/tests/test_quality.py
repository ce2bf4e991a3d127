"""The promise of the bundled weights: tool calls and right answers on problems they never saw."""

import ast
import asyncio
import json
import operator
import re

from openai import AsyncOpenAI

from treadle_embedded import TRAINED_SYSTEM, TRAINED_TOOL, EmbeddedServer, bundle_path
from treadle_embedded.problems import generate

OPERATORS = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.USub: operator.neg,
}


def calculate(code):
    """Run the arithmetic that the model writes: assignments and one print, nothing else."""
    values = {}

    def value(node):
        match node:
            case ast.Constant(int(number)):
                return number
            case ast.Name(name):
                return values[name]
            case ast.BinOp(left, sign, right):
                return OPERATORS[type(sign)](value(left), value(right))
            case ast.UnaryOp(sign, operand):
                return OPERATORS[type(sign)](value(operand))
        raise ValueError(ast.dump(node))

    for statement in ast.parse(code).body:
        match statement:
            case ast.Assign([ast.Name(name)], node):
                values[name] = value(node)
            case ast.Expr(ast.Call(ast.Name("print"), [node])):
                return str(value(node))
    return "(no output: print the result)"


async def play(client, problem, seed):
    """Return whether a tool was called, and whether the right answer was boxed."""
    messages = [
        {"role": "system", "content": TRAINED_SYSTEM},
        {"role": "user", "content": problem.question},
    ]
    options = {"model": EmbeddedServer.model, "tools": [TRAINED_TOOL], "seed": seed}
    answer = await client.chat.completions.create(messages=messages, **options)
    message = answer.choices[0].message
    if not message.tool_calls:
        return False, False
    call = message.tool_calls[0]
    try:
        result = calculate(json.loads(call.function.arguments)["code"])
    except (ValueError, KeyError, SyntaxError, ZeroDivisionError) as error:
        result = f"exit code 1\n{type(error).__name__}: {error}"
    messages.append(message.model_dump(exclude_none=True))
    messages.append({"role": "tool", "tool_call_id": call.id, "content": result})
    answer = await client.chat.completions.create(messages=messages, **options)
    boxed = re.findall(r"\\boxed\{(-?\d+)\}", answer.choices[0].message.content or "")
    return True, boxed[-1:] == [str(problem.result)]


def test_held_out_problems_are_solved_with_the_tool(server):
    async def run():
        async with AsyncOpenAI(base_url=server.base_url, api_key="none") as client:
            problems = generate(100, 77)
            return await asyncio.gather(*(play(client, p, i) for i, p in enumerate(problems)))

    played = asyncio.run(run())
    assert sum(called for called, _ in played) >= 97
    assert sum(right for _, right in played) >= 80


def test_the_bundle_is_small():
    size = sum(path.stat().st_size for path in bundle_path().rglob("*"))
    assert size < 10_000_000
