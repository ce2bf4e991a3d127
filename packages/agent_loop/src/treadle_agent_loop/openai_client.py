"""A chat client on the `openai` package, for those who want its transport (extra `openai`).

It behaves as `ChatClient` does and takes any `AsyncOpenAI`, with its own proxies, authentication or
Azure settings. It costs several times the CPU of `ChatClient` for every turn.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

from treadle_agent_loop.chat_session import ChatSession, without_none
from treadle_agent_loop.closing import Closing
from treadle_agent_loop.errors import (
    AgentLoopError,
    ModelServerError,
    ModelTimeoutError,
)
from treadle_agent_loop.replies import refusal_of
from treadle_parsers import get_parser

if TYPE_CHECKING:
    from openai import AsyncOpenAI

_OWN = frozenset({"model", "messages", "tools", "temperature", "top_p", "max_tokens", "stop"})
"""Fields that the package has parameters for; the others travel in its `extra_body`."""


class OpenAIClient(Closing):
    """A `ModelClient` over an `openai.AsyncOpenAI`, whose retries and timeouts are its own."""

    token_exact = False

    def __init__(
        self,
        client: "AsyncOpenAI",
        *,
        model: str,
        parser: str | None = None,
        extra_body: Mapping[str, Any] | None = None,
    ) -> None:
        """Wrap an open client, which is closed by `aclose`; `extra_body` is as `ChatClient`'s.

        Raises:
            UnknownParserError: `parser` names no format of `treadle_parsers`.
        """
        self.client = client
        self.model = model
        self.parser = get_parser(parser) if parser is not None else None
        self.extra_body: Mapping[str, Any] = dict(extra_body or {})

    async def aclose(self) -> None:
        """Close the connections; safe to call twice."""
        await self.client.close()

    def session(self) -> ChatSession:
        """Open the model's side of one rollout."""
        return ChatSession(self)

    async def ask(self, payload: dict[str, Any]) -> Mapping[str, Any]:
        """Send a chat completion request and return the answer; see `ChatWire.ask`."""
        import openai

        body = without_none(payload)
        own = {name: value for name, value in body.items() if name in _OWN}
        more = {name: value for name, value in body.items() if name not in _OWN}
        create: Any = self.client.chat.completions.create
        try:
            answer = await create(**own, extra_body=more)
        except openai.APITimeoutError as error:
            raise ModelTimeoutError(f"the model server took too long: {error}") from error
        except openai.APIStatusError as error:
            raise _refusal(error.status_code, str(error)) from error
        except openai.OpenAIError as error:
            raise ModelServerError(f"the model server can't be used: {error}") from error
        return cast("dict[str, Any]", answer.model_dump())


def _refusal(status: int, message: str) -> AgentLoopError:
    if status == 429 or status >= 500:
        return ModelServerError(f"the model server kept failing: {message}", status=status)
    return refusal_of(status, message)
