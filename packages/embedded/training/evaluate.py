"""Measure the model through its server: `uv run python packages/embedded/training/evaluate.py`.

Plays whole rollouts on held-out problems with the GSM8K prompt and prints, per temperature, how
many made a tool call and how many boxed the right answer. It runs the model's Python on this
machine, isolated by nothing but a time limit: look at what a model writes before you trust another
one with it.
"""

import argparse
import asyncio
import json
import re
import sys
from asyncio.subprocess import PIPE
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from conversations import PINNED
from openai import AsyncOpenAI

from treadle_embedded import EmbeddedServer
from treadle_embedded.problems import Problem, generate

TURNS = 4
BOX = re.compile(r"\\boxed\{(-?[\d,]+)\}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Played:
    """One rollout."""

    problem: Problem
    called: bool
    right: bool
    last: str


async def play(client: AsyncOpenAI, problem: Problem, temperature: float, seed: int) -> Played:
    """Play one rollout."""
    messages: list[Any] = [
        {"role": "system", "content": PINNED.system},
        {"role": "user", "content": problem.question},
    ]
    called, content = False, ""
    for _ in range(TURNS):
        answer = await client.chat.completions.create(
            model=EmbeddedServer.model,
            messages=messages,
            tools=PINNED.schemas(),
            temperature=temperature,
            seed=seed,
            max_tokens=256,
        )
        message = answer.choices[0].message
        content = message.content or ""
        if not message.tool_calls:
            break
        called = True
        messages.append(message.model_dump(exclude_none=True))
        for call in message.tool_calls:
            result = await run_python(call.function.arguments)
            messages.append({"role": "tool", "tool_call_id": call.id, "content": result})
    boxed = BOX.findall(content)
    right = bool(boxed) and int(boxed[-1].replace(",", "")) == problem.result
    return Played(problem=problem, called=called, right=right, last=str(messages[2:]) + content)


async def run_python(arguments: str) -> str:
    """Run the `code` of a call as the python tool of an environment would."""
    try:
        code = json.loads(arguments)["code"]
    except (ValueError, KeyError, TypeError):
        return "exit code 1\nthe arguments are no JSON object with `code`"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-I", "-c", code, stdout=PIPE, stderr=PIPE
    )
    try:
        out, errors = await asyncio.wait_for(process.communicate(), 10)
    except TimeoutError:
        process.kill()
        await process.wait()
        return "timed out after 10 seconds"
    if process.returncode:
        shown = "\n".join(errors.decode().splitlines()[-3:])
        return f"exit code {process.returncode}\n{shown}"
    return out.decode().removesuffix("\n") or "(no output: print the result)"


async def evaluate(options: argparse.Namespace) -> None:
    """Play all problems at both temperatures and print the figures."""
    problems = generate(options.count, options.seed)
    async with (
        EmbeddedServer(bundle=options.bundle) as server,
        AsyncOpenAI(base_url=server.base_url, api_key="none") as client,
    ):
        gate = asyncio.Semaphore(8)

        async def one(index: int, problem: Problem, temperature: float) -> Played:
            async with gate:
                return await play(client, problem, temperature, index)

        for temperature in (1.0, 0.0):
            played = await asyncio.gather(
                *(one(index, problem, temperature) for index, problem in enumerate(problems))
            )
            report(temperature, played, show=options.show)


def report(temperature: float, played: list[Played], *, show: int) -> None:
    """Print the figures of one temperature."""
    calls, right = sum(p.called for p in played), sum(p.right for p in played)
    count = len(played)
    print(
        f"temperature {temperature}: {calls / count:.1%} called a tool, {right / count:.1%} right"
    )
    wrong = Counter(p.problem.template for p in played if not p.right)
    print(f"  wrong by template: {dict(wrong.most_common())}")
    for one in [p for p in played if not p.right][:show]:
        print(f"  {one.problem.question} -> {one.problem.expression}\n    {one.last}")


def main() -> None:
    """Parse flags and evaluate."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=400, help="held-out problems")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--bundle", type=Path, help="another converted folder")
    parser.add_argument("--show", type=int, default=0, help="print this many wrong rollouts")
    asyncio.run(evaluate(parser.parse_args()))


if __name__ == "__main__":
    main()
