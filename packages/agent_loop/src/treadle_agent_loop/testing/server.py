"""A small model server for tests: the real HTTP shapes of vLLM, SGLang and OpenAI over a function
that you write.

`/v1/completions` takes prompt ids and answers ids with logprobs; `/v1/chat/completions` answers
messages, streamed where asked. With `native=` it offers an engine's own way for token ids as well:
`/inference/v1/generate` (vLLM) or `/generate` (SGLang). What the "model" says comes from your
functions; its logprobs are a fixed function of everything before a token (`toy_logprob`), so that a
test can check them against any exported sequence. Faults are served first, in order.
"""

import asyncio
import json
import zlib
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, Self

from aiohttp import web

from treadle_agent_loop.testing import wires
from treadle_agent_loop.testing.faults import Fault, play
from treadle_agent_loop.testing.scripted import ScriptedTurn
from treadle_agent_loop.tokens.chat_tokenizer import ChatTokenizer

TokenScript = Callable[[str], "str | Sequence[int]"]
"""From the prompt's text to the answer: text (control tokens count) or ids."""
ChatScript = Callable[[Sequence[Mapping[str, Any]]], ScriptedTurn]
"""From the messages to the answer."""


def toy_logprob(before: Sequence[int], index: int) -> float:
    """Return the logprob that a toy server gives a token after a sequence of ids."""
    data = ",".join(map(str, (*before, index))).encode()
    return -(zlib.crc32(data) % 8000 + 1) / 1000


class ToyServer:
    """Serves scripts on a free port of this machine; use it as an async context manager."""

    def __init__(
        self,
        *,
        tokenizer: ChatTokenizer | None = None,
        tokens: TokenScript | None = None,
        chat: ChatScript | None = None,
        model: str = "toy",
        max_model_len: int = 32_768,
        token_ids: bool = True,
        native: str | None = None,
        logprobs: Callable[[list[float | None]], list[float | None] | None] | None = None,
        echo: Callable[[list[int]], list[int]] | None = None,
        faults: Sequence[Fault] = (),
        hold: asyncio.Event | None = None,
    ) -> None:
        """`native` is `vllm-generate` or `sglang`. `logprobs` and `echo` change what is sent, to
        play a server that lies; `hold` keeps every answer back until it is set.
        """
        self.hold = hold
        self.tokenizer = tokenizer
        self.tokens = tokens
        self.chat = chat
        self.model = model
        self.max_model_len = max_model_len
        self.token_ids = token_ids
        self.native = native
        self.logprobs = logprobs
        self.echo = echo
        self.faults = deque(faults)
        self.requests: list[dict[str, Any]] = []
        """The bodies of all completion requests that weren't met with a fault."""
        self.attempts = 0
        self.open_requests = 0
        self.peak_open_requests = 0
        self._changed = asyncio.Condition()
        self.base_url = ""
        self._runner: web.AppRunner | None = None

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_get("/v1/models", self._models)
        app.router.add_post("/v1/completions", self._completions)
        app.router.add_post("/v1/chat/completions", self._chat)
        if self.native == "vllm-generate":
            app.router.add_post("/inference/v1/generate", self._vllm_generate)
        elif self.native == "sglang":
            app.router.add_post("/generate", self._sglang)
        self._runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        host, port = self._runner.addresses[0][:2]
        self.base_url = f"http://{host}:{port}/v1"
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Stop serving; safe to call twice."""
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.cleanup()

    async def wait_open_requests(self, count: int) -> None:
        """Wait until exactly `count` requests are being served."""
        async with self._changed:
            await self._changed.wait_for(lambda: self.open_requests == count)

    async def _count_open(self, change: int) -> None:
        async with self._changed:
            self.open_requests += change
            self.peak_open_requests = max(self.peak_open_requests, self.open_requests)
            self._changed.notify_all()

    async def _models(self, request: web.Request) -> web.Response:
        entry = {"id": self.model, "object": "model", "max_model_len": self.max_model_len}
        return web.json_response({"object": "list", "data": [entry]})

    async def _completions(self, request: web.Request) -> web.StreamResponse:
        return await self._served(request, self._complete)

    async def _vllm_generate(self, request: web.Request) -> web.StreamResponse:
        return await self._served(request, self._generate_vllm)

    async def _sglang(self, request: web.Request) -> web.StreamResponse:
        return await self._served(request, self._generate_sglang)

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        return await self._served(request, self._answer)

    async def _served(
        self, request: web.Request, serve: Callable[[dict[str, Any]], dict[str, Any]]
    ) -> web.StreamResponse:
        self.attempts += 1
        await self._count_open(1)
        try:
            if self.hold is not None:
                await self.hold.wait()
            body: dict[str, Any] = await request.json()
            if self.faults:
                return await play(self.faults.popleft(), request)
            if body.get("model", self.model) != self.model:
                return _refusal(404, f"The model `{body.get('model')}` does not exist.")
            self.requests.append(body)
            answer = serve(body)
            if body.get("stream"):
                return await _stream(request, answer)
            return web.json_response(answer)
        finally:
            await asyncio.shield(self._count_open(-1))

    def _complete(self, body: dict[str, Any]) -> dict[str, Any]:
        asked = {**body, "return_token_ids": self.token_ids and body.get("return_token_ids")}
        return wires.write_completions(self._sample(wires.read_completions(body)), asked)

    def _generate_vllm(self, body: dict[str, Any]) -> dict[str, Any]:
        return wires.write_vllm_generate(self._sample(wires.read_vllm_generate(body)), body)

    def _generate_sglang(self, body: dict[str, Any]) -> dict[str, Any]:
        return wires.write_sglang(self._sample(wires.read_sglang(body)), body)

    def _sample(self, request: wires.TokenRequest) -> wires.TokenAnswer:
        if self.tokenizer is None or self.tokens is None:
            raise _bad_request("this server has no completions")
        prompt = request.prompt
        if len(prompt) + 1 > self.max_model_len:
            raise _bad_request(
                f"This model's maximum context length is {self.max_model_len} tokens, but the "
                f"prompt has {len(prompt)}."
            )
        said = self.tokens(self.tokenizer.decode(prompt))
        ids = list(self.tokenizer.encode(said) if isinstance(said, str) else said)
        stopped = len(ids) <= request.max_tokens
        ids = ids[: request.max_tokens]
        values: list[float | None] = [
            toy_logprob((*prompt, *ids[:place]), index) for place, index in enumerate(ids)
        ]
        return wires.TokenAnswer(
            prompt=self.echo(prompt) if self.echo is not None else prompt,
            ids=ids,
            text=self.tokenizer.decode(ids),
            logprobs=self.logprobs(values) if self.logprobs is not None else values,
            stopped=stopped,
        )

    def _answer(self, body: dict[str, Any]) -> dict[str, Any]:
        if self.chat is None:
            raise _bad_request("this server has no chat completions")
        turn = self.chat(body["messages"])
        message: dict[str, Any] = {"role": "assistant", "content": turn.content or None}
        if turn.reasoning:
            message["reasoning_content"] = turn.reasoning
        if turn.calls:
            message["tool_calls"] = [
                {
                    "id": call.id or f"call_{len(self.requests)}_{index}",
                    "type": "function",
                    "function": {"name": call.name, "arguments": call.arguments},
                }
                for index, call in enumerate(turn.calls)
            ]
        finish = turn.finish_reason or ("tool_calls" if turn.calls else "stop")
        choice = {"index": 0, "message": message, "finish_reason": str(finish)}
        usage = {"prompt_tokens": 10, "completion_tokens": 5}
        return {"object": "chat.completion", "choices": [choice], "usage": usage}


async def _stream(request: web.Request, answer: Mapping[str, Any]) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)
    for chunk in wires.chat_chunks(answer):
        await response.write(f"data: {json.dumps(chunk)}\n\n".encode())
    await response.write(b"data: [DONE]\n\n")
    return response


def _refusal(status: int, message: str) -> web.Response:
    return web.json_response({"error": {"message": message, "code": status}}, status=status)


def _bad_request(message: str) -> web.HTTPException:
    text = json.dumps({"error": {"message": message, "code": 400}})
    return web.HTTPBadRequest(text=text, content_type="application/json")
