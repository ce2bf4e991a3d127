"""Agentic RL environments with tools and sandboxes, on Atropos and beyond it.

This is the core, which knows no trainer: environments, groups of rollouts, evaluation, recording.
`treadle_envs.atropos` adapts it to Atropos, `treadle_envs.gsm8k` is an environment. Names load on
first use, so that an app's `--help` doesn't wait for HTTP clients and settings models.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from treadle_envs.config import EnvironmentConfig, ModelMode
    from treadle_envs.environment import Environment
    from treadle_envs.errors import EnvsError, GroupLostError
    from treadle_envs.evaluation import EvaluationReport, evaluate_items
    from treadle_envs.group import GroupRunner
    from treadle_envs.models import ModelOptions, open_model
    from treadle_envs.observer import NullObserver, Observer, Observers
    from treadle_envs.recording import JsonLines, RolloutRecorder
    from treadle_envs.records import (
        FailedRollout,
        Item,
        LossReason,
        ScoredGroup,
        ScoredRollout,
    )
    from treadle_envs.sandboxes import local_backend
    from treadle_envs.settings import ModelSettings, read_model_settings

_HOMES = {
    "Environment": "environment",
    "EnvironmentConfig": "config",
    "EnvsError": "errors",
    "EvaluationReport": "evaluation",
    "FailedRollout": "records",
    "GroupLostError": "errors",
    "GroupRunner": "group",
    "Item": "records",
    "JsonLines": "recording",
    "LossReason": "records",
    "ModelMode": "config",
    "ModelOptions": "models",
    "ModelSettings": "settings",
    "NullObserver": "observer",
    "Observer": "observer",
    "Observers": "observer",
    "RolloutRecorder": "recording",
    "ScoredGroup": "records",
    "ScoredRollout": "records",
    "evaluate_items": "evaluation",
    "local_backend": "sandboxes",
    "open_model": "models",
    "read_model_settings": "settings",
}

__all__ = [
    "Environment",
    "EnvironmentConfig",
    "EnvsError",
    "EvaluationReport",
    "FailedRollout",
    "GroupLostError",
    "GroupRunner",
    "Item",
    "JsonLines",
    "LossReason",
    "ModelMode",
    "ModelOptions",
    "ModelSettings",
    "NullObserver",
    "Observer",
    "Observers",
    "RolloutRecorder",
    "ScoredGroup",
    "ScoredRollout",
    "evaluate_items",
    "local_backend",
    "open_model",
    "read_model_settings",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
