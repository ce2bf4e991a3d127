"""Grade-school maths: the GSM8K data set, a Python tool, answers in a box.

`Gsm8k` knows no trainer. `Gsm8kEnv` and its configuration are loaded on first use, because they
import atroposlib.
"""

from typing import TYPE_CHECKING, Any

from treadle_envs.gsm8k.environment import Gsm8k, Gsm8kConfig
from treadle_envs.gsm8k.prompt import SYSTEM_PROMPT
from treadle_envs.gsm8k.scoring import AnswerScorer

if TYPE_CHECKING:
    from treadle_envs.gsm8k.atropos import Gsm8kEnv, Gsm8kEnvConfig

__all__ = [
    "SYSTEM_PROMPT",
    "AnswerScorer",
    "Gsm8k",
    "Gsm8kConfig",
    "Gsm8kEnv",
    "Gsm8kEnvConfig",
]


def __getattr__(name: str) -> Any:
    if name in {"Gsm8kEnv", "Gsm8kEnvConfig"}:
        from treadle_envs.gsm8k import atropos

        return getattr(atropos, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
