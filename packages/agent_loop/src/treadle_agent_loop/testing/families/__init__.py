"""Hand-written chat templates in the manner of well-known model families, one family a module."""

from collections.abc import Mapping

from treadle_agent_loop.testing.families import (
    deepseek_v3,
    deepseek_v31,
    glm45,
    granite,
    harmony,
    hermes,
    kimi_k2,
    llama3,
    minimax,
    mistral,
    phi4,
    qwen3,
    qwen3_coder,
)
from treadle_agent_loop.testing.families.base import Family

__all__ = ["FAMILIES", "Family"]

FAMILIES: Mapping[str, Family] = {
    family.name: family
    for family in (
        hermes.FAMILY,
        qwen3.FAMILY,
        qwen3_coder.FAMILY,
        llama3.FAMILY,
        mistral.FAMILY,
        deepseek_v3.FAMILY,
        deepseek_v31.FAMILY,
        kimi_k2.FAMILY,
        glm45.FAMILY,
        harmony.FAMILY,
        phi4.FAMILY,
        granite.FAMILY,
        minimax.FAMILY,
    )
}
"""All of them, by name."""
