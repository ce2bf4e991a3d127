"""Checks tool arguments against their JSON schema and says in one line what doesn't fit.

Nothing is coerced: "3" is no integer. Arguments that a plain list of properties doesn't name are
refused unless the schema says otherwise (`additionalProperties`), because a misspelt optional
argument would be lost silently.
"""

from typing import Any, cast

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError, ValidationError
from jsonschema.exceptions import best_match as _best_match  # pyright: ignore[reportUnknownVariableType]

from treadle_agent_loop.clipping import clip_middle
from treadle_agent_loop.errors import ToolDefinitionError
from treadle_agent_loop.schema import JsonSchema

_MESSAGE_LIMIT = 300
_COMPOSING = frozenset({"$ref", "allOf", "anyOf", "oneOf", "if", "patternProperties"})


class ArgumentValidator:
    """A compiled argument schema."""

    def __init__(self, parameters: JsonSchema, *, closed: bool = True) -> None:
        """Compile a schema; `closed` refuses unnamed properties where it doesn't say.

        Raises:
            ToolDefinitionError: it isn't a valid JSON schema.
        """
        try:
            Draft202012Validator.check_schema(parameters)
        except SchemaError as error:
            raise ToolDefinitionError(
                f"the parameters are no valid JSON schema: {error.message}"
            ) from error
        closing = closed and not _COMPOSING & parameters.keys()
        defaults = {"additionalProperties": False} if closing else {}
        self._validator: Any = Draft202012Validator({**defaults, **parameters, "type": "object"})

    def problem(self, arguments: Any) -> str | None:
        """Return what is wrong with decoded arguments, or None."""
        errors: list[ValidationError] = list(self._validator.iter_errors(arguments))
        error = cast("ValidationError | None", _best_match(errors))
        if error is None:
            return None
        message = clip_middle(error.message, _MESSAGE_LIMIT)
        path = error.json_path.removeprefix("$").lstrip(".")
        return f"{path}: {message}" if path else message
