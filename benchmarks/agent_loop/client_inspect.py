"""inspect-ai: its model's `generate` and its `execute_tools` in turn, as its agents do."""

import asyncio
from importlib.metadata import version

from conversation import SYSTEM, USER
from inspect_ai.model import (
    ChatMessageSystem,
    ChatMessageUser,
    GenerateConfig,
    execute_tools,
    get_model,
)
from inspect_ai.tool import Tool, tool
from meter import job, measure


@tool
def add() -> Tool:
    """Make the tool."""

    async def execute(a: int, b: int) -> str:
        """Add two numbers.

        Args:
            a: The first number.
            b: The second number.
        """
        return str(a + b)

    return execute


async def main() -> None:
    """Measure chat."""
    work = job()
    model = get_model(
        "openai-api/mock/mock",
        base_url=work["base_url"],
        api_key="none",
        config=GenerateConfig(max_connections=work["rollouts"], max_retries=0),
    )
    tools = [add()]

    async def rollout() -> int:
        messages = [ChatMessageSystem(**SYSTEM), ChatMessageUser(**USER)]
        for turn in range(1, 100):
            output = await model.generate(messages, tools=tools)
            messages.append(output.message)
            if not output.message.tool_calls:
                return turn
            messages.extend((await execute_tools(messages, tools)).messages)
        return 0

    await measure(
        rollout, rollouts=work["rollouts"], turns=work["turns"], version=version("inspect-ai")
    )


if __name__ == "__main__":
    asyncio.run(main())
