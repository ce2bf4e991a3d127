"""What the clients of all OpenAI-shaped servers share: the model list, clear errors, seeds per
turn.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from treadle_agent_loop.errors import AgentLoopError, ModelRequestError, UnknownModelError
from treadle_agent_loop.http import JsonHttpClient


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedModel:
    """One entry of `/v1/models`."""

    name: str
    max_model_len: int | None
    """Context window in tokens, where the server tells (vLLM does)."""


async def served_models(http: JsonHttpClient) -> tuple[ServedModel, ...]:
    """Return the models the server offers; empty when it doesn't list them."""
    try:
        answer = await http.get("/models")
    except ModelRequestError:
        return ()
    entries = cast("list[Any]", answer.get("data") or [])
    models: list[ServedModel] = []
    for entry in entries:
        if isinstance(entry, dict) and isinstance(cast("dict[str, Any]", entry).get("id"), str):
            fields = cast("dict[str, Any]", entry)
            length = fields.get("max_model_len")
            models.append(
                ServedModel(
                    name=fields["id"], max_model_len=length if isinstance(length, int) else None
                )
            )
    return tuple(models)


async def check_model(http: JsonHttpClient, model: str) -> ServedModel | None:
    """Return the model's entry, or None when the server has no list.

    Raises:
        UnknownModelError: the server lists models and this isn't one of them.
    """
    models = await served_models(http)
    for entry in models:
        if entry.name == model:
            return entry
    if not models:
        return None
    names = ", ".join(repr(entry.name) for entry in models)
    raise UnknownModelError(f"the server doesn't offer the model {model!r}; it offers: {names}")


async def post_for_model(
    http: JsonHttpClient, path: str, payload: Mapping[str, Any], *, at_root: bool = False
) -> dict[str, Any]:
    """POST a completion request; a 404 becomes `UnknownModelError` when the model list says so."""
    try:
        return await http.post(path, payload, at_root=at_root)
    except ModelRequestError as refusal:
        await explain_refusal(http, str(payload["model"]), refusal)
        raise


async def explain_refusal(http: JsonHttpClient, model: str, refusal: ModelRequestError) -> None:
    """Raise `UnknownModelError` if the model list says that this is why a request was refused."""
    if refusal.status not in (400, 404):
        return
    try:
        await check_model(http, model)
    except UnknownModelError as better:
        raise better from refusal
    except AgentLoopError:
        return


def turn_seed(seed: int, turn: int) -> int:
    """Derive the seed of one turn: turns of a rollout differ, and a rollout can be repeated."""
    return (seed * 1_000_003 + turn) % 2**31
