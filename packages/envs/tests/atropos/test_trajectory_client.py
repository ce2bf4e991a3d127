"""Our client against the real trajectory API, and against one that misbehaves."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from aiohttp import web

from treadle_envs.atropos.trajectory_client import TrajectoryClient
from treadle_envs.errors import TrajectoryApiError

PAYLOAD: dict[str, Any] = {
    "tokens": [[1, 2], [1, 3]],
    "masks": [[-100, 2], [-100, 3]],
    "scores": [1.0, 0.0],
    "inference_logprobs": [[1.0, -0.5], [1.0, -0.5]],
    "messages": [[{"role": "user", "content": "x" * 2000}]] * 2,
}


async def register(client: TrajectoryClient):
    return await client.register(
        name="t", group_size=2, max_token_length=64, weight=1.0, min_batch_allocation=None
    )


async def test_a_group_reaches_the_trainer_through_the_real_api(trainer: Any):
    async with TrajectoryClient(trainer.url) as client:
        waiting = asyncio.create_task(register(client))
        await asyncio.sleep(0)
        await trainer.start(batch_size=2)
        registration = await waiting
        assert (await client.info()).batch_size == 2
        assert await client.send(PAYLOAD, env_id=registration.env_id) == "received"
        status = await client.status(registration.env_id)
        assert (status.queue_size, status.self_queue_size) == (1, 1)
        await trainer.take()
        await client.disconnect(registration.env_id)
    (group,) = trainer.groups
    assert {name: group[name] for name in PAYLOAD} == PAYLOAD


async def test_a_refused_group_is_an_error_with_the_apis_words(trainer: Any):
    await trainer.start()
    async with TrajectoryClient(trainer.url) as client:
        await register(client)
        with pytest.raises(TrajectoryApiError, match="answered 422") as caught:
            await client.send({**PAYLOAD, "messages": [[{"role": "user"}]] * 2}, env_id=0)
        assert caught.value.refused


async def test_an_api_that_is_not_there_is_one_clear_error():
    async with TrajectoryClient("http://127.0.0.1:9", patience=0.0) as client:
        with pytest.raises(TrajectoryApiError, match="run-api") as caught:
            await client.info()
        assert not caught.value.refused


async def serving(
    handler: Callable[[web.Request], Awaitable[web.StreamResponse]],
    body: Callable[[str], Awaitable[None]],
) -> None:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handler)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        await body(f"http://127.0.0.1:{runner.addresses[0][1]}")
    finally:
        await runner.cleanup()


async def test_server_errors_and_broken_connections_are_tried_again():
    faults = ["500", "drop", "nonsense", ""]

    async def flaky(request: web.Request) -> web.Response:
        fault = faults.pop(0)
        if fault == "500":
            return web.Response(status=500)
        if fault == "drop":
            assert request.transport is not None
            request.transport.abort()
        if fault == "nonsense":
            return web.Response(text="<html>")
        return web.json_response({"status": "received"})

    async def body(url: str) -> None:
        async with TrajectoryClient(url) as client:
            assert await client.send(PAYLOAD, env_id=0) == "received"
        assert not faults

    await serving(flaky, body)


async def test_patience_ends_in_the_last_failure():
    async def broken(request: web.Request) -> web.Response:
        return web.Response(status=503, text="no room")

    async def body(url: str) -> None:
        async with TrajectoryClient(url, patience=0.3) as client:
            with pytest.raises(TrajectoryApiError, match=r"503.*no room"):
                await client.send(PAYLOAD, env_id=0)

    await serving(broken, body)


async def test_a_refusal_is_not_tried_again():
    asked: list[str] = []

    async def refusing(request: web.Request) -> web.Response:
        asked.append(request.path)
        return web.Response(status=400)

    async def body(url: str) -> None:
        async with TrajectoryClient(url) as client:
            with pytest.raises(TrajectoryApiError):
                await client.send(PAYLOAD, env_id=0)

    await serving(refusing, body)
    assert asked == ["/scored_data"]
