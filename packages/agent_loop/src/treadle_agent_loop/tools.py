"""The tools of a rollout: the registry checks the model's calls and runs those that are sound.

Arguments are checked against the schema before anything runs; what doesn't fit is never executed,
not even as `{}`, and the model is told what was wrong with it.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, cast

from treadle_agent_loop.clipping import clip_middle
from treadle_agent_loop.definition import DEFAULT_RESULT_LIMIT, Concurrency, Tool, tool
from treadle_agent_loop.errors import DuplicateToolError, ToolError, UnknownToolError
from treadle_agent_loop.rollout import ToolOutcome
from treadle_agent_loop.workspace import Workspace
from treadle_parsers import ToolSchema

__all__ = [
    "DEFAULT_RESULT_LIMIT",
    "CheckedCall",
    "Concurrency",
    "Tool",
    "ToolRegistry",
    "ToolReply",
    "tool",
]

_REFUSAL_LIMIT = 2_000


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolReply:
    """What one call came to."""

    outcome: ToolOutcome
    text: str
    """The text for the model."""
    schema_valid: bool = True
    """Whether the tool exists and the arguments fit its schema."""
    kept_at: str = ""
    """Where in the workspace the full text is, when `text` is a part of it."""

    @property
    def ok(self) -> bool:
        """Whether the tool ran and succeeded."""
        return self.outcome is ToolOutcome.OK


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedCall:
    """A call that may run: a known tool and arguments that fit its schema."""

    tool: Tool
    arguments: Mapping[str, Any]

    async def run(self, workspace: Workspace | None) -> ToolReply:
        """Run the tool; its text is complete, however long.

        Exceptions other than `ToolError` propagate: they are failures of the infrastructure, not
        of the model.
        """
        try:
            text, outcome = await self.tool.run(self.arguments, workspace), ToolOutcome.OK
        except ToolError as error:
            text, outcome = str(error), ToolOutcome.TOOL_ERROR
        return ToolReply(outcome=outcome, text=text)


class ToolRegistry:
    """The tools of one rollout, by name, in the order given."""

    def __init__(self, tools: Iterable[Tool] = (), *, toolsets: Iterable[str] = ()) -> None:
        """`toolsets` are the names that the tools were chosen by; they go on the record."""
        self._tools: dict[str, Tool] = {}
        self.toolsets = tuple(toolsets)
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
    def tools(self) -> tuple[Tool, ...]:
        """The tools in order."""
        return tuple(self._tools.values())

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

    def check(self, name: str, arguments: str | Mapping[str, Any]) -> CheckedCall | ToolReply:
        """Check a call without running it; return the reply to the model when it isn't sound.

        `arguments` is the JSON text the model wrote, or the decoded object.
        """
        if name not in self._tools:
            return bad_call(f"There is no tool named {name!r}. The tools are: {self._listing()}.")
        entry = self._tools[name]
        try:
            decoded = json.loads(arguments) if isinstance(arguments, str) else dict(arguments)
        except (ValueError, RecursionError) as error:
            return bad_call(f"The arguments of {name!r} are not valid JSON: {error}.")
        if isinstance(decoded, dict):
            given = cast("dict[str, Any]", decoded).items()
            decoded = {k: v for k, v in given if v is not None or k not in entry.nullable}
        problem = entry.validator.problem(decoded)
        if problem is not None:
            return bad_call(f"The arguments of {name!r} don't fit its schema: {problem}.")
        return CheckedCall(tool=entry, arguments=cast("dict[str, Any]", decoded))

    async def call(
        self, name: str, arguments: str | Mapping[str, Any], workspace: Workspace | None
    ) -> ToolReply:
        """Check one call and run it; what the model got wrong comes back as text.

        A long text is cut to the tool's `result_limit` plus a note. Exceptions other than
        `ToolError` propagate.
        """
        checked = self.check(name, arguments)
        if isinstance(checked, ToolReply):
            return checked
        reply = await checked.run(workspace)
        text = clip_middle(reply.text, checked.tool.result_limit)
        return ToolReply(outcome=reply.outcome, text=text)

    def __contains__(self, name: object) -> bool:
        return name in self._tools

    def __len__(self) -> int:
        return len(self._tools)

    def _listing(self) -> str:
        return ", ".join(self._tools) or "(none)"


def bad_call(text: str) -> ToolReply:
    """Make the reply to a call that can't run."""
    return ToolReply(
        outcome=ToolOutcome.BAD_CALL,
        text=clip_middle(text, _REFUSAL_LIMIT),
        schema_valid=False,
    )
