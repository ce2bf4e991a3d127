"""Which rules of `typing.md` decide the contested cases of a format."""

import re

from treadle_parsers import Format, ParsedMessage
from treadle_parsers.bodies.nested_calls import NestedCalls
from treadle_parsers.taggedread import TagRules
from treadle_parsers.traits import Typing, typing_of, written_by

_TITLE = re.compile(r"^(\d+)\. \*\*(.+?)\*\*", re.MULTILINE | re.DOTALL)
_BY_TYPING = {
    Typing.JSON: ("JSON formats", "Strict JSON", "Double-encoded", "Duplicate keys", "A JSON str"),
    Typing.PYTHON: ("A value that doesn't fit",),
    Typing.NOTATION: ("Gemma:",),
    Typing.TAG: ("Without a schema", "Order for other types", "A value that doesn't fit"),
    Typing.SCHEMA: (
        "Tagged formats",
        "Without a schema",
        "Order for other types",
        "`null`",
        "A value that doesn't fit",
    ),
    Typing.TEXT: ("Muse Glimmer",),
    Typing.BODY: (),
}
_ALWAYS = ("Unknown tools", "Truncation", "White space", "Control tokens")
_THINKING = ("Calls inside thinking", "A thinking block that ends", "A message that the prompt")


def titles(source: str) -> dict[int, str]:
    """Return the titles of the rules in the text of `typing.md`, by their numbers."""
    return {int(number): title.rstrip(".") for number, title in _TITLE.findall(source)}


def rules_of(form: Format, message: ParsedMessage, known: dict[int, str]) -> list[int]:
    """Return the numbers of the rules that matter for `form`; `message` is its example."""
    body = written_by(form)
    wanted = [*_ALWAYS, *_BY_TYPING[typing_of(form)]]
    if isinstance(body, TagRules):
        wanted += ["A tagged value ends", "A missing closing tag"]
        wanted += ["White space:"] if body.newlines else []
        wanted += ["Entities and CDATA"] if body.xml or body.xml_names else []
        wanted += ["`f.f`"] if body.doubled else []
    if isinstance(body, NestedCalls):
        wanted.append("MiniMax M3")
    unmarked = any({"{", "["} & {*one.openers} for one in form.bodies)
    wanted.append("Calls without a marker" if unmarked else "A marker needs")
    wanted += _THINKING if form.thinking else ()
    if [call.id for call in message.tool_calls] != ["call_0", "call_1"]:
        wanted.append("Ids")
    return sorted({_number(title, known) for title in wanted})


def _number(title: str, known: dict[int, str]) -> int:
    """Return the number of the rule that is called so, or whose title alone begins so."""
    exact = [number for number, full in known.items() if full == title]
    found = exact or [number for number, full in known.items() if full.startswith(title)]
    if len(found) != 1:
        raise SystemExit(
            f"{len(found)} rules of docs/typing.md begin with {title!r}; correct format_rules.py"
        )
    return found[0]
