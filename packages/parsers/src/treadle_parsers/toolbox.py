"""The tools of one request, as far as a parser needs them: names, and the schema of each
parameter.

Reads the OpenAI form `{"type": "function", "function": {...}}` and the bare inner form. Never
raises on a strange tool: what can't be read is a tool without a schema.
"""

from collections.abc import Mapping, Sequence
from typing import Any, cast

from treadle_parsers import jsontext, schema
from treadle_parsers.fitting import fits
from treadle_parsers.records import CallStatus, ToolSchema


class Toolbox:
    """Tool names and parameter schemas. Without tools nothing is known and nothing is flagged."""

    __slots__ = ("_schemas",)

    def __init__(self, tools: Sequence[ToolSchema] | None = None) -> None:
        self._schemas: dict[str, Mapping[str, Any]] = {}
        for tool in tools or ():
            inner = tool.get("function", tool)
            if isinstance(inner, Mapping):
                function = cast("Mapping[str, Any]", inner)
                parameters = function.get("parameters")
                name = function.get("name")
                if isinstance(name, str):
                    self._schemas[name] = schema.mapping(parameters)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the tools."""
        return tuple(self._schemas)

    def schema(self, name: str) -> Mapping[str, Any]:
        """Return the parameter schema of `name`; empty when there is none."""
        return self._schemas.get(name, {})

    def judge(self, name: str, arguments: str) -> CallStatus:
        """Return the status of a complete call."""
        try:
            value = jsontext.load(arguments)
        except ValueError:
            return CallStatus.INVALID_JSON
        if not isinstance(value, dict | jsontext.TooDeep):
            return CallStatus.INVALID_JSON
        if not name:
            return CallStatus.MISSING_NAME
        if self._schemas and name not in self._schemas:
            return CallStatus.UNKNOWN_TOOL
        root = self.schema(name)
        if root and not fits(value, root, root):
            return CallStatus.SCHEMA_MISMATCH
        return CallStatus.OK
