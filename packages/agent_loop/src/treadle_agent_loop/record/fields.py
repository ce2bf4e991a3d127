"""Typed access to the fields of a saved record.

Every function raises `SavedRolloutError` with the field's name when it isn't what it should be.
"""

from collections.abc import Mapping
from typing import Any, cast

from treadle_agent_loop.errors import SavedRolloutError

_ID_LIMIT = 2**31


def required(record: Mapping[str, Any], name: str) -> Any:
    """Return a field that has to be there."""
    if name not in record:
        raise SavedRolloutError(f"the field {name!r} is missing")
    return record[name]


def as_object(value: Any, what: str) -> dict[str, Any]:
    """Return a value as an object; `what` names it in the error."""
    if not isinstance(value, dict):
        raise SavedRolloutError(f"{what} is a {type(value).__name__}, not an object")
    return cast("dict[str, Any]", value)


def object_field(record: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return a field that is an object."""
    return as_object(required(record, name), name)


def list_field(record: Mapping[str, Any], name: str) -> list[Any]:
    """Return a field that is a list."""
    value = required(record, name)
    if not isinstance(value, list):
        raise SavedRolloutError(f"{name} is a {type(value).__name__}, not a list")
    return cast("list[Any]", value)


def text_field(record: Mapping[str, Any], name: str) -> str:
    """Return a field that is a string."""
    value = required(record, name)
    if not isinstance(value, str):
        raise SavedRolloutError(f"{name} is {value!r}, not a string")
    return value


def as_integer(value: Any, what: str) -> int:
    """Return a value as an integer; `what` names it in the error."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise SavedRolloutError(f"{what} is {value!r}, not an integer")
    return value


def count_field(record: Mapping[str, Any], name: str) -> int:
    """Return a field that is an integer of at least 0."""
    value = as_integer(required(record, name), name)
    if value < 0:
        raise SavedRolloutError(f"{name} is {value}, below 0")
    return value


def as_token(value: Any) -> int:
    """Return a token id."""
    index = as_integer(value, "a token")
    if not 0 <= index < _ID_LIMIT:
        raise SavedRolloutError(f"a token is {index}, which is no id")
    return index


def as_number(value: Any, what: str = "a logprob") -> float:
    """Return a number as a float; `what` names it in the error."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise SavedRolloutError(f"{what} is {value!r}, not a number")
    try:
        return float(value)
    except OverflowError as error:
        raise SavedRolloutError(f"{what} is too large for a number") from error


def counts_field(record: Mapping[str, Any], name: str) -> dict[str, int]:
    """Return a field that is an object of counts."""
    counts = object_field(record, name)
    return {key: count_field(counts, key) for key in counts}


def number_field(record: Mapping[str, Any], name: str) -> float:
    """Return a field that is a number."""
    return as_number(required(record, name), name)


def optional_text(record: Mapping[str, Any], name: str) -> str:
    """Return a field that is a string, empty when it isn't there."""
    return text_field(record, name) if name in record else ""


def objects_field(record: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    """Return a field that is a list of objects."""
    return [as_object(entry, f"an entry of {name}") for entry in list_field(record, name)]


def texts_field(record: Mapping[str, Any], name: str) -> tuple[str, ...]:
    """Return a field that is a list of strings, empty when it isn't there."""
    entries = list_field(record, name) if name in record else []
    for entry in entries:
        if not isinstance(entry, str):
            raise SavedRolloutError(f"an entry of {name} is {entry!r}, not a string")
    return tuple(entries)
