import enum
from typing import Annotated, Any, Literal

import pytest

from treadle_agent_loop import ToolDefinitionError, Workspace, tool


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


def test_every_supported_annotation_becomes_its_schema():
    @tool
    async def sample(
        text: str,
        count: int,
        ratio: float,
        flag: bool,
        mode: Literal["fast", "slow"],
        names: list[str],
        table: dict[str, int],
        anything: Any,
        colour: Colour,
        loose: list,
        maybe: int | None = None,
        either: int | list[str] = 3,
        noted: Annotated[str, "With a note."] = "x",
    ) -> str:
        """Do it."""
        return ""

    assert sample.parameters["properties"] == {
        "text": {"type": "string"},
        "count": {"type": "integer"},
        "ratio": {"type": "number"},
        "flag": {"type": "boolean"},
        "mode": {"type": "string", "enum": ["fast", "slow"]},
        "names": {"type": "array", "items": {"type": "string"}},
        "table": {"type": "object", "additionalProperties": {"type": "integer"}},
        "anything": {},
        "colour": {"type": "string", "enum": ["red", "blue"]},
        "loose": {"type": "array"},
        "maybe": {"type": "integer"},
        "either": {
            "anyOf": [{"type": "integer"}, {"type": "array", "items": {"type": "string"}}],
            "default": 3,
        },
        "noted": {"type": "string", "description": "With a note.", "default": "x"},
    }
    assert sample.parameters["required"] == list(sample.parameters["properties"])[:10]


def test_descriptions_come_from_the_docstring_and_the_workspace_is_not_shown():
    @tool
    async def search(workspace: Workspace, pattern: str, limit: int = 5) -> str:
        """Search the files
        for a pattern.

        Args:
            pattern: What to look for,
                as a regular expression.
            limit (int): How many hits.

        Returns:
            The hits.
        """
        return ""

    assert search.workspace_parameter == "workspace"
    assert search.description == "Search the files for a pattern."
    assert search.parameters == {
        "type": "object",
        "properties": {
            "pattern": {
                "type": "string",
                "description": "What to look for, as a regular expression.",
            },
            "limit": {"type": "integer", "description": "How many hits.", "default": 5},
        },
        "required": ["pattern"],
    }


def test_a_parameter_without_annotation_is_refused_by_name():
    with pytest.raises(ToolDefinitionError, match="'x' of tool function 'bad' has no type"):

        @tool
        def bad(x) -> str:
            """Bad."""
            return x


def test_an_annotation_that_json_cannot_express_is_refused():
    with pytest.raises(ToolDefinitionError, match="no JSON schema"):

        @tool
        def bad(x: set[int]) -> str:
            """Bad."""
            return str(x)


def test_variadic_parameters_and_missing_docstrings_are_refused():
    with pytest.raises(ToolDefinitionError, match="variadic"):

        @tool
        def bad(*x: int) -> str:
            """Bad."""
            return str(x)

    with pytest.raises(ToolDefinitionError, match="no docstring"):

        @tool
        def silent(x: int) -> str:
            return str(x)
