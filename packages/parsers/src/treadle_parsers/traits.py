"""What follows from a format's description: where the types of its values come from.

For lists and pages about formats; no parser asks for it.
"""

from enum import StrEnum
from typing import Any

from treadle_parsers.bodies.bare_json import BareJson
from treadle_parsers.bodies.json_array import JsonArray
from treadle_parsers.bodies.json_call import JsonCall
from treadle_parsers.bodies.literal_calls import LiteralCalls
from treadle_parsers.bodies.named_json import NamedJson
from treadle_parsers.bodies.nested_calls import NestedCalls
from treadle_parsers.bodies.pythonic_calls import PythonicCalls
from treadle_parsers.bodies.suffixed_calls import SuffixedCalls
from treadle_parsers.channels import Channels
from treadle_parsers.format import Format
from treadle_parsers.tagrules import TagRules


class Typing(StrEnum):
    """Where the types of argument values come from."""

    JSON = "json"
    """The model writes JSON, which is kept as it is; a schema only checks it."""
    PYTHON = "python"
    """The model writes Python literals, which become JSON; a schema only checks them."""
    NOTATION = "notation"
    """Strings are delimited; bare values take their type from the schema, or from how they look.
    """
    TAG = "tag"
    """The tag of an argument says its type; the schema where the tag says nothing."""
    SCHEMA = "schema"
    """Bare text between tags: the schema decides, and without one every value is a string."""
    TEXT = "text"
    """Bare text between tags that is JSON wherever it can be, whatever the schema says."""
    BODY = "body"
    """As the format's own body decides."""

    @property
    def needs_schema(self) -> bool:
        """Whether the types are right only when `tools=` is given."""
        return self in (Typing.SCHEMA, Typing.NOTATION)


def written_by(form: Format) -> Any:
    """Return the body that renders the calls of `form`: in channels, and under a suffix, the one
    inside.
    """
    body = form.bodies[0] if form.bodies else None
    if isinstance(body, SuffixedCalls):
        return body.calls(body.default)
    return body.tool if isinstance(body, Channels) else body


def typing_of(form: Format) -> Typing:
    """Return where the types of values in calls of `form` come from, as it renders them."""
    match written_by(form):
        case TagRules() as body:
            return _tagged(body)
        case NestedCalls():
            return Typing.SCHEMA
        case LiteralCalls():
            return Typing.NOTATION
        case PythonicCalls():
            return Typing.PYTHON
        case BareJson() | JsonArray() | JsonCall() | NamedJson():
            return Typing.JSON
        case _:
            return Typing.BODY


def _tagged(body: TagRules) -> Typing:
    if body.self_typed:
        return Typing.TEXT
    typed = "(?P<type>" in body.param.rest or "(?P<string>" in body.param.rest
    return Typing.TAG if typed else Typing.SCHEMA
