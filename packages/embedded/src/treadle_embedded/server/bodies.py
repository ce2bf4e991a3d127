"""Request bodies: what clients send, checked at the door.

Fields that would change an answer but aren't supported are named here so that asking for them is an
error instead of a silent difference. Fields that no one here knows are ignored, as other servers
do.
"""

from typing import Any, Literal, Self, cast

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from treadle_embedded.errors import RequestError

UNSUPPORTED: dict[str, tuple[Any, ...]] = {
    "frequency_penalty": (None, 0),
    "presence_penalty": (None, 0),
    "repetition_penalty": (None, 1),
    "logit_bias": (None, {}),
    "min_p": (None, 0),
    "min_tokens": (None, 0),
    "ignore_eos": (None, False),
    "echo": (None, False),
    "suffix": (None, ""),
    "best_of": (None, 1),
    "prompt_logprobs": (None,),
    "response_format": (None, {"type": "text"}),
    "functions": (None, []),
}
"""Fields this server can't honour, with the values that ask for nothing."""


class StreamOptions(BaseModel):
    """`stream_options`."""

    include_usage: bool = False


class Body(BaseModel):
    """What both endpoints share."""

    model_config = ConfigDict(extra="allow")

    model: str
    temperature: float = Field(default=1.0, ge=0, le=100)
    top_p: float = Field(default=1.0, gt=0, le=1)
    top_k: int = 0
    n: int = Field(default=1, ge=1, le=64)
    seed: int | None = None
    stop: str | list[str] | None = None
    stop_token_ids: list[int] | None = None
    skip_special_tokens: bool = True
    stream: bool = False
    stream_options: StreamOptions | None = None
    return_token_ids: bool | None = None

    @model_validator(mode="before")
    @classmethod
    def _null_is_unset(cls, data: Any) -> Any:
        """Treat an explicit null as the field left out, as OpenAI's own server does."""
        if isinstance(data, dict):
            fields = cast("dict[str, Any]", data)
            return {name: value for name, value in fields.items() if value is not None}
        return data

    @property
    def stops(self) -> tuple[str, ...]:
        """The stop strings."""
        if self.stop is None:
            return ()
        return (self.stop,) if isinstance(self.stop, str) else tuple(self.stop)

    def refuse_unsupported(self) -> Self:
        """Return the body itself. Raises: RequestError for a field that can't be honoured."""
        for name, value in (self.model_extra or {}).items():
            if name in UNSUPPORTED and value not in UNSUPPORTED[name]:
                raise RequestError(
                    f"{name} is not supported by the embedded model; leave it out", param=name
                )
        return self


class CompletionBody(Body):
    """`POST /v1/completions`."""

    prompt: str | list[int] | list[str] | list[list[int]]
    max_tokens: int = Field(default=16, ge=1)
    logprobs: int | None = Field(default=None, ge=0, le=20)
    return_tokens_as_token_ids: bool = False
    add_special_tokens: bool = True
    """Accepted for vLLM's sake: the bundled tokenizer adds none."""


class FunctionCall(BaseModel):
    """The function of an earlier tool call."""

    name: str
    arguments: str | dict[str, Any] = "{}"


class CallBody(BaseModel):
    """One tool call of an earlier assistant message."""

    id: str | None = None
    type: Literal["function"] = "function"
    function: FunctionCall


class TextPart(BaseModel):
    """A part of a message's content; only text is understood."""

    type: Literal["text"]
    text: str


class MessageBody(BaseModel):
    """One message."""

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | list[TextPart] | None = None
    tool_calls: list[CallBody] | None = None

    def rendered(self) -> dict[str, Any]:
        """Return the message as the chat template takes it."""
        content = self.content or ""
        if isinstance(content, list):
            content = "".join(part.text for part in content)
        role = "system" if self.role == "developer" else self.role
        message: dict[str, Any] = {"role": role, "content": content}
        if self.tool_calls:
            message["tool_calls"] = [call.model_dump(exclude={"id"}) for call in self.tool_calls]
        return message


class FunctionBody(BaseModel):
    """What the function of a tool needs."""

    name: str


class ToolBody(BaseModel):
    """What an entry of `tools` needs."""

    type: Literal["function"]
    function: FunctionBody


class ChatBody(Body):
    """`POST /v1/chat/completions`."""

    messages: list[MessageBody] = Field(min_length=1)
    tools: list[dict[str, Any]] | None = None
    tool_choice: str | dict[str, Any] = "auto"
    max_tokens: int | None = Field(default=None, ge=1)
    max_completion_tokens: int | None = Field(default=None, ge=1)
    logprobs: bool = False
    top_logprobs: int = Field(default=0, ge=0, le=20)

    @field_validator("tools")
    @classmethod
    def _tools_are_functions(
        cls, tools: list[dict[str, Any]] | None
    ) -> list[dict[str, Any]] | None:
        """Check the tools and keep them as sent: the template shows the model their very text."""
        for tool in tools or []:
            ToolBody.model_validate(tool)
        return tools
