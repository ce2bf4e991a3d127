import asyncio
import socket
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import aiohttp
import pytest

from treadle_agent_loop import (
    ChatClient,
    ContextLengthError,
    ModelRequestError,
    ModelServerError,
    ModelTimeoutError,
    SamplingParams,
    UnknownModelError,
)
from treadle_agent_loop.replies import retry_after
from treadle_agent_loop.testing import Fault, ScriptedTurn, ToyServer

TASK = [{"role": "user", "content": "Hi."}]


def _server(**options):
    return ToyServer(chat=lambda messages: ScriptedTurn(content="Hello."), **options)


def _client(server, **options):
    options = {"model": "toy", "backoff": 0.001, **options}
    return ChatClient(base_url=server.base_url, **options)


async def _ask(client):
    return await client.session().complete(TASK, (), SamplingParams())


@pytest.mark.parametrize(
    "fault",
    [
        Fault(status=500),
        Fault(status=503),
        Fault(drop=True),
        Fault(status=429, headers={"Retry-After": "0"}),
        Fault(status=429, headers={"Retry-After": "Wed, 21 Oct 2026 07:28:00 GMT"}),
        Fault(status=200, body='{"choices": [{"message": {"content": "ok"'),
    ],
    ids=["500", "503", "dropped", "429", "429-date", "broken-json"],
)
async def test_what_may_be_retried_is_retried(fault):
    async with _server(faults=[fault]) as server, _client(server) as client:
        if fault.status == 200:
            with pytest.raises(ModelServerError, match="answered no JSON"):
                await _ask(client)
            return
        turn = await _ask(client)
        assert turn.message["content"] == "Hello."
        assert (server.attempts, client.statistics().retries) == (2, 1)


async def test_retry_after_is_waited_out():
    fault = Fault(status=429, headers={"Retry-After": "0.3"})
    async with _server(faults=[fault]) as server, _client(server) as client:
        started = asyncio.get_running_loop().time()
        await _ask(client)
        assert asyncio.get_running_loop().time() - started >= 0.3


async def test_retry_after_may_be_a_date():
    when = format_datetime(datetime.now(UTC) + timedelta(seconds=2), usegmt=True)
    fault = Fault(status=503, headers={"Retry-After": when})
    async with _server(faults=[fault]) as server, _client(server) as client:
        started = asyncio.get_running_loop().time()
        await _ask(client)
        assert 0.5 <= asyncio.get_running_loop().time() - started <= 3


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        ("3", 3.0),
        ("0.5", 0.5),
        ("-4", 0.0),
        ("9999", 120.0),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0.0),
        ("Wed, 21 Oct 2099 07:28:00 -0000", 120.0),
        ("soon", None),
        ("nan", 0.0),
    ],
)
def test_every_form_of_retry_after_is_read(value, seconds):
    assert retry_after(value) == seconds


async def test_a_storm_of_refusals_is_weathered_with_fewer_requests_at_a_time():
    faults = [Fault(status=429, headers={"Retry-After": "0.05"})] * 60
    async with (
        _server(faults=faults) as server,
        _client(server, attempts=10, concurrency=32) as client,
    ):
        await asyncio.gather(*(_ask(client) for _ in range(64)))
        told = client.statistics()
        assert (told.overloads, told.retries) == (60, 60)
        assert told.allowed < 32
        for _ in range(3):
            await asyncio.gather(*(_ask(client) for _ in range(64)))
        assert client.statistics().allowed > told.allowed


async def test_a_spent_quota_is_not_waited_for():
    body = '{"error": {"message": "You exceeded your quota.", "code": "insufficient_quota"}}'
    fault = Fault(status=429, body=body)
    async with _server(faults=[fault]) as server, _client(server) as client:
        with pytest.raises(ModelRequestError, match="exceeded your quota"):
            await _ask(client)
        assert server.attempts == 1


async def test_an_answer_that_breaks_off_is_asked_for_again():
    cut = Fault(status=200, body='{"choices": [{"mess', cut=True)
    async with _server(faults=[cut]) as server, _client(server) as client:
        turn = await _ask(client)
        assert turn.message["content"] == "Hello."
        assert server.attempts == 2
    async with _server(faults=[cut] * 2) as server, _client(server, attempts=2) as client:
        with pytest.raises(ModelServerError, match="after 2 attempts") as caught:
            await _ask(client)
        assert isinstance(caught.value.__cause__, aiohttp.ClientPayloadError)


async def test_the_status_of_the_last_failure_is_kept():
    async with _server(faults=[Fault(status=502)]) as server, _client(server, attempts=1) as client:
        with pytest.raises(ModelServerError) as caught:
            await _ask(client)
        assert caught.value.status == 502


async def test_retries_end_and_the_cause_is_kept():
    faults = [Fault(status=502)] * 3
    async with _server(faults=faults) as server, _client(server, attempts=3) as client:
        with pytest.raises(ModelServerError, match="failed after 3 attempts: HTTP 502"):
            await _ask(client)
        assert server.attempts == 3
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/v1"
    async with ChatClient(base_url=url, model="toy", attempts=2, backoff=0.001) as client:
        with pytest.raises(ModelServerError, match="after 2 attempts") as caught:
            await _ask(client)
        assert isinstance(caught.value.__cause__, OSError)


async def test_a_refused_request_is_not_retried_and_speaks_the_servers_words():
    fault = Fault(status=400, body='{"error": {"message": "temperature must be positive"}}')
    async with _server(faults=[fault]) as server, _client(server) as client:
        with pytest.raises(ModelRequestError, match="HTTP 400: temperature must be positive"):
            await _ask(client)
        assert server.attempts == 1


async def test_a_prompt_that_is_too_long_has_its_own_error():
    body = '{"object": "error", "message": "This model\'s maximum context length is 8 tokens."}'
    async with _server(faults=[Fault(status=400, body=body)]) as server, _client(server) as client:
        with pytest.raises(ContextLengthError, match="maximum context length is 8"):
            await _ask(client)


async def test_a_wrong_model_name_is_answered_with_the_names_there_are():
    async with _server(model="qwen-small") as server, _client(server, model="qwen") as client:
        with pytest.raises(UnknownModelError, match="'qwen'; it offers: 'qwen-small'"):
            await _ask(client)
        with pytest.raises(UnknownModelError):
            await client.check()


async def test_a_stalled_server_ends_in_a_timeout_that_is_not_retried():
    async with (
        _server(faults=[Fault(hang=True)]) as server,
        _client(server, timeout=0.2) as client,
    ):
        with pytest.raises(ModelTimeoutError, match=r"longer than 0\.2 seconds"):
            await _ask(client)
        assert server.attempts == 1


async def test_the_concurrency_limit_holds():
    hold = asyncio.Event()
    async with _server(hold=hold) as server, _client(server, concurrency=3) as client:
        asks = [asyncio.create_task(_ask(client)) for _ in range(10)]
        await server.wait_open_requests(3)
        assert client.statistics().in_flight == 3
        hold.set()
        await asyncio.gather(*asks)
        assert server.peak_open_requests == 3


async def test_cancelling_a_request_closes_it_on_the_server():
    async with _server(faults=[Fault(hang=True)]) as server, _client(server) as client:
        ask = asyncio.create_task(_ask(client))
        await server.wait_open_requests(1)
        ask.cancel()
        with pytest.raises(asyncio.CancelledError):
            await ask
        await server.wait_open_requests(0)
        assert client.statistics().in_flight == 0


async def test_closing_twice_is_fine_and_a_closed_client_says_so():
    async with _server() as server:
        client = _client(server)
        await _ask(client)
        await client.aclose()
        await client.aclose()
        with pytest.raises(ModelServerError, match="closed"):
            await _ask(client)


async def test_a_url_that_is_none_is_reported():
    async with ChatClient(base_url="not a url", model="toy") as client:
        with pytest.raises(ModelRequestError, match="not a usable base URL"):
            await _ask(client)
