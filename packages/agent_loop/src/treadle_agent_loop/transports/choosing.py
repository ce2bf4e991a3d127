"""Which transport a server speaks: asked of the server, never guessed from a name.

The engines' own ways are tried first, each with a request for one token; a server that offers
neither answers two cheap 404s and is spoken to through `/v1/completions`, which `TokenClient.probe`
then tries in earnest.
"""

from collections.abc import Sequence
from enum import StrEnum

from treadle_agent_loop.errors import ModelRequestError, ModelServerError, TokenProtocolError
from treadle_agent_loop.http import JsonHttpClient
from treadle_agent_loop.model import SamplingParams
from treadle_agent_loop.transports.base import TokenTransport
from treadle_agent_loop.transports.sglang_generate import SglangGenerate
from treadle_agent_loop.transports.vllm_completions import VllmCompletions
from treadle_agent_loop.transports.vllm_generate import VllmGenerate


class Engine(StrEnum):
    """The ways to send and get token ids."""

    AUTO = "auto"
    """Ask the server."""
    VLLM_COMPLETIONS = "vllm-completions"
    VLLM_GENERATE = "vllm-generate"
    SGLANG = "sglang"


async def choose_transport(
    http: JsonHttpClient, model: str, *, engine: Engine, prompt: Sequence[int]
) -> TokenTransport:
    """Return the transport that is asked for or, for `auto`, the first that the server answers.

    `prompt` is a short prompt to try with.

    Raises:
        ModelServerError: the server can't be reached.
    """
    if engine is not Engine.AUTO:
        return _BY_ENGINE[engine](http, model)
    for transport in (VllmGenerate(http, model), SglangGenerate(http, model)):
        if await _answers(transport, prompt):
            return transport
    return VllmCompletions(http, model)


async def _answers(transport: TokenTransport, prompt: Sequence[int]) -> bool:
    try:
        await transport.sample(prompt, SamplingParams(max_tokens=1, temperature=0.0))
    except (ModelRequestError, TokenProtocolError):
        return False
    except ModelServerError as error:
        if error.answered:
            return False
        raise
    return True


_BY_ENGINE = {
    Engine.VLLM_COMPLETIONS: VllmCompletions,
    Engine.VLLM_GENERATE: VllmGenerate,
    Engine.SGLANG: SglangGenerate,
}
