"""The least a client can do: aiohttp, `json`, and the tool. No loop, no checks, no records.

With tokens it also decodes and encodes with the tokenizer, as anyone must who wants to run a tool
between two prompts of ids; the template's text between them is written here by hand.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import aiohttp
from conversation import SYSTEM, TOOL, USER
from meter import job, measure


async def chat(session: aiohttp.ClientSession, url: str) -> int:
    """Run one rollout of messages."""
    messages: list[dict[str, Any]] = [SYSTEM, USER]
    for turn in range(1, 100):
        payload = {"model": "mock", "messages": messages, "tools": [TOOL], "max_tokens": 512}
        async with session.post(f"{url}/chat/completions", json=payload) as response:
            message = json.loads(await response.read())["choices"][0]["message"]
        messages.append(message)
        if not message.get("tool_calls"):
            return turn
        for call in message["tool_calls"]:
            given = json.loads(call["function"]["arguments"])
            said = str(given["a"] + given["b"])
            messages.append({"role": "tool", "tool_call_id": call["id"], "content": said})
    return 0


def tokens(folder: str) -> Callable[[aiohttp.ClientSession, str], Awaitable[int]]:
    """Return a function that runs one rollout of token ids."""
    from tokenizers import Tokenizer

    backend = Tokenizer.from_file(str(Path(folder) / "tokenizer.json"))
    opening = Path(folder, "opening.txt").read_text()

    async def rollout(session: aiohttp.ClientSession, url: str) -> int:
        prompt = backend.encode(opening, add_special_tokens=False).ids
        for turn in range(1, 100):
            payload = {
                "model": "mock",
                "prompt": prompt,
                "max_tokens": 512,
                "logprobs": 1,
                "return_token_ids": True,
                "skip_special_tokens": False,
            }
            async with session.post(f"{url}/completions", json=payload) as response:
                ids = json.loads(await response.read())["choices"][0]["token_ids"]
            text = backend.decode(ids, skip_special_tokens=False)
            if "<tool_call>" not in text:
                return turn
            call = json.loads(text.partition("<tool_call>")[2].partition("</tool_call>")[0])
            said = str(call["arguments"]["a"] + call["arguments"]["b"])
            added = f"\n<|im_start|>tool\n{said}<|im_end|>\n<|im_start|>assistant\n"
            prompt = [*prompt, *ids, *backend.encode(added, add_special_tokens=False).ids]
        return 0

    return rollout


async def main() -> None:
    """Measure the mode that the job names."""
    work = job()
    run = chat if work["mode"] == "chat" else tokens(work["tokenizer"])
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector) as session:
        await measure(
            lambda: run(session, work["base_url"]),
            rollouts=work["rollouts"],
            turns=work["turns"],
            version=version("aiohttp"),
        )


if __name__ == "__main__":
    asyncio.run(main())
