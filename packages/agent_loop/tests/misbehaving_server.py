"""A model server that misbehaves on order, as a process that can be killed.

    python misbehaving_server.py '{"port": 0, "plan": ["half-body", "429 0.1"], ...}'

Prints its port. Every completion request takes the next entry of the plan, and past its end the
entry `always`. At `ok` it is answered as it should be: a call of the tool `add` until the
conversation has had `turns` of them, then `done`. It speaks raw HTTP over TCP, so that it can stop
at any byte. `GET /statistics` tells how many requests came and how many connections are open.
"""

import asyncio
import json
import sys
from contextlib import suppress

JSON = "application/json"
CALL = {"name": "add", "arguments": '{"a": 1, "b": 2}'}


class Server:
    def __init__(self, options):
        self.turns = options.get("turns", 4)
        self.latency = options.get("latency", 0.0)
        self.plan = list(options.get("plan", []))
        self.always = options.get("always", "ok")
        self.call_ids = options.get("call_ids", [])
        self.done_ids = options.get("done_ids", [])
        self.requests = 0
        self.connections = 0

    async def serve(self, reader, writer):
        self.connections += 1
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError):
                while await self.one(reader, writer):
                    await writer.drain()
        finally:
            self.connections -= 1
            writer.close()

    async def one(self, reader, writer):
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        first, *lines = head.split("\r\n")
        path = first.split(" ")[1]
        headers = {line.partition(":")[0].lower(): line.partition(":")[2] for line in lines}
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        if path == "/statistics":
            told = {"requests": self.requests, "connections": self.connections - 1}
            writer.write(whole(json.dumps(told)))
        elif path.endswith("/models"):
            writer.write(whole('{"data": [{"id": "toy", "max_model_len": 8192}]}'))
        elif "completions" not in path:
            writer.write(whole('{"detail": "Not Found"}', status=404))
        else:
            self.requests += 1
            order = self.plan.pop(0) if self.plan else self.always
            await asyncio.sleep(self.latency)
            answer = json.dumps(self.answer(path, json.loads(body)))
            return await misbehave(order, answer, writer)
        return True

    def answer(self, path, body):
        if path.endswith("/chat/completions"):
            had = sum(message["role"] == "tool" for message in body["messages"])
            message = {"role": "assistant", "content": "done"}
            if had < self.turns:
                call = {"id": f"call_{had}", "type": "function", "function": CALL}
                message = {"role": "assistant", "content": None, "tool_calls": [call]}
            return {"choices": [{"message": message, "finish_reason": "stop"}]}
        prompt = body["prompt"]
        had = str(prompt).count(str(self.call_ids)[1:-1])
        ids = self.call_ids if had < self.turns else self.done_ids
        logprobs = {"token_logprobs": [-0.5] * len(ids)}
        choice = {"token_ids": ids, "prompt_token_ids": prompt, "logprobs": logprobs}
        return {"choices": [choice | {"text": "", "finish_reason": "stop"}]}


def whole(text, *, status=200, headers=""):
    data = text.encode()
    head = f"HTTP/1.1 {status} X\r\ncontent-type: {JSON}\r\ncontent-length: {len(data)}\r\n"
    return (head + headers + "\r\n").encode() + data


async def misbehave(order, answer, writer):
    """Answer as ordered; True when the connection goes on."""
    kind, _, detail = order.partition(" ")
    data = whole(answer)
    head, _, body = data.partition(b"\r\n\r\n")
    if kind == "ok":
        writer.write(data)
    elif kind.isdigit():
        pause = f"retry-after: {detail}\r\n" if detail else ""
        writer.write(whole('{"error": {"message": "unwell"}}', status=kind, headers=pause))
    elif kind == "body":
        writer.write(whole(detail))
    elif kind == "nested":
        writer.write(whole("[" * 200_000))
    elif kind == "bytes":
        writer.write(whole("").replace(b"length: 0", b"length: 4") + b"\xff\xfe{}")
    else:
        parts = {
            "nothing": b"",
            "half-head": head[: len(head) // 2],
            "half-body": data[: -len(body) // 2],
            "half-chunk": b"HTTP/1.1 200 X\r\ntransfer-encoding: chunked\r\n\r\nfff\r\n" + body[:9],
            "no-http": b"\x16\x03\x01 this is not HTTP\r\n\r\n",
        }
        writer.write(parts[kind])
        if detail == "reset":
            writer.transport.abort()
        if detail == "stall":
            await writer.drain()
            await asyncio.Event().wait()
        return False
    return True


async def main(options):
    server = Server(options)
    listening = await asyncio.start_server(
        server.serve, "127.0.0.1", options.get("port", 0), limit=2**24, backlog=2048
    )
    print(listening.sockets[0].getsockname()[1], flush=True)
    await listening.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(json.loads(sys.argv[1])))
