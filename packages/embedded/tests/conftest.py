import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from openai import OpenAI

from treadle_embedded import TRAINED_SYSTEM, TRAINED_TOOL, EmbeddedServer

QUESTION = "Tom has 42 apples and finds 35 more. How many apples does Tom have now?"


@pytest.fixture(scope="session")
def start_server() -> Iterator[Callable[..., EmbeddedServer]]:
    """Starts servers that live until the tests end."""
    with asyncio.Runner() as runner:
        started: list[EmbeddedServer] = []

        def start(**options: Any) -> EmbeddedServer:
            server = EmbeddedServer(**options)
            runner.run(server.start())
            started.append(server)
            return server

        yield start
        for server in started:
            runner.run(server.aclose())


@pytest.fixture(scope="session")
def server(start_server) -> EmbeddedServer:
    return start_server()


@pytest.fixture(scope="session")
def plain_server(start_server) -> EmbeddedServer:
    return start_server(token_features=False)


@pytest.fixture
def client(server) -> Iterator[OpenAI]:
    with OpenAI(base_url=server.base_url, api_key="none", max_retries=0) as client:
        yield client


@pytest.fixture
def plain_client(plain_server) -> Iterator[OpenAI]:
    with OpenAI(base_url=plain_server.base_url, api_key="none", max_retries=0) as client:
        yield client


@pytest.fixture
def http(server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, timeout=60) as http:
        yield http


@pytest.fixture(scope="session")
def messages() -> list[Any]:
    return [
        {"role": "system", "content": TRAINED_SYSTEM},
        {"role": "user", "content": QUESTION},
    ]


@pytest.fixture
def ask(client, messages) -> Callable[..., Any]:
    """Sends the pinned chat, with overrides."""

    def ask(**overrides: Any) -> Any:
        body: dict[str, Any] = {
            "model": EmbeddedServer.model,
            "messages": messages,
            "tools": [TRAINED_TOOL],
            "seed": 7,
            "temperature": 0,
        }
        return client.chat.completions.create(**body | overrides)

    return ask


@pytest.fixture
def write(client) -> Callable[..., Any]:
    """Sends a completion, with overrides."""

    def write(prompt: Any, **overrides: Any) -> Any:
        body: dict[str, Any] = {"model": EmbeddedServer.model, "prompt": prompt, "seed": 7}
        return client.completions.create(**body | overrides)

    return write
