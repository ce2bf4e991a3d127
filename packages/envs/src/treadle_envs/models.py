"""Opening a client for a model server, and choosing how to speak to it.

Exact tokens need two things: a tokenizer, and a server that takes and answers token ids. The second
is found out by a probe that samples one token, never guessed from a name; the choice is logged in
one line.
"""

import asyncio
import logging
from dataclasses import dataclass

from treadle_agent_loop import ChatClient, ChatTokenizer, TokenClient
from treadle_agent_loop.errors import ModelRequestError, ModelServerError, TokenProtocolError
from treadle_agent_loop.http import HttpSettings, JsonHttpClient
from treadle_agent_loop.model import ModelClient
from treadle_agent_loop.serving import check_model, served_models
from treadle_envs.config import ModelMode
from treadle_envs.errors import ModelChoiceError, SettingsError
from treadle_envs.settings import ModelSettings
from treadle_parsers import UnknownParserError, get_parser

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
        SettingsError: no base URL, no model named where the server offers several, an unknown
            parser, or token mode without a tokenizer.
        ModelChoiceError: token mode was asked of a server that answers no token ids.
        AgentLoopError: the server can't be reached, doesn't offer the model, or the tokenizer can't
            be loaded.
    """
    chosen = ModelOptions() if options is None else options
    if settings.base_url is None:
        raise SettingsError(
            "no model server is configured: give --openai.base_url, or set "
            "ATROPOS_SERVER_BASE_URL in the environment or in .env"
        )
    _check_parser(chosen.parser)
    model = await _model_name(settings, settings.base_url)
    if chosen.mode is ModelMode.CHAT:
        reason = "model_mode is chat"
    elif settings.tokenizer is None:
        reason = "no tokenizer is configured (--env.tokenizer_name or ATROPOS_TOKENIZER_NAME)"
    else:
        client = await _token_client(settings, settings.base_url, model, chosen)
        try:
            await client.probe()
        except (TokenProtocolError, ModelRequestError) as error:
            await client.aclose()
            reason = f"the server didn't answer a probe with token ids ({error})"
        except BaseException:
            await client.aclose()
            raise
        else:
            _log_choice(settings, model, f"exact tokens with tokenizer {settings.tokenizer}")
            return client
    if chosen.mode is ModelMode.TOKEN:
        raise ModelChoiceError(f"model_mode=token can't be used: {reason}")
    _log_choice(settings, model, f"chat without token data, because {reason}")
    return ChatClient(
        base_url=settings.base_url,
        model=model,
        api_key=settings.api_key,
        parser=chosen.parser,
        timeout=chosen.timeout,
        concurrency=chosen.concurrency,
    )


async def _model_name(settings: ModelSettings, base_url: str) -> str:
    """Return the configured name once the server confirms it, or the only one it offers."""
    http = HttpSettings(base_url=base_url, api_key=settings.api_key, attempts=3)
    try:
        async with JsonHttpClient(http) as client:
            if settings.model is not None:
                await check_model(client, settings.model)
                return settings.model
            names = [entry.name for entry in await served_models(client)]
    except ModelServerError as error:
        raise ModelServerError(
            f"no model server answers at {base_url}: start it, or correct --model-url "
            f"(--openai.base_url, ATROPOS_SERVER_BASE_URL); {error}"
        ) from error
    if len(names) == 1:
        return names[0]
    offered = f"it offers {', '.join(names)}" if names else "it lists none"
    raise SettingsError(
        f"no model is named for {base_url} ({offered}): give --openai.model_name, or set "
        "ATROPOS_SERVER_MODEL"
    )


async def _token_client(
    settings: ModelSettings, base_url: str, model: str, options: ModelOptions
) -> TokenClient:
    assert settings.tokenizer is not None, "chosen only with a tokenizer"
    tokenizer = await asyncio.to_thread(ChatTokenizer.load, settings.tokenizer)
    return TokenClient(
        base_url=base_url,
        model=model,
        api_key=settings.api_key,
        tokenizer=tokenizer,
        parser=options.parser,
        timeout=options.timeout,
        concurrency=options.concurrency,
    )


def _check_parser(name: str) -> None:
    try:
        get_parser(name)
    except UnknownParserError as error:
        raise SettingsError(f"tool_call_parser: {error.args[0]}") from error


def _log_choice(settings: ModelSettings, model: str, choice: str) -> None:
    logger.info("model %s at %s: %s", model, settings.base_url, choice)
