"""JSON schemas from Python signatures, in the form OpenAI's `tools=` expects.

Supported annotations: `str`, `int`, `float`, `bool`, `Literal` of those, `list[T]`, `dict[str, T]`,
bare `list` and `dict`, `Any`, `T | None`, unions of the above, `Enum` classes with plain values,
and `Annotated[T, "description"]`. Anything else is refused when the tool is defined, never guessed.
Parameter descriptions come from `Annotated` first, then from the docstring's `Args:` section
(Google style).
"""

import enum
import inspect
import re
import types
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Union, cast, get_args, get_origin, get_type_hints

from treadle_agent_loop.errors import ToolDefinitionError
from treadle_agent_loop.workspace import Workspace

JsonSchema = dict[str, Any]

_SCALARS: Mapping[Any, str] = {
    str: "string",
    int: "integer",
    float: "number",
    bool: "boolean",
    type(None): "null",
}
_ARGS_ENTRY = re.compile(r"(\w+)\s*(?:\([^)]*\))?:\s*(.*)")


@dataclass(frozen=True, slots=True, kw_only=True)
class SignatureSchema:
    """What a function's signature and docstring say about it as a tool."""

    description: str
    """The docstring up to its first section."""
    parameters: JsonSchema
    """An `object` schema; `required` is left out when nothing is."""
    nullable: frozenset[str]
    """Optional parameters (`T | None = None`): shown to the model as `T`, because templates of real
    models fail on lists of types; an explicit null counts as left out."""
    workspace_parameter: str | None
    """Name of the first parameter when it is annotated `Workspace`: injected, not shown to the
    model.
    """


def describe(function: Callable[..., Any]) -> SignatureSchema:
    """Read a function's schema off its signature.

    Raises:
        ToolDefinitionError: an annotation is missing or can't be expressed, or a parameter is
            variadic.
    """
    summary, documented = _split_docstring(inspect.getdoc(function) or "")
    hints = get_type_hints(function, include_extras=True)
    properties: dict[str, JsonSchema] = {}
    required: list[str] = []
    nullable: set[str] = set()
    workspace_parameter: str | None = None
    for position, parameter in enumerate(inspect.signature(function).parameters.values()):
        name = parameter.name
        where = f"parameter {name!r} of tool function {function.__name__!r}"
        _check(parameter, hints, where)
        if position == 0 and _is_workspace(hints[name]):
            workspace_parameter = name
            continue
        hint = hints[name]
        if parameter.default is None:
            nullable.add(name)
            hint = _without_none(hint)
        properties[name] = schema_of(hint, where)
        if name in documented:
            properties[name].setdefault("description", documented[name])
        if parameter.default is parameter.empty:
            required.append(name)
        elif parameter.default is not None:
            properties[name]["default"] = parameter.default
    parameters: JsonSchema = {"type": "object", "properties": properties}
    if required:
        parameters["required"] = required
    return SignatureSchema(
        description=summary,
        parameters=parameters,
        nullable=frozenset(nullable),
        workspace_parameter=workspace_parameter,
    )


def schema_of(annotation: Any, where: str) -> JsonSchema:
    """Return the JSON schema of one annotation; `where` names it in errors."""
    origin, args = get_origin(annotation), get_args(annotation)
    if annotation in _SCALARS:
        return {"type": _SCALARS[annotation]}
    if annotation is Any:
        return {}
    if origin is Annotated:
        schema = schema_of(args[0], where)
        texts = [extra for extra in args[1:] if isinstance(extra, str)]
        return {**schema, "description": texts[0]} if texts else schema
    if origin is Literal:
        return _enumeration(list(args))
    if isinstance(annotation, type) and issubclass(annotation, enum.Enum):
        return _enumeration([member.value for member in annotation])
    if origin in (Union, types.UnionType):
        return _union(args, where)
    if annotation is list or origin is list:
        return {"type": "array", "items": schema_of(args[0], where)} if args else {"type": "array"}
    if annotation is dict or origin is dict:
        return _mapping(args, where)
    raise ToolDefinitionError(
        f"{where} is annotated {annotation!r}, which has no JSON schema here; use str, int, "
        "float, bool, Literal, list, dict or a union of them"
    )


def _check(parameter: inspect.Parameter, hints: Mapping[str, Any], where: str) -> None:
    if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
        raise ToolDefinitionError(f"{where} is variadic; name every argument")
    if parameter.kind is parameter.POSITIONAL_ONLY:
        raise ToolDefinitionError(f"{where} is positional-only; arguments are passed by name")
    if parameter.name not in hints:
        raise ToolDefinitionError(f"{where} has no type annotation; add one")


def _without_none(annotation: Any) -> Any:
    origin, args = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return Annotated[(_without_none(args[0]), *args[1:])]
    if origin in (Union, types.UnionType):
        return cast("Any", Union)[tuple(arg for arg in args if arg is not type(None))]
    return annotation


def _enumeration(values: list[Any]) -> JsonSchema:
    kinds = {_SCALARS.get(type(value)) for value in values}
    kind = kinds.pop()
    return {"enum": values} if kinds or kind is None else {"type": kind, "enum": values}


def _union(args: tuple[Any, ...], where: str) -> JsonSchema:
    schemas = [schema_of(arg, where) for arg in args]
    if all(set(schema) == {"type"} for schema in schemas):
        return {"type": [schema["type"] for schema in schemas]}
    return {"anyOf": schemas}


def _mapping(args: tuple[Any, ...], where: str) -> JsonSchema:
    if not args:
        return {"type": "object"}
    if args[0] is not str:
        raise ToolDefinitionError(f"{where} is a dict with keys other than str; JSON has none")
    values = schema_of(args[1], where)
    return {"type": "object", "additionalProperties": values} if values else {"type": "object"}


def _is_workspace(annotation: Any) -> bool:
    return annotation is Workspace or Workspace in get_args(annotation)


def _split_docstring(doc: str) -> tuple[str, dict[str, str]]:
    summary, _, rest = doc.partition("\nArgs:\n")
    summary = re.split(r"\n(?:Returns|Raises|Yields|Example|Examples):\n", summary)[0]
    documented: dict[str, str] = {}
    current: str | None = None
    for line in rest.splitlines():
        if line and not line[0].isspace():
            break
        entry = _ARGS_ENTRY.fullmatch(line.strip())
        if entry and len(line) - len(line.lstrip()) <= 4:
            current = str(entry[1])
            documented[current] = entry[2]
        elif current is not None and line.strip():
            documented[current] = f"{documented[current]} {line.strip()}".strip()
    return " ".join(summary.split()), documented
