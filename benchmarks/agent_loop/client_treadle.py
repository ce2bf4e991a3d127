"""`AgentLoop` with `ChatClient`, or with `TokenClient` over vLLM's `/v1/completions`."""

import asyncio
from importlib.metadata import version

from conversation import SYSTEM, USER
from meter import job, measure

from treadle_agent_loop import (
    AgentLoop,
    ChatClient,
    ChatTokenizer,
    RolloutResult,
    TokenClient,
    tool,
)


@tool
async def add(a: int, b: int) -> str:
    """Add two numbers.

    Args:
        a: The first number.
        b: The second number.
    """
    return str(a + b)


async def main() -> None:
    """Measure the mode that the job names."""
    work = job()
    url, most = work["base_url"], work["rollouts"]
    if work["mode"] == "chat":
        client = ChatClient(base_url=url, model="mock", concurrency=most)
    else:
        tokenizer = await asyncio.to_thread(ChatTokenizer.load, work["tokenizer"])
        client = TokenClient(
            base_url=url,
            model="mock",
            tokenizer=tokenizer,
            engine="vllm-completions",
            concurrency=most,
        )
    loop = AgentLoop(client, [add], max_turns=work["turns"] + 1)

    kept: list[RolloutResult] = []  # as a run does that writes its records at the end

    async def rollout() -> int:
        result = await loop.run([SYSTEM, USER])
        kept.append(result)
        assert all(record.result == "42" for record in result.tool_records)
        return result.turns

    async with client:
        await measure(
            rollout, rollouts=most, turns=work["turns"], version=version("treadle-agent-loop")
        )


if __name__ == "__main__":
    asyncio.run(main())
