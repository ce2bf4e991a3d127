"""What a run of an environment app was asked to do, as typed data.

Apps fill `RunOptions` from their flags; `treadle_envs.serving.run` carries it out. Nothing here reads the
environment or touches the disk.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path


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
    model: str
    """The model's name on that server."""
    tokenizer: Path
    """Folder with the model's tokenizer and chat template."""
    write_problems: Callable[[Path], None]
    """Writes a JSON-lines data set that the model was trained for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """One run."""

    mode: RunMode
    out: Path
    """Folder for everything the run writes."""
    groups: int | None = None
    """Stop after this many groups; None serves until stopped."""
    data: str | None = None
    """A JSON-lines file or a data-set name; None takes the embedded problems with the embedded
    model, and the environment's own data set with any other."""
    api_url: str = "http://127.0.0.1:8000"
    """Trajectory API; started there when nothing listens."""
    wait_for_trainer: bool = False
    """Never act as the trainer: wait for a real one."""
    env_file: Path = Path(".env")
    plain: bool = False
    """Log lines instead of the live view, even on a terminal."""
    environment: Mapping[str, str] = field(default_factory=dict[str, str])
    """Settings of the environment by name (`--env.NAME VALUE`)."""
    server: Mapping[str, str] = field(default_factory=dict[str, str])
    """Settings of the model server by name (`--openai.NAME VALUE`)."""
    config: Path | None = None
    """YAML file with `env:` and `openai:` maps; flags win over it."""
