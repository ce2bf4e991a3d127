"""verifiers: its `ToolEnv`, whose `rollout` is the whole loop, with its chat client."""

import asyncio
from importlib.metadata import version

import verifiers as vf
from conversation import SYSTEM, USER
from datasets import Dataset
from meter import job, measure
from verifiers.clients import resolve_client
from verifiers.types import ClientConfig


def add(a: int, b: int) -> str:
    """Add two numbers.

    Args:
        a: The first number.
        b: The second number.
    """
    return str(a + b)


async def main() -> None:
    """Measure chat."""
    work = job()
    rows = [{"prompt": [SYSTEM, USER], "answer": "42", "info": {}, "example_id": 0}]
    env = vf.ToolEnv(
        tools=[add],
        max_turns=work["turns"] + 1,
        dataset=Dataset.from_list(rows),
        rubric=vf.Rubric(),
    )
    client = resolve_client(ClientConfig(api_base_url=work["base_url"], max_retries=0))

    async def rollout() -> int:
        state = await env.rollout(input=rows[0], client=client, model="mock", sampling_args={})
        return len(state["trajectory"])

    await measure(
        rollout, rollouts=work["rollouts"], turns=work["turns"], version=version("verifiers")
    )


if __name__ == "__main__":
    asyncio.run(main())
