"""From options to the settings of one run: environment, model server, and what stands in for them.

Where nobody named a model server, the embedded model is used, with the problems it was made for
unless the user named other data.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from treadle_envs.atropos.cli import ResolvedSettings, resolve_settings
from treadle_envs.atropos.env import AgentEnv
from treadle_envs.errors import SettingsError
from treadle_envs.serving.options import EmbeddedDefault, RunMode, RunOptions
from treadle_parsers import get_parser

_MANY = 10**9


@dataclass(frozen=True, slots=True, kw_only=True)
class Files:
    """What a run writes, below its folder."""

    out: Path

    @property
    def groups(self) -> Path:
        """What the trainer received."""
        return self.out / "groups.jsonl"

    @property
    def rollouts(self) -> Path:
        """Every scored or failed rollout."""
        return self.out / "rollouts.jsonl"

    @property
    def logs(self) -> Path:
        """Folder of the servers' logs and the run's own."""
        return self.out / "logs"

    def problems(self, split: str) -> Path:
        """The embedded data set's file of a split."""
        return self.out / f"problems-{split}.jsonl"


def configure(
    environment: type[AgentEnv[Any]], options: RunOptions, embedded: EmbeddedDefault
) -> tuple[ResolvedSettings, bool]:
    """Resolve the settings; the second value says whether the embedded model is used.

    Raises:
        SettingsError: a setting is unknown, out of range, or contradicts another.
        UnknownParserError: `tool_call_parser` names no format.
    """
    settings = _resolve(environment, options, _run_defaults(options))
    use_embedded = not settings.server.base_url
    if use_embedded:
        if "tokenizer_name" in options.environment:
            raise SettingsError(
                "a tokenizer was given without a model server: give --model-url as well"
            )
        defaults = _run_defaults(options) | _embedded_defaults(options, embedded)
        settings = _resolve(environment, options, defaults)
    get_parser(settings.config.tool_call_parser)
    return settings, use_embedded


def _resolve(
    environment: type[AgentEnv[Any]], options: RunOptions, defaults: Mapping[str, Any]
) -> ResolvedSettings:
    return resolve_settings(
        environment,
        options.mode.value,
        env=options.environment,
        openai=options.server,
        config_file=options.config,
        defaults=defaults,
    )


def _run_defaults(options: RunOptions) -> dict[str, Any]:
    """What a run of an app wants where nobody says otherwise."""
    files = Files(out=options.out)
    defaults: dict[str, Any] = {"rollout_server_url": options.api_url}
    if options.mode is RunMode.SERVE:
        defaults |= {"total_steps": _MANY, "max_groups": options.groups or -1}
    elif options.mode is RunMode.PROCESS:
        defaults |= {"data_path_to_save_groups": str(files.groups)}
        defaults |= {"total_steps": options.groups} if options.groups else {}
    else:
        defaults |= {"data_dir_to_save_evals": str(options.out)}
        defaults |= {"eval_limit": options.groups} if options.groups else {}
    return defaults


def _embedded_defaults(options: RunOptions, embedded: EmbeddedDefault) -> dict[str, Any]:
    """The embedded model's tokenizer, and its problems where no data is named."""
    files = Files(out=options.out)
    defaults: dict[str, Any] = {"tokenizer_name": str(embedded.tokenizer), "max_token_length": 256}
    if "dataset_name" in options.environment:
        return defaults
    train, held_out = str(files.problems("train")), str(files.problems("test"))
    return {**defaults, "dataset_name": train, "eval_dataset_name": held_out}
