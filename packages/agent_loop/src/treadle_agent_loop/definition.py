"""One tool: a function the model can call, with its schema and how it may run.

A tool's function takes the arguments by name and, when its first parameter is annotated
`Workspace`, the rollout's workspace, which the model never sees. It returns text (or anything JSON
can hold). It raises `ToolError` to tell the model what went wrong; every other exception is a
failure of the infrastructure and propagates, unless the tool lists its type in `reports`.
"""

import asyncio
import inspect
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import Any, cast, overload

from treadle_agent_loop.errors import ToolDefinitionError, ToolError
from treadle_agent_loop.schema import JsonSchema, describe
from treadle_agent_loop.validation import ArgumentValidator
from treadle_agent_loop.workspace import Workspace
from treadle_parsers import ToolSchema

DEFAULT_RESULT_LIMIT = 16_000


class Concurrency(StrEnum):
    """What else may run while a call does, among the calls of one turn."""

    PARALLEL = "parallel"
    """Anything that isn't exclusive."""
    ORDERED = "ordered"
    """As `parallel`, but calls of this tool run one after another, in call order."""
    EXCLUSIVE = "exclusive"
    """Nothing: it waits for the calls before it, and the calls after it wait for it."""


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
    keep_full: bool = True
    """Whether the loop keeps a result that is longer in the workspace, in full."""
    concurrency: Concurrency = Concurrency.PARALLEL
    reports: tuple[type[Exception], ...] = ()
    """Exceptions beside `ToolError` whose text goes to the model."""
    timeout: float | None = None
    """Seconds after which a call is cancelled and the model told so; None is no limit."""
    closed: bool = True
    """Whether arguments that `parameters` doesn't name are refused when it doesn't say."""

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
        return ArgumentValidator(self.parameters, closed=self.closed)

    async def run(self, arguments: Mapping[str, Any], workspace: Workspace | None) -> str:
        """Run the function and return its result as text, unclipped.

        Raises:
            ToolError: the tool's own report of a failure, for the model, or that it took too long.
            ToolDefinitionError: the tool needs a workspace and there is none.
        """
        bound = dict(arguments)
        if self.workspace_parameter is not None:
            if workspace is None:
                raise ToolDefinitionError(
                    f"tool {self.name!r} needs a workspace; pass one to the loop's run()"
                )
            bound[self.workspace_parameter] = workspace
        clock = asyncio.timeout(self.timeout)
        try:
            async with clock:
                if inspect.iscoroutinefunction(self.function):
                    result = await cast("Awaitable[Any]", self.function(**bound))
                else:
                    result = await asyncio.to_thread(self.function, **bound)
        except self.reports as error:
            raise ToolError(f"{type(error).__name__}: {error}") from error
        except TimeoutError as error:
            if not clock.expired():
                raise
            raise ToolError(f"timed out after {self.timeout:g} seconds") from error
        return _as_text(result)


@overload
def tool(function: Callable[..., Any], /) -> Tool: ...


@overload
def tool(
    *,
    name: str | None = None,
    description: str | None = None,
    result_limit: int = DEFAULT_RESULT_LIMIT,
    keep_full: bool = True,
    concurrency: Concurrency = Concurrency.PARALLEL,
    reports: tuple[type[Exception], ...] = (),
    timeout: float | None = None,
) -> Callable[[Callable[..., Any]], Tool]: ...


def tool(
    function: Callable[..., Any] | None = None,
    /,
    *,
    name: str | None = None,
    description: str | None = None,
    result_limit: int = DEFAULT_RESULT_LIMIT,
    keep_full: bool = True,
    concurrency: Concurrency = Concurrency.PARALLEL,
    reports: tuple[type[Exception], ...] = (),
    timeout: float | None = None,
) -> Tool | Callable[[Callable[..., Any]], Tool]:
    """Make a tool of a function; name, description and schema come from it unless given.

    The other arguments are the fields of `Tool` of the same names.

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
            keep_full=keep_full,
            concurrency=concurrency,
            reports=reports,
            timeout=timeout,
        )

    return build if function is None else build(function)


def _as_text(result: Any) -> str:
    if isinstance(result, str):
        return result
    return "" if result is None else json.dumps(result, ensure_ascii=False)
