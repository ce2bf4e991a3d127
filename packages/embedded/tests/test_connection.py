import asyncio
import contextlib
from collections.abc import AsyncIterator

import httpx
import pytest
import uvicorn

from treadle_embedded import EmbeddedModel
from treadle_embedded.server import create_app
from treadle_embedded.server.connection import ClientGone, while_connected
from treadle_embedded.serving import bind

LONG = {
    "model": "treadle-embedded",
    "prompt": "a",
    "max_tokens": 2000,
    "temperature": 100,
    "seed": 3,
}


@contextlib.asynccontextmanager
async def served(model: EmbeddedModel) -> AsyncIterator[str]:
    listener = bind("127.0.0.1", 0)
    config = uvicorn.Config(create_app(model), lifespan="off", log_level="error")
    server = uvicorn.Server(config)
    task = asyncio.create_task(server._serve(sockets=[listener]))
    yield f"http://127.0.0.1:{listener.getsockname()[1]}/v1/completions"
    server.should_exit = True
    await task


def test_a_client_that_leaves_a_stream_frees_the_model():
    async def run():
        async with EmbeddedModel(rows=1) as model, served(model) as url:
            async with httpx.AsyncClient(timeout=60) as http:
                async with http.stream("POST", url, json=LONG | {"stream": True}) as answer:
                    await anext(answer.aiter_lines())
                # One row: this is answered when the first has gone.
                short = await http.post(url, json=LONG | {"max_tokens": 2})
            assert short.status_code == 200
            assert model.statistics().drawn_tokens < 1000

    asyncio.run(run())


def test_a_client_that_leaves_before_the_answer_frees_the_model():
    async def run():
        async with EmbeddedModel(rows=1) as model, served(model) as url:
            async with httpx.AsyncClient(timeout=60) as http:
                with pytest.raises(httpx.ReadTimeout):
                    await http.post(url, json=LONG, timeout=0.05)
                short = await http.post(url, json=LONG | {"max_tokens": 2})
            assert short.status_code == 200
            assert model.statistics().drawn_tokens < 1000

    asyncio.run(run())


def test_a_disconnect_cancels_the_work():
    async def run():
        cancelled, gone = asyncio.Event(), asyncio.Event()

        async def receive():
            await gone.wait()
            return {"type": "http.disconnect"}

        async def work():
            gone.set()
            try:
                await asyncio.Event().wait()
            finally:
                cancelled.set()

        with pytest.raises(ClientGone):
            await while_connected(receive, work())
        assert cancelled.is_set()

    asyncio.run(run())


def test_the_result_and_the_error_of_the_work_come_through():
    async def run():
        async def receive():
            await asyncio.Event().wait()
            return {}

        async def fine():
            return 7

        async def broken():
            raise ValueError("x")

        assert await while_connected(receive, fine()) == 7
        with pytest.raises(ValueError, match="x"):
            await while_connected(receive, broken())

    asyncio.run(run())
