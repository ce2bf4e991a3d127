"""A model server with a fixed latency and next to no work of its own, as a process.

    python mock_server.py '{"latency": 0.05, "turns": 8, "close": 2, "call_ids": [...], ...}'

Prints its port. A conversation is answered with a call of `add` until its last turn, which says
`done`; which turn it is shows in the request. `/v1/chat/completions` answers structured calls,
`/v1/completions` is the shape of stock vLLM with token ids. One line of figures about itself
answers `GET /statistics`.
"""

import asyncio
import json
import sys
from typing import Any, cast

_CALL = {"name": "add", "arguments": '{"a": 17, "b": 25}'}
_USAGE = {"prompt_tokens": 400, "completion_tokens": 30, "total_tokens": 430}


class Script:
    """What the server says."""

    def __init__(self, options: dict[str, Any]) -> None:
        self.latency: float = options["latency"]
        self.turns: int = options["turns"]
        self._close: int = options.get("close", -1)
        self._closed: int = options.get("closed", 2)
        self._call_ids: list[int] = options.get("call_ids", [])
        self._done_ids: list[int] = options.get("done_ids", [])
        self.requests = 0
        self.peak = 0
        self.open = 0

    def chat(self, body: bytes) -> bytes:
        """Answer a chat request: one reply of a tool is one turn that is over."""
        turn = body.count(b'"tool_call_id"')
        message: dict[str, Any] = {"role": "assistant", "content": "done"}
        finish = "stop"
        if turn < self.turns - 1:
            call = {"id": f"call_{turn}", "type": "function", "function": _CALL}
            message = {"role": "assistant", "content": None, "tool_calls": [call]}
            finish = "tool_calls"
        choice = {"index": 0, "message": message, "finish_reason": finish, "logprobs": None}
        return self._answer("chat.completion", choice)

    def tokens(self, body: bytes) -> bytes:
        """Answer a request with prompt ids: a turn that is over has closed two messages."""
        prompt = cast("list[int]", json.loads(body)["prompt"])
        turn = (prompt.count(self._close) - self._closed) // 2
        ids = self._call_ids if turn < self.turns - 1 else self._done_ids
        choice = {
            "index": 0,
            "text": "",
            "finish_reason": "stop",
            "token_ids": ids,
            "prompt_token_ids": prompt,
            "logprobs": {"token_logprobs": [-0.25] * len(ids)},
        }
        return self._answer("text_completion", choice)

    def _answer(self, kind: str, choice: dict[str, Any]) -> bytes:
        answer = {"id": "mock", "object": kind, "created": 1, "model": "mock", "usage": _USAGE}
        return json.dumps({**answer, "choices": [choice]}).encode()


class Connection(asyncio.Protocol):
    """HTTP/1.1 with keep-alive, for well-formed requests with a content length."""

    def __init__(self, script: Script) -> None:
        self._script = script
        self._buffer = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the transport."""
        self._transport = None

    def data_received(self, data: bytes) -> None:
        """Answer every request that is whole."""
        self._buffer += data
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            head = self._buffer[:end].lower()
            size = 0
            if (place := head.find(b"content-length:")) >= 0:
                size = int(head[place + 15 :].split(b"\r\n", 1)[0])
            if len(self._buffer) < end + 4 + size:
                return
            path = self._buffer.split(b" ", 2)[1]
            body = self._buffer[end + 4 : end + 4 + size]
            self._buffer = self._buffer[end + 4 + size :]
            self._serve(path, body)

    def _serve(self, path: bytes, body: bytes) -> None:
        script = self._script
        if path.endswith(b"/models"):
            self._send(b'{"object": "list", "data": [{"id": "mock", "object": "model"}]}', 200)
        elif path == b"/statistics":
            self._send(json.dumps({"requests": script.requests, "peak": script.peak}).encode(), 200)
        elif path.endswith((b"/chat/completions", b"/v1/completions")):
            script.requests += 1
            script.open += 1
            script.peak = max(script.peak, script.open)
            answer = script.chat(body) if b"/chat/" in path else script.tokens(body)
            asyncio.get_running_loop().call_later(script.latency, self._finish, answer)
        else:
            self._send(b'{"detail": "Not Found"}', 404)

    def _finish(self, answer: bytes) -> None:
        self._script.open -= 1
        self._send(answer, 200)

    def _send(self, body: bytes, status: int) -> None:
        if self._transport is not None:
            head = f"HTTP/1.1 {status} X\r\ncontent-type: application/json\r\n"
            self._transport.write(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)


async def main(options: dict[str, Any]) -> None:
    """Serve until killed."""
    loop = asyncio.get_running_loop()
    script = Script(options)
    server = await loop.create_server(lambda: Connection(script), "127.0.0.1", 0, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(json.loads(sys.argv[1])))
