"""Formats of other installed distributions: entry points of the group `treadle_parsers.formats`.

An entry point's name is a parser name, its object a `Format` with that name or alias. It is
imported when that name is asked for, never before, and can't take the place of a name that is
known without it.
"""

from functools import cache
from typing import TYPE_CHECKING, Any

from treadle_parsers.errors import PluginError
from treadle_parsers.format import Format

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

GROUP = "treadle_parsers.formats"
"""The group of the entry points."""


@cache
def plugin_names() -> frozenset[str]:
    """Return the names that installed plugins offer; none of them is imported."""
    return frozenset(_entry_points())


def load_plugin(name: str) -> Format | None:
    """Import the format that is offered as `name`; None when no plugin offers it.

    Raises: PluginError when it can't be imported or is no format of that name.
    """
    point = _entry_points().get(name)
    if point is None:
        return None
    form = _loaded(point)
    if not isinstance(form, Format) or name not in (form.name, *form.aliases):
        raise PluginError(
            f"the plugin {point.value!r}{_source(point)} holds {form!r:.80}, not a Format with the "
            f"name or alias {name!r}; correct its entry points"
        )
    return form


def _loaded(point: "EntryPoint") -> Any:
    try:
        return point.load()
    except Exception as error:  # somebody else's module may raise anything
        raise PluginError(
            f"the plugin {point.value!r}{_source(point)} for the parser {point.name!r} can't be "
            f"imported: {type(error).__name__}: {error}"
        ) from error


def _source(point: "EntryPoint") -> str:
    return f" of {point.dist.name}" if point.dist is not None else ""


@cache
def _entry_points() -> "dict[str, EntryPoint]":
    from importlib.metadata import entry_points  # slow to import, and rarely needed

    return {point.name: point for point in entry_points(group=GROUP)}
