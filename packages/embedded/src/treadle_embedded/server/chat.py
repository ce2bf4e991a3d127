"""`POST /v1/chat/completions`: messages and tools in, an assistant message with tool calls out.

With tools the text is read by the `hermes` parser. Every call that names a tool is answered as a
call, its arguments as the model wrote them, also when they are no valid JSON or cut off (OpenAI's
API does the same: the caller checks them); an attempt without a name stays in the content.
"""

import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from treadle_embedded.engine import FinishReason
from treadle_embedded.errors import RequestError
from treadle_embedded.model import EmbeddedModel
from treadle_embedded.sampling import Candidate, Sampled
from treadle_embedded.server.bodies import ChatBody
from treadle_embedded.server.choices import Ask, Choice, IndexedPiece, ask_for, complete, stream
from treadle_embedded.server.deltas import MessageDeltas, new_call_id
from treadle_embedded.server.usage import Usage
from treadle_embedded.vocabulary import Vocabulary
from treadle_parsers import ParsedMessage, ToolCall, get_parser

FORMAT = "hermes"
"""The tool-call format that the model was trained to write."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatRequest:
    """A checked request."""

    body: ChatBody
    asks: list[Ask]
    tools: list[dict[str, Any]]
    """The tools the model may call; empty: the text isn't read for calls."""
    token_ids: bool
    """Whether ids are answered."""

    @property
    def prompt(self) -> list[int]:
        """The ids of the rendered messages."""
        return self.asks[0].prompt


def read(body: ChatBody, model: EmbeddedModel, *, token_features: bool) -> ChatRequest:
    """Check a body and render its messages. Raises: RequestError, ContextLengthError."""
    body.refuse_unsupported()
    tools = _tools(body)
    messages = [message.rendered() for message in body.messages]
    prompt = model.vocabulary.encode(model.template.render(messages, tools))
    asks = ask_for(
        body,
        model,
        prompt,
        max_tokens=body.max_completion_tokens or body.max_tokens,
        top_logprobs=body.top_logprobs if body.logprobs else 0,
    )
    token_ids = bool(body.return_token_ids) and token_features
    return ChatRequest(body=body, asks=asks, tools=tools, token_ids=token_ids)


async def respond(request: ChatRequest, model: EmbeddedModel) -> dict[str, Any]:
    """Make the whole answer."""
    choices = await complete(model, request.asks)
    rows = [_row(index, choice, request, model) for index, choice in enumerate(choices)]
    usage = Usage(prompt=len(request.prompt), drawn=sum(len(choice.tokens) for choice in choices))
    answer = _envelope(request.body.model, "chat.completion")
    if request.token_ids:
        answer["prompt_token_ids"] = request.prompt
    return answer | {"choices": rows, "usage": usage.body()}


async def respond_in_pieces(
    request: ChatRequest, model: EmbeddedModel
) -> AsyncGenerator[dict[str, Any], None]:
    """Yield the answer chunk by chunk."""
    envelope, drawn = _envelope(request.body.model, "chat.completion.chunk"), 0
    for index in range(len(request.asks)):
        row: dict[str, Any] = {"index": index, "delta": {"role": "assistant", "content": ""}}
        first = envelope | {"choices": [row | {"logprobs": None, "finish_reason": None}]}
        if request.token_ids and index == 0:
            first["prompt_token_ids"] = request.prompt
        yield first
    readers = [
        MessageDeltas(FORMAT if request.tools else None, request.tools) for _ in request.asks
    ]
    async with aclosing(stream(model, request.asks)) as pieces:
        async for indexed in pieces:
            drawn += len(indexed.piece.tokens)
            rows = _piece_rows(indexed, readers[indexed.index], request, model.vocabulary)
            for row in rows:
                yield envelope | {"choices": [row]}
    options = request.body.stream_options
    if options and options.include_usage:
        usage = Usage(prompt=len(request.prompt), drawn=drawn)
        yield envelope | {"choices": [], "usage": usage.body()}


def _piece_rows(
    indexed: IndexedPiece, reader: MessageDeltas, request: ChatRequest, vocabulary: Vocabulary
) -> list[dict[str, Any]]:
    """Make the chunks of one piece: a delta each, ids and logprobs on the first."""
    piece = indexed.piece
    deltas = reader.feed(piece.text)
    if piece.finish is not None:
        deltas += reader.close(piece.finish)
    rows: list[dict[str, Any]] = [
        {"index": indexed.index, "delta": delta, "logprobs": None, "finish_reason": None}
        for delta in deltas
    ]
    evidence = piece.tokens and (request.body.logprobs or request.token_ids)
    if piece.finish is not None or (evidence and not rows):
        rows.append({"index": indexed.index, "delta": {}, "logprobs": None, "finish_reason": None})
    if piece.finish is not None:
        rows[-1]["finish_reason"] = _finish_reason(piece.finish, calls=reader.called)
        rows[-1]["stop_reason"] = piece.stop
    if evidence:
        rows[0]["logprobs"] = _logprobs(piece.tokens, request.body, vocabulary)
        if request.token_ids:
            rows[0]["token_ids"] = [token.token for token in piece.tokens]
    return rows


def _tools(body: ChatBody) -> list[dict[str, Any]]:
    match body.tool_choice:
        case "none":
            return []
        case "auto":
            return body.tools or []
        case _:
            raise RequestError(
                f"tool_choice {body.tool_choice!r} is not supported by the embedded model; "
                f"use 'auto' or 'none'",
                param="tool_choice",
            )


def _row(index: int, choice: Choice, request: ChatRequest, model: EmbeddedModel) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": choice.text}
    calls: list[ToolCall] = []
    if request.tools:
        parser = get_parser(FORMAT)
        parsed = parser.parse(choice.text, request.tools, finish_reason=choice.finish)
        calls = [call for call in parsed.tool_calls if call.name]
        message["content"] = _content(parsed) or (None if calls else "")
    if calls:
        message["tool_calls"] = [_call(call) for call in calls]
    row: dict[str, Any] = {
        "index": index,
        "message": message,
        "logprobs": _logprobs(choice.tokens, request.body, model.vocabulary),
        "finish_reason": _finish_reason(choice.finish, calls=bool(calls)),
        "stop_reason": choice.stop,
    }
    if request.token_ids:
        row["token_ids"] = choice.ids
    return row


def _content(parsed: ParsedMessage) -> str:
    return parsed.content + "".join(call.raw for call in parsed.tool_calls if not call.name)


def _call(call: ToolCall) -> dict[str, Any]:
    function = {"name": call.name, "arguments": call.arguments}
    return {"id": new_call_id(), "type": "function", "function": function}


def _finish_reason(finish: FinishReason, *, calls: bool) -> str:
    return "tool_calls" if calls and finish is FinishReason.STOP else finish.value


def _logprobs(
    tokens: Sequence[Sampled], body: ChatBody, vocabulary: Vocabulary
) -> Mapping[str, Any] | None:
    if not body.logprobs:
        return None

    def entry(token: int, logprob: float) -> dict[str, Any]:
        written = vocabulary.bytes_of(token)
        return {"token": vocabulary.text_of(token), "logprob": logprob, "bytes": list(written)}

    def top(candidates: Sequence[Candidate]) -> list[dict[str, Any]]:
        return [entry(candidate.token, candidate.logprob) for candidate in candidates]

    return {"content": [entry(t.token, t.logprob) | {"top_logprobs": top(t.top)} for t in tokens]}


def _envelope(model: str, kind: str) -> dict[str, Any]:
    return {
        "id": f"chatcmpl-{uuid4().hex}",
        "object": kind,
        "created": int(time.time()),
        "model": model,
    }
