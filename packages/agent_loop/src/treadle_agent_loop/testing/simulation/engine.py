"""A token engine in this process: a transport over a function, and a client on it.

No socket and no server, but everything above the wire is the real thing: session, ledger, parser.
The engine writes down every answer that it gave away, and counts those that it sampled and lost.
"""

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from treadle_agent_loop.model import SamplingParams
from treadle_agent_loop.token_client import ServerFacts, TokenClient
from treadle_agent_loop.tokens.chat_tokenizer import ChatTokenizer
from treadle_agent_loop.tokens.planning import RewritePolicy
from treadle_agent_loop.transports import Completion

Logprobs = tuple[float | None, ...] | None


def toy_logprobs(before: Sequence[int], ids: Sequence[int]) -> list[float]:
    """Return what `toy_logprob` is of each of the ids, in one pass."""
    crc = zlib.crc32(",".join(map(str, before)).encode())
    values: list[float] = []
    comma = "," if before else ""
    for index in ids:
        crc = zlib.crc32(f"{comma}{index}".encode(), crc)
        values.append(-(crc % 8000 + 1) / 1000)
        comma = ","
    return values


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivered:
    """One answer as the engine gave it."""

    prompt: tuple[int, ...]
    ids: tuple[int, ...]


class LocalEngine:
    """A `TokenTransport` whose answers come from a function of the prompt."""

    name = "local"
    scales_top_p = True

    def __init__(
        self,
        write: Callable[[tuple[int, ...]], Sequence[int]],
        *,
        loses: Callable[[], bool] = lambda: False,
        spoil: Callable[[Logprobs], Logprobs] = lambda values: values,
    ) -> None:
        """`loses` says whether an answer gets lost, so that the engine is asked again; `spoil`
        changes the logprobs.
        """
        self._write = write
        self._loses = loses
        self._spoil = spoil
        self.delivered: list[Delivered] = []
        self.lost = 0
        """Ids that were sampled and never reached the client."""

    async def sample(
        self, prompt: Sequence[int], sampling: SamplingParams, *, turn: int = 0
    ) -> Completion:
        """Continue a prompt."""
        while True:
            written = tuple(self._write(tuple(prompt)))
            ids = written[: sampling.max_tokens]
            if not self._loses():
                break
            self.lost += len(ids)
        self.delivered.append(Delivered(prompt=tuple(prompt), ids=ids))
        return Completion(
            ids=ids,
            logprobs=self._spoil(tuple(toy_logprobs(prompt, ids))),
            length_stop=len(ids) < len(written),
            weight_version=None,
            seconds=0.0,
        )

    async def best_logprob(self, prompt: Sequence[int], temperature: float) -> float | None:
        """Return nothing: no likeliest id is known."""
        return None


class LocalTokenClient(TokenClient):
    """A `TokenClient` on a `LocalEngine`."""

    def __init__(
        self,
        engine: LocalEngine,
        *,
        tokenizer: ChatTokenizer,
        parser: str = "hermes",
        rewrite_policy: RewritePolicy = RewritePolicy.BRANCH,
        context_length: int | None = None,
    ) -> None:
        super().__init__(
            base_url="http://localhost/v1",
            model="local",
            tokenizer=tokenizer,
            parser=parser,
            rewrite_policy=rewrite_policy,
        )
        self._local = ServerFacts(context_length=context_length, transport=engine)

    async def check(self) -> ServerFacts:
        """Return what is known of the engine; nothing is asked."""
        return self._local
