"""Opening a client for a model server, and choosing how to speak to it.

Exact tokens need two things: a tokenizer, and a server that takes token ids and answers token ids.
The second is asked with one probe request of one token, never guessed from a name; the choice is
logged in one line.
"""

import asyncio
import logging
from dataclasses import dataclass
from typing import Any, cast

from treadle_agent_loop.chat_client import ChatClient
from treadle_agent_loop.errors import AgentLoopError
from treadle_agent_loop.http import HttpSettings, JsonHttpClient
from treadle_agent_loop.model import ModelClient
from treadle_agent_loop.serving import check_model, served_models
from treadle_agent_loop import TokenClient
from treadle_agent_loop import ChatTokenizer
from treadle_envs.config import ModelMode
from treadle_envs.errors import ModelChoiceError, SettingsError
from treadle_envs.settings import ModelSettings

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelOptions:
    """How to use a model server; `ModelSettings` say where it is."""

    mode: ModelMode = ModelMode.AUTO
    parser: str = "hermes"
    """Format of tool calls in the model's text, for token mode."""
    timeout: float = 600.0
    """Seconds per request."""
    concurrency: int = 256
    """Requests at one time."""


async def open_model(settings: ModelSettings, options: ModelOptions | None = None) -> ModelClient:
    """Open a client for the server; the caller closes it.

    Raises:
        SettingsError: no base URL, no model named where the server offers several, or token mode
            without a tokenizer.
        ModelChoiceError: token mode was asked of a server that answers no token ids.
        AgentLoopError: the server can't be reached, or doesn't offer the model.
    """
    chosen = ModelOptions() if options is None else options
    if settings.base_url is None:
        raise SettingsError(
            "no model server is configured: give --openai.base_url, or set "
            "ATROPOS_SERVER_BASE_URL in the environment or in .env"
        )
    if chosen.mode is ModelMode.TOKEN and settings.tokenizer is None:
        raise SettingsError(
            "model_mode=token needs a tokenizer: give --env.tokenizer_name, or set "
            "ATROPOS_TOKENIZER_NAME"
        )
    http = JsonHttpClient(
        HttpSettings(base_url=settings.base_url, api_key=settings.api_key, attempts=3)
    )
    try:
        model = await _model_name(http, settings)
        reason = await _why_not_token_exact(http, model, settings, chosen)
    finally:
        await http.aclose()
    if reason is None:
        return await _token_client(settings, model, chosen)
    if chosen.mode is ModelMode.TOKEN:
        raise ModelChoiceError(f"model_mode=token can't be used: {reason}")
    logger.info("model %s at %s: chat mode, because %s", model, settings.base_url, reason)
    return ChatClient(
        base_url=settings.base_url,
        model=model,
        api_key=settings.api_key,
        timeout=chosen.timeout,
        concurrency=chosen.concurrency,
    )


async def _model_name(http: JsonHttpClient, settings: ModelSettings) -> str:
    """Return the configured name once the server confirms it, or the only one it offers."""
    if settings.model is not None:
        await check_model(http, settings.model)
        return settings.model
    names = [entry.name for entry in await served_models(http)]
    if len(names) == 1:
        return names[0]
    offered = f"it offers {', '.join(names)}" if names else "it lists none"
    raise SettingsError(
        f"no model is named for {settings.base_url} ({offered}): give --openai.model_name, or set "
        "ATROPOS_SERVER_MODEL"
    )


async def _why_not_token_exact(
    http: JsonHttpClient, model: str, settings: ModelSettings, options: ModelOptions
) -> str | None:
    """Return why exact tokens can't be had; None when they can."""
    if options.mode is ModelMode.CHAT:
        return "model_mode=chat"
    if settings.tokenizer is None:
        return "no tokenizer is configured"
    probe: dict[str, Any] = {
        "model": model,
        "prompt": [1],
        "max_tokens": 1,
        "temperature": 0.0,
        "logprobs": 1,
        "return_token_ids": True,
    }
    try:
        answer = await http.post("/completions", probe)
    except AgentLoopError as error:
        return f"a probe with token ids failed ({error})"
    choices = cast("list[dict[str, Any]]", answer.get("choices") or [{}])
    if not isinstance(choices[0].get("token_ids"), list):
        return "the server answers no token ids (return_token_ids)"
    return None


async def _token_client(settings: ModelSettings, model: str, options: ModelOptions) -> ModelClient:
    assert settings.base_url is not None
    assert settings.tokenizer is not None
    tokenizer = await asyncio.to_thread(ChatTokenizer.load, settings.tokenizer)
    logger.info(
        "model %s at %s: exact tokens, tokenizer %s, tool calls in the %s format",
        model,
        settings.base_url,
        settings.tokenizer,
        options.parser,
    )
    return TokenClient(
        base_url=settings.base_url,
        model=model,
        api_key=settings.api_key,
        tokenizer=tokenizer,
        parser=options.parser,
        timeout=options.timeout,
        concurrency=options.concurrency,
    )
