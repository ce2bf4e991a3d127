"""Atropos 0.4.0: `ServerManager.chat_completion` as its environments call it, and the tool.

Its environments write the loop themselves, so the loop is the same as in `client_aiohttp`. Health
checks are off, as they would send requests of their own.
"""

import asyncio
import json
from importlib.metadata import version
from typing import Any

from atroposlib.envs.server_handling.server_baseline import APIServerConfig
from atroposlib.envs.server_handling.server_manager import ServerManager
from conversation import SYSTEM, TOOL, USER
from meter import job, measure


async def main() -> None:
    """Measure chat."""
    work = job()
    config = APIServerConfig(
        model_name="mock",
        base_url=work["base_url"],
        api_key="none",
        server_type="openai",
        health_check=False,
        num_max_requests_at_once=work["rollouts"],
        num_requests_for_eval=work["rollouts"],
    )
    manager = ServerManager([config])

    async def rollout() -> int:
        messages: list[dict[str, Any]] = [SYSTEM, USER]
        for turn in range(1, 100):
            answer = await manager.chat_completion(
                messages=messages, tools=[TOOL], n=1, max_tokens=512
            )
            message = answer.choices[0].message
            messages.append(message.model_dump(exclude_none=True))
            if not message.tool_calls:
                return turn
            for call in message.tool_calls:
                given = json.loads(call.function.arguments)
                said = str(given["a"] + given["b"])
                messages.append({"role": "tool", "tool_call_id": call.id, "content": said})
        return 0

    await measure(
        rollout, rollouts=work["rollouts"], turns=work["turns"], version=version("atroposlib")
    )


if __name__ == "__main__":
    asyncio.run(main())
