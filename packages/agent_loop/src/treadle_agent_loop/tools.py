"""Tools: functions the model can call, and the registry that checks and runs the calls.

A tool's function takes the arguments by name and, when its first parameter is annotated
`Workspace`, the rollout's workspace, which the model never sees. It returns text (or anything JSON
can hold). It raises `ToolError` to tell the model what went wrong; every other exception is a
failure of the infrastructure and propagates. Arguments are checked against the schema before
anything runs.
"""

import asyncio
import inspect
import json
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, cast, overload

from treadle_agent_loop.clipping import clip_middle
from treadle_agent_loop.errors import (
    DuplicateToolError,
    ToolDefinitionError,
    ToolError,
    UnknownToolError,
)
from treadle_agent_loop.rollout import ToolOutcome
from treadle_agent_loop.schema import JsonSchema, describe
from treadle_agent_loop.validation import ArgumentValidator
from treadle_agent_loop.workspace import Workspace
from treadle_parsers import ToolSchema

DEFAULT_RESULT_LIMIT = 16_000


@dataclass(frozen=True, kw_only=True)
class Tool:
    """One callable tool."""

    name: str
    """What the model calls it."""
    description: str
    parameters: JsonSchema = field(repr=False)
    """JSON schema of the arguments, an `object`."""
    function: Callable[..., Any] = field(repr=False)
    """Sync functions run in a thread; prefer async ones, which can be cancelled."""
    nullable: frozenset[str] = frozenset()
    """Parameters for which an explicit null counts as left out."""
    workspace_parameter: str | None = None
    """Name under which the workspace is injected."""
    result_limit: int = DEFAULT_RESULT_LIMIT
    """Characters of a result that reach the model; longer ones keep head and tail."""

    @cached_property
    def schema(self) -> ToolSchema:
        """The entry for an OpenAI `tools=` list."""
        function = {
            "name": self.name,
            "description": self.description,
            "parameters": self.parameters,
        }
        return {"type": "function", "function": function}

    @cached_property
    def validator(self) -> ArgumentValidator:
        """The compiled argument schema."""
        return ArgumentValidator(self.parameters)

    async def run(self, arguments: Mapping[str, Any], workspace: Workspace | None) -> str:
        """Run the function and return its result as text, unclipped.

        Raises:
            ToolError: the tool's own report of a failure, for the model.
            ToolDefinitionError: the tool needs a workspace and there is none.
        """
        bound = dict(arguments)
        if self.workspace_parameter is not None:
            if workspace is None:
                raise ToolDefinitionError(
                    f"tool {self.name!r} needs a workspace; pass one to the loop's run()"
                )
            bound[self.workspace_parameter] = workspace
        if inspect.iscoroutinefunction(self.function):
            result = await cast("Awaitable[Any]", self.function(**bound))
        else:
            result = await asyncio.to_thread(self.function, **bound)
        return _as_text(result)


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolReply:
    """What one call came to."""

    outcome: ToolOutcome
    text: str
    """The text for the model, at most the tool's `result_limit` plus a note."""

    @property
    def ok(self) -> bool:
        """Whether the tool ran and succeeded."""
        return self.outcome is ToolOutcome.OK


@overload
def tool(function: Callable[..., Any], /) -> Tool: ...


@overload
def tool(
    *,
    name: str | None = None,
    description: str | None = None,
    result_limit: int = DEFAULT_RESULT_LIMIT,
) -> Callable[[Callable[..., Any]], Tool]: ...


def tool(
    function: Callable[..., Any] | None = None,
    /,
    *,
    name: str | None = None,
    description: str | None = None,
    result_limit: int = DEFAULT_RESULT_LIMIT,
) -> Tool | Callable[[Callable[..., Any]], Tool]:
    """Make a tool of a function; name, description and schema come from it unless given.

    Raises:
        ToolDefinitionError: a parameter has no annotation, or one that JSON can't express.
    """

    def build(target: Callable[..., Any]) -> Tool:
        signature = describe(target)
        text = description if description is not None else signature.description
        if not text:
            raise ToolDefinitionError(
                f"tool function {target.__name__!r} has no docstring; the model needs a description"
            )
        return Tool(
            name=name or target.__name__,
            description=text,
            parameters=signature.parameters,
            function=target,
            nullable=signature.nullable,
            workspace_parameter=signature.workspace_parameter,
            result_limit=result_limit,
        )

    return build if function is None else build(function)


class ToolRegistry:
    """The tools of one rollout, by name, in the order given."""

    def __init__(self, tools: Iterable[Tool] = ()) -> None:
        self._tools: dict[str, Tool] = {}
        for entry in tools:
            self.add(entry)

    def add(self, entry: Tool) -> None:
        """Add a tool.

        Raises:
            DuplicateToolError: the name is taken.
            ToolDefinitionError: its parameters are no valid JSON schema.
        """
        if entry.name in self._tools:
            raise DuplicateToolError(f"two tools are named {entry.name!r}; rename one of them")
        _ = entry.validator  # an invalid schema shows here, not in the middle of a rollout
        self._tools[entry.name] = entry

    @property
    def names(self) -> tuple[str, ...]:
        """The tools' names in order."""
        return tuple(self._tools)

    def schemas(self) -> tuple[ToolSchema, ...]:
        """Return the `tools=` list in OpenAI form."""
        return tuple(entry.schema for entry in self._tools.values())

    def get(self, name: str) -> Tool:
        """Return a tool.

        Raises:
            UnknownToolError: there is none of that name.
        """
        if name not in self._tools:
            raise UnknownToolError(f"there is no tool {name!r}; the tools are: {self._listing()}")
        return self._tools[name]

    async def call(
        self, name: str, arguments: str | Mapping[str, Any], workspace: Workspace | None
    ) -> ToolReply:
        """Check one call and run it; what the model got wrong comes back as text.

        `arguments` is the JSON text the model wrote, or the decoded object. Exceptions other than
        `ToolError` propagate: they are failures of the infrastructure, not of the model.
        """
        if name not in self._tools:
            return _bad_call(f"There is no tool named {name!r}. The tools are: {self._listing()}.")
        entry = self._tools[name]
        try:
            decoded = json.loads(arguments) if isinstance(arguments, str) else dict(arguments)
        except (ValueError, RecursionError) as error:
            return _bad_call(f"The arguments of {name!r} are not valid JSON: {error}.")
        if isinstance(decoded, dict):
            given = cast("dict[str, Any]", decoded).items()
            decoded = {k: v for k, v in given if v is not None or k not in entry.nullable}
        problem = entry.validator.problem(decoded)
        if problem is not None:
            return _bad_call(f"The arguments of {name!r} don't fit its schema: {problem}.")
        try:
            text, outcome = await entry.run(decoded, workspace), ToolOutcome.OK
        except ToolError as error:
            text, outcome = str(error), ToolOutcome.TOOL_ERROR
        return ToolReply(outcome=outcome, text=clip_middle(text, entry.result_limit))

    def __contains__(self, name: object) -> bool:
        return name in self._tools

    def __len__(self) -> int:
        return len(self._tools)

    def _listing(self) -> str:
        return ", ".join(self._tools) or "(none)"


def _bad_call(text: str) -> ToolReply:
    return ToolReply(outcome=ToolOutcome.BAD_CALL, text=clip_middle(text, 2_000))


def _as_text(result: Any) -> str:
    if isinstance(result, str):
        return result
    return "" if result is None else json.dumps(result, ensure_ascii=False)
