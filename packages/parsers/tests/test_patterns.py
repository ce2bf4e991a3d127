"""No regular expression of the package repeats a repetition, so none can take exponential time.

All patterns are looked at: those that modules, formats and parsers hold once every format is
loaded and used, and those that the source passes to `re` as literals.
"""

import ast
import dataclasses
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from re import _parser
from typing import Any

import pytest

import treadle_parsers
from treadle_parsers import detect, get_parser, list_parsers

UNBOUNDED = {"MAX_REPEAT", "MIN_REPEAT"}
SAFE = {"POSSESSIVE_REPEAT", "ATOMIC_GROUP"}
"""What is inside can't be entered again once it has matched."""
SOURCE = Path(treadle_parsers.__file__).parent


def children(op: str, argument: Any) -> Iterator[Any]:
    """Yield the subpatterns of one node of a parsed pattern."""
    pending = [argument]
    while pending:
        one = pending.pop()
        if isinstance(one, _parser.SubPattern):
            yield one
        elif isinstance(one, tuple | list):
            pending += one


def repeats_a_repeat(pattern: str, flags: int = 0) -> bool:
    """Say whether an unbounded repetition stands inside another one."""

    def inside(node: Any, *, repeated: bool) -> bool:
        for op, argument in node:
            name = str(op)
            unbounded = name in UNBOUNDED and argument[1] is _parser.MAXREPEAT
            if unbounded and repeated:
                return True
            within = (repeated or unbounded) and name not in SAFE
            if any(inside(child, repeated=within) for child in children(name, argument)):
                return True
        return False

    return inside(_parser.parse(pattern, flags), repeated=False)


def held_patterns() -> set[tuple[str, int]]:
    """Return the pattern and flags of every compiled pattern that the package holds."""
    for name in list_parsers():
        get_parser(name).parse("<tool_call>{}", [{"function": {"name": "f"}}])
    detect(text="<tool_call>", chat_template="<tool_call>")
    mine = [module for key, module in sys.modules.items() if key.startswith("treadle_parsers")]
    pending: list[Any] = [vars(module) for module in mine]
    pending += [get_parser(name) for name in list_parsers()]
    seen: set[int] = set()
    found: set[tuple[str, int]] = set()
    while pending:
        one = pending.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        if isinstance(one, re.Pattern):
            found.add((one.pattern, one.flags))
        elif isinstance(one, dict):
            pending += one.values()
        elif isinstance(one, list | tuple | set | frozenset):
            pending += one
        elif type(one).__module__.startswith("treadle_parsers"):
            pending += attributes(one)
    return found


def attributes(one: Any) -> list[Any]:
    slots = [slot for kind in type(one).__mro__ for slot in getattr(kind, "__slots__", ())]
    names = [*slots, *getattr(one, "__dict__", {})]
    if dataclasses.is_dataclass(one):
        names += [field.name for field in dataclasses.fields(one)]
    return [getattr(one, name, None) for name in names]


def written_patterns() -> set[str]:
    """Return every literal that is the first argument of a function of `re`."""
    found: set[str] = set()
    for path in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and isinstance(node.func.value, ast.Name)
                and node.func.value.id == "re"
                and node.func.attr != "escape"
                and node.args
                and isinstance(node.args[0], ast.Constant)
            ):
                found.add(str(node.args[0].value))
    return found


@pytest.mark.parametrize(
    "pattern",
    ["(a+)+", "(?:a*b?)*", "(?:x(?:[ab]+|c))*", r"(\s*,)+", "(?:a{2,})*?", "((?:a+){2})*"],
)
def test_a_repeated_repeat_is_recognised(pattern):
    assert repeats_a_repeat(pattern)


@pytest.mark.parametrize("pattern", ["a+b*", "(?:a{1,3})*", "(?:a++b)*", "(?:(?>a+)b)*", "a*|b*"])
def test_other_patterns_pass(pattern):
    assert not repeats_a_repeat(pattern)


def test_no_pattern_repeats_a_repeat():
    held = held_patterns()
    written = written_patterns()
    assert len(held) > 200
    assert len(written) > 20
    bad = {pattern for pattern, flags in held if repeats_a_repeat(pattern, flags)}
    assert not bad | {pattern for pattern in written if repeats_a_repeat(pattern)}
