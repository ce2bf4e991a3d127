"""Toolsets: tools by name, in groups that may contain each other, and seeded choices among them.

A `ToolsetCatalog` knows tools and toolsets and resolves names to a registry. A
`ToolsetDistribution` draws toolsets, each on its own with its probability; the same seed draws the
same ones, so that all rollouts of a group have the same tools and a run can be repeated. The names
that were drawn are on the registry, and from there on every rollout's record.
"""

import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from treadle_agent_loop.definition import Tool
from treadle_agent_loop.errors import DuplicateToolError, UnknownToolsetError
from treadle_agent_loop.standard_tools import (
    patch_tool,
    process_tool,
    python_session_tool,
    read_file_tool,
    search_files_tool,
    terminal_tool,
    write_file_tool,
)
from treadle_agent_loop.tools import ToolRegistry


@dataclass(frozen=True, slots=True, kw_only=True)
class Toolset:
    """A named group of tools."""

    name: str
    description: str = ""
    tools: tuple[Tool, ...] = ()
    includes: tuple[str, ...] = ()
    """Names of other toolsets whose tools belong to it."""


class ToolsetCatalog:
    """Toolsets by name."""

    def __init__(self, toolsets: Iterable[Toolset] = ()) -> None:
        self._toolsets: dict[str, Toolset] = {}
        for toolset in toolsets:
            self.add(toolset)

    @property
    def names(self) -> tuple[str, ...]:
        """The toolsets' names in order."""
        return tuple(self._toolsets)

    def add(self, toolset: Toolset) -> None:
        """Add a toolset.

        Raises:
            DuplicateToolError: the name is taken.
        """
        if toolset.name in self._toolsets:
            raise DuplicateToolError(f"two toolsets are named {toolset.name!r}; rename one of them")
        self._toolsets[toolset.name] = toolset

    def registry(self, *names: str) -> ToolRegistry:
        """Return a registry with the tools of some toolsets, each once, in order.

        Raises:
            UnknownToolsetError: a name is no toolset's; the message lists them.
            DuplicateToolError: two different tools have one name.
        """
        found: list[Tool] = []
        for name in names:
            found += [entry for entry in self._resolve(name, set()) if entry not in found]
        return ToolRegistry(found, toolsets=names)

    def _resolve(self, name: str, seen: set[str]) -> list[Tool]:
        """Return a toolset's tools and those of what it includes; circles are no harm."""
        if name not in self._toolsets:
            known = ", ".join(self._toolsets) or "(none)"
            raise UnknownToolsetError(f"there is no toolset {name!r}; the toolsets are: {known}")
        if name in seen:
            return []
        seen.add(name)
        toolset = self._toolsets[name]
        included = [entry for other in toolset.includes for entry in self._resolve(other, seen)]
        return [*toolset.tools, *(entry for entry in included if entry not in toolset.tools)]


class ToolsetDistribution:
    """Draws toolsets: each is in with its own probability, independently of the others."""

    def __init__(self, probabilities: Mapping[str, float]) -> None:
        """Probabilities lie between 0 and 1 and need not sum to anything."""
        if not probabilities:
            raise ValueError("a distribution needs at least one toolset")
        for name, probability in probabilities.items():
            if not 0.0 <= probability <= 1.0:
                raise ValueError(
                    f"the probability of {name!r} is {probability}, not between 0 and 1"
                )
        self.probabilities = dict(probabilities)

    def draw(self, seed: int | str) -> tuple[str, ...]:
        """Return the toolsets of one group, in the order given; never none.

        When the dice leave all out, the most probable one is in. The same seed gives the same
        toolsets in every process and on every machine.
        """
        dice = random.Random(f"treadle toolsets {seed}")
        rolls = {name: dice.random() for name in self.probabilities}
        drawn = tuple(name for name, roll in rolls.items() if roll < self.probabilities[name])
        if drawn:
            return drawn
        return (max(self.probabilities, key=lambda name: self.probabilities[name]),)


def standard_toolsets() -> ToolsetCatalog:
    """Return the ready toolsets: `terminal`, `file`, `python`, and `standard` with all of them."""
    return ToolsetCatalog(
        [
            Toolset(
                name="terminal",
                description="Shell commands, in the foreground and the background.",
                tools=(terminal_tool, process_tool),
            ),
            Toolset(
                name="file",
                description="Reading, writing, changing and searching files.",
                tools=(read_file_tool, write_file_tool, patch_tool, search_files_tool),
            ),
            Toolset(
                name="python",
                description="A Python interpreter that keeps its variables.",
                tools=(python_session_tool,),
            ),
            Toolset(
                name="standard",
                description="All of the others.",
                includes=("terminal", "file", "python"),
            ),
        ]
    )
