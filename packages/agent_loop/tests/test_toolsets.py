import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from treadle_agent_loop import AgentLoop, DuplicateToolError, tool
from treadle_agent_loop.errors import UnknownToolsetError
from treadle_agent_loop.testing import ScriptedModel
from treadle_agent_loop.toolsets import (
    Toolset,
    ToolsetCatalog,
    ToolsetDistribution,
    standard_toolsets,
)

MIX = {"terminal": 0.5, "file": 0.9, "python": 0.1}


@tool
async def one() -> str:
    """Say one."""
    return "1"


@tool
async def two() -> str:
    """Say two."""
    return "2"


def test_the_standard_toolsets_have_the_names_users_know():
    catalog = standard_toolsets()
    assert catalog.names == ("terminal", "file", "python", "standard")
    assert catalog.registry("standard").names == (
        *("terminal", "process", "read_file", "write_file", "patch", "search_files", "python"),
    )
    registry = catalog.registry("file", "terminal", "file")
    assert registry.names == (
        *("read_file", "write_file", "patch", "search_files", "terminal", "process"),
    )
    assert registry.toolsets == ("file", "terminal", "file")


def test_toolsets_include_each_other_even_in_a_circle():
    catalog = ToolsetCatalog(
        [
            Toolset(name="a", tools=(one,), includes=("b",)),
            Toolset(name="b", tools=(two,), includes=("a",)),
        ]
    )
    assert catalog.registry("a").names == ("one", "two")
    assert catalog.registry("b", "a").names == ("two", "one")


def test_what_is_no_toolset_is_refused_with_those_there_are():
    with pytest.raises(UnknownToolsetError, match="'web'; the toolsets are: terminal, file"):
        standard_toolsets().registry("terminal", "web")
    with pytest.raises(DuplicateToolError, match="'terminal'"):
        standard_toolsets().add(Toolset(name="terminal"))
    catalog = ToolsetCatalog([Toolset(name="a", tools=(one, tool(name="one")(two.function)))])
    with pytest.raises(DuplicateToolError, match="'one'"):
        catalog.registry("a")


@given(st.integers())
def test_the_same_seed_draws_the_same_toolsets_and_never_none(seed):
    drawn = ToolsetDistribution(MIX).draw(seed)
    assert drawn == ToolsetDistribution(MIX).draw(seed)
    assert drawn
    assert set(drawn) <= set(MIX)


def test_toolsets_are_drawn_with_their_probabilities_independently():
    draws = [ToolsetDistribution(MIX).draw(seed) for seed in range(4_000)]
    shares = {name: sum(name in drawn for drawn in draws) / len(draws) for name in MIX}
    assert shares["terminal"] == pytest.approx(0.5, abs=0.03)
    assert shares["python"] == pytest.approx(0.1, abs=0.03)
    both = sum({"terminal", "python"} <= set(drawn) for drawn in draws) / len(draws)
    assert both == pytest.approx(0.05, abs=0.02)
    never = ToolsetDistribution({"a": 0.0, "b": 0.0})
    assert never.draw(1) == ("a",)


def test_a_draw_is_the_same_in_another_process():
    code = (
        "from treadle_agent_loop.toolsets import ToolsetDistribution as D;"
        f"print([D({MIX}).draw(s) for s in ('group-7', 7)])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    here = [ToolsetDistribution(MIX).draw(seed) for seed in ("group-7", 7)]
    assert done.stdout.strip() == str(here)


@pytest.mark.parametrize("probabilities", [{}, {"a": 1.5}, {"a": -0.1}])
def test_senseless_distributions_are_refused(probabilities):
    with pytest.raises(ValueError, match=r"distribution|probability"):
        ToolsetDistribution(probabilities)


async def test_the_drawn_toolsets_are_on_the_rollouts_record():
    registry = standard_toolsets().registry(*ToolsetDistribution(MIX).draw("group-1"))
    result = await AgentLoop(ScriptedModel(["done"]), registry).run(
        [{"role": "user", "content": "Go."}]
    )
    assert result.toolsets == registry.toolsets
    assert result.tools == registry.names
