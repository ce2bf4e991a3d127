"""What a run of an environment app was asked to do, as typed data.

Apps fill `RunOptions` from their flags; `treadle_envs.serving.run` carries it out. Nothing here
reads the environment or touches the disk.
"""

import argparse
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from treadle_envs.errors import SettingsError


class RunMode(StrEnum):
    """What to do with the rollouts."""

    SERVE = "serve"
    """Feed a trainer through the trajectory API."""
    PROCESS = "process"
    """Write groups to files; no trainer, no API."""
    EVALUATE = "evaluate"
    """Score the evaluation split and write a report."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddedDefault:
    """The model and the problems that stand in when the user names none.

    An app passes these in, so that this package doesn't depend on the bundled model.
    """

    server_command: tuple[str, ...]
    """Starts the model server on a free port; it prints `listening on URL` once it answers."""
    tokenizer: Path
    """Folder with the model's tokenizer and chat template."""
    write_problems: Callable[[Path, str], None]
    """Writes a JSON-lines data set for the model to a path: split `train` or `test` (held out)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """One run."""

    mode: RunMode
    out: Path
    """Folder for everything the run writes."""
    groups: int | None = None
    """Stop after this many groups (problems, in an evaluation); None: no end of its own."""
    api_url: str = "http://127.0.0.1:8000"
    """Trajectory API; started there when nothing listens."""
    wait_for_trainer: bool = False
    """Never act as the trainer: wait for a real one."""
    plain: bool = False
    """Log lines instead of the live view, even on a terminal."""
    config: Path | None = None
    """YAML file with `env:` and `openai:` maps; flags win over it."""
    environment: Mapping[str, str] = field(default_factory=dict[str, str])
    """Settings of the environment by name (`--env.NAME VALUE`)."""
    server: Mapping[str, str] = field(default_factory=dict[str, str])
    """Settings of the model server by name (`--openai.NAME VALUE`)."""


_ENVIRONMENT_FLAGS = {
    "data": "dataset_name",
    "tokenizer": "tokenizer_name",
    "parser": "tool_call_parser",
    "isolation": "min_isolation",
    "seed": "seed",
}
_SERVER_FLAGS = {"model_url": "base_url", "model": "model_name", "api_key": "api_key"}


def options_from_flags(
    flags: argparse.Namespace, dotted: Mapping[str, dict[str, str]]
) -> RunOptions:
    """Turn an app's parsed flags into options.

    Raises:
        SettingsError: a count below one, or a flag and a dotted setting that contradict each other.
    """
    if flags.groups is not None and flags.groups < 1:
        raise SettingsError(f"--groups {flags.groups}: give a number of groups from 1 up")
    if flags.mode not in tuple(RunMode):
        raise SettingsError(f"{flags.mode!r} is no mode: give {', '.join(RunMode)}")
    name = time.strftime(f"{flags.mode}-%Y%m%d-%H%M%S")
    return RunOptions(
        mode=RunMode(flags.mode),
        out=flags.out or Path("runs") / name,
        groups=flags.groups,
        api_url=flags.api_url,
        wait_for_trainer=flags.wait_for_trainer,
        plain=flags.plain,
        config=flags.config,
        environment=_merged(flags, _ENVIRONMENT_FLAGS, dotted.get("env", {}), "env"),
        server=_merged(flags, _SERVER_FLAGS, dotted.get("openai", {}), "openai"),
    )


def _merged(
    flags: argparse.Namespace, names: Mapping[str, str], dotted: Mapping[str, str], space: str
) -> dict[str, str]:
    settings = dict(dotted)
    for flag, name in names.items():
        value = getattr(flags, flag)
        if value is None:
            continue
        if settings.setdefault(name, str(value)) != str(value):
            raise SettingsError(
                f"--{flag.replace('_', '-')} {value} and --{space}.{name} {settings[name]} "
                "contradict each other: give one of them"
            )
    return settings
