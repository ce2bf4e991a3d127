"""Token-exact client for stock vLLM and SGLang: ids in, ids and logprobs out.

Ids are never made from text that the server returned: the text a parser reads is decoded here from
the sampled ids. Before the first request of a rollout the client asks the server, once, for the
model, its context window, and which of the `transports` it speaks.
"""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass

from treadle_agent_loop.closing import Closing
from treadle_agent_loop.errors import AgentLoopError
from treadle_agent_loop.http import HttpSettings, HttpStatistics, JsonHttpClient
from treadle_agent_loop.model import SamplingParams
from treadle_agent_loop.pacing import Turnstile
from treadle_agent_loop.serving import check_model
from treadle_agent_loop.token_session import TokenSession
from treadle_agent_loop.tokens.chat_tokenizer import ChatTokenizer
from treadle_agent_loop.tokens.planning import RewritePolicy
from treadle_agent_loop.transports import Completion, Engine, TokenTransport, choose_transport
from treadle_agent_loop.transports.base import detect_logprobs_mode
from treadle_parsers import get_parser

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerFacts:
    """What the server says about itself."""

    context_length: int | None
    """Tokens that prompt and answer may have together, where known."""
    transport: TokenTransport
    """How it takes and answers token ids."""


class TokenClient(Closing):
    """A pooled connection to one token-exact engine."""

    token_exact = True

    def __init__(
        self,
        *,
        base_url: str,
        model: str,
        tokenizer: ChatTokenizer,
        api_key: str | None = None,
        parser: str = "hermes",
        engine: Engine | str = Engine.AUTO,
        rewrite_policy: RewritePolicy = RewritePolicy.BRANCH,
        context_length: int | None = None,
        timeout: float = 600.0,
        attempts: int = 5,
        backoff: float = 0.5,
        concurrency: int = 256,
    ) -> None:
        """`base_url` ends in `/v1`; `context_length` overrides what the server says.

        Raises:
            UnknownParserError: `parser` names no format of `treadle_parsers`.
            ValueError: `engine` is none of `Engine`.
        """
        self.model = model
        self.tokenizer = tokenizer
        self.parser = get_parser(parser)
        self.engine = Engine(engine)
        self.rewrite_policy = rewrite_policy
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
        self._context_length = context_length
        self._facts: ServerFacts | None = None
        self._logprobs_mode: str | None = None
        self._warned = False
        self._asking = asyncio.Lock()
        self.pace = Turnstile()
        """What the sessions pass before they render, encode or parse."""

    async def aclose(self) -> None:
        """Close the connections; safe to call twice."""
        await self.http.aclose()

    def session(self) -> TokenSession:
        """Open the model's side of one rollout, with a ledger of its own."""
        return TokenSession(self)

    def statistics(self) -> HttpStatistics:
        """Return the request counters."""
        return self.http.statistics()

    async def check(self) -> ServerFacts:
        """Make sure that the server offers the model and find out how it speaks; asked once.

        Raises:
            UnknownModelError: it doesn't; the message names those it offers.
            ModelServerError: the server can't be reached.
        """
        if self._facts is not None:
            return self._facts
        async with self._asking:
            if self._facts is None:
                entry = await check_model(self.http, self.model)
                told = entry.max_model_len if entry is not None else None
                transport = await choose_transport(
                    self.http, self.model, engine=self.engine, prompt=self._short_prompt()
                )
                self._facts = ServerFacts(
                    context_length=self._context_length or told, transport=transport
                )
            return self._facts

    async def probe(self) -> None:
        """Sample one token to make sure that the server speaks token ids.

        Raises:
            TokenProtocolError: it doesn't return token ids, or changes the prompt.
            ModelServerError: the server can't be reached.
        """
        await self.complete(self._short_prompt(), SamplingParams(max_tokens=1, temperature=0.0))

    async def complete(
        self, prompt: Sequence[int], sampling: SamplingParams, *, turn: int = 0
    ) -> Completion:
        """Continue a prompt; `turn` varies the seed."""
        facts = await self.check()
        return await facts.transport.sample(prompt, sampling, turn=turn)

    async def logprobs_mode(self, sampling: SamplingParams) -> str:
        """Return what the server's logprobs are of: `processed`, `raw` or `unknown`.

        At temperature 1 without top-p both are the same. Otherwise the server is asked once, by
        sampling one token at two temperatures, and raw logprobs are warned about.
        """
        if sampling.temperature == 1.0 and sampling.top_p == 1.0:
            return "processed"
        transport = (await self.check()).transport
        async with self._asking:
            if self._logprobs_mode is None:
                try:
                    self._logprobs_mode = await detect_logprobs_mode(
                        transport, self._short_prompt()
                    )
                except AgentLoopError:
                    self._logprobs_mode = "unknown"
            mode = self._logprobs_mode
            if sampling.top_p != 1.0 and not transport.scales_top_p:
                mode = "raw"
            self._warn_of(mode, transport.name)
        return mode

    def _warn_of(self, mode: str, transport: str) -> None:
        if mode != "raw" or self._warned:
            return
        self._warned = True
        _log.warning(
            "the server's logprobs (%s) are those before temperature or top-p: start vLLM with "
            "--logprobs-mode processed_logprobs, leave top-p at 1 on SGLang, or sample at "
            "temperature 1 without top-p",
            transport,
        )

    def _short_prompt(self) -> tuple[int, ...]:
        return self.tokenizer.encode("Hello")
