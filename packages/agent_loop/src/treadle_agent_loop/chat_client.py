"""Client for any OpenAI-compatible chat server: tools in, structured tool calls out, no token data.

`tools=` goes to the server, which formats it with the model's own template. Where a server answers
the raw text of tool calls instead of structured ones, `parser=` names the `treadle_parsers` format
to read it with. A wrong model name is reported with the names the server does offer. With
`stream=True` answers travel as server-sent events, which keeps proxies from giving up on long ones;
a turn is still returned whole, and a stream that broke off is an error.
"""

from collections.abc import Mapping
from typing import Any

from treadle_agent_loop.chat_answers import join_stream
from treadle_agent_loop.chat_session import ChatSession, without_none
from treadle_agent_loop.closing import Closing
from treadle_agent_loop.errors import ModelRequestError
from treadle_agent_loop.http import HttpSettings, HttpStatistics, JsonHttpClient
from treadle_agent_loop.replies import reading
from treadle_agent_loop.serving import check_model, explain_refusal, post_for_model
from treadle_parsers import get_parser

_PATH = "/chat/completions"
_STREAMED = {"stream": True, "stream_options": {"include_usage": True}}


class ChatClient(Closing):
    """A pooled connection to one OpenAI-compatible server."""

    token_exact = False

    def __init__(
        self,
        *,
        base_url: str,
        model: str,
        api_key: str | None = None,
        parser: str | None = None,
        stream: bool = False,
        timeout: float = 600.0,
        attempts: int = 5,
        backoff: float = 0.5,
        concurrency: int = 256,
        extra_body: Mapping[str, Any] | None = None,
    ) -> None:
        """`base_url` ends in `/v1`; `extra_body` is merged into every request.

        A field that it sets to None isn't sent; for servers that refuse the older name:
        `{"max_tokens": None, "max_completion_tokens": 4096}`.

        Raises:
            UnknownParserError: `parser` names no format of `treadle_parsers`.
        """
        self.model = model
        self.parser = get_parser(parser) if parser is not None else None
        self.extra_body: Mapping[str, Any] = dict(extra_body or {})
        self.stream = stream
        self.http = JsonHttpClient(
            HttpSettings(
                base_url=base_url,
                api_key=api_key,
                timeout=timeout,
                attempts=attempts,
                backoff=backoff,
                concurrency=concurrency,
            )
        )

    async def aclose(self) -> None:
        """Close the connections; safe to call twice."""
        await self.http.aclose()

    def session(self) -> ChatSession:
        """Open the model's side of one rollout."""
        return ChatSession(self)

    def statistics(self) -> HttpStatistics:
        """Return the request counters."""
        return self.http.statistics()

    async def check(self) -> None:
        """Ask the server for its models and make sure that ours is one of them.

        Raises:
            UnknownModelError: it isn't.
            ModelServerError: the server can't be reached.
        """
        await check_model(self.http, self.model)

    async def ask(self, payload: dict[str, Any]) -> Mapping[str, Any]:
        """Send a chat completion request and return the answer; see `ChatWire.ask`."""
        if not self.stream:
            return await post_for_model(self.http, _PATH, without_none(payload))
        streamed = without_none(_STREAMED | payload)
        try:
            events = await self.http.post_for_events(_PATH, streamed)
        except ModelRequestError as refusal:
            await explain_refusal(self.http, self.model, refusal)
            raise
        with reading(_PATH):
            return join_stream(events)
