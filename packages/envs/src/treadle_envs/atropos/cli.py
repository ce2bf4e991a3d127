"""The command line of an `AgentEnv`: `serve | process | evaluate` with atroposlib's flag names.

`--env.NAME`, `--openai.NAME` and `--config FILE.yaml` mean what they mean in atroposlib; the order
is flags, then the file, then `config_init()`. Unknown names are refused in the file as on the
command line. Every expected failure ends in one line on stderr and exit code 1 (2 for wrong
settings).
"""

import argparse
import asyncio
import difflib
import json
import logging
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import yaml
from atroposlib.envs.server_handling.server_manager import APIServerConfig
from pydantic import BaseModel, ValidationError

from treadle_envs.atropos.config import AgentEnvConfig
from treadle_envs.errors import SettingsError
from treadle_envs.failures import EXPECTED, error_line
from treadle_envs.stopping import until_stopped

if TYPE_CHECKING:
    from treadle_envs.atropos.env import AgentEnv

ModelT = TypeVar("ModelT", bound=BaseModel)

MODES = ("serve", "process", "evaluate")
_USED_SERVER_FIELDS = frozenset(
    {
        "base_url",
        "model_name",
        "api_key",
        "timeout",
        "num_max_requests_at_once",
        "tokenizer_name",
        "server_type",
        "health_check",
    }
)
_SERVER_TYPES = frozenset({"openai", "vllm"})


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolvedSettings:
    """What flags, file and defaults came to."""

    config: AgentEnvConfig
    server: APIServerConfig


def resolve_settings(
    environment: "type[AgentEnv[Any]]",
    mode: str,
    *,
    env: Mapping[str, Any],
    openai: Mapping[str, Any],
    config_file: Path | None = None,
    defaults: Mapping[str, Any] | None = None,
) -> ResolvedSettings:
    """Merge settings given by name with a YAML file and the class's `config_init()`.

    `defaults` stand in for environment settings that neither the names nor the file give.

    Raises:
        SettingsError: an unknown name, a value out of range, an unreadable file.
    """
    config, servers = environment.config_init()
    from_file = _read_yaml(config_file)
    unknown = sorted(set(from_file) - {"env", "openai"})
    if unknown:
        raise SettingsError(f"{config_file}: {unknown[0]!r} is unknown: use `env:` and `openai:`")
    file_server = from_file.get("openai", {})
    if isinstance(file_server, list):
        file_servers = cast("list[Any]", file_server)
        if len(file_servers) != 1:
            raise SettingsError(f"{config_file}: give one server under `openai:`")
        file_server = file_servers[0]
    standing = {**_for_mode(environment, mode, config), **(defaults or {})}
    changes = {**standing, **from_file.get("env", {}), **env}
    server = {**file_server, **openai}
    _refuse_unused(server)
    return ResolvedSettings(
        config=_merged(config, changes, "env"), server=_merged(servers[0], server, "openai")
    )


def run_cli(environment: "type[AgentEnv[Any]]", argv: Sequence[str] | None = None) -> int:
    """Parse the command line, run the mode, and return the exit status."""
    flags = vars(_parser(environment).parse_args(argv))
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s: %(message)s")
    try:
        settings = resolve_settings(
            environment,
            flags["mode"],
            env=_namespace(flags, "env."),
            openai=_namespace(flags, "openai."),
            config_file=flags.get("config"),
        )
        env = environment(settings.config, [settings.server])
        stopped = asyncio.run(until_stopped(_run(env, flags["mode"])))
        return 0 if stopped is None else 128 + stopped
    except EXPECTED as error:
        print(error_line(error), file=sys.stderr)
        return 2 if isinstance(error, SettingsError) else 1


async def _run(env: "AgentEnv[Any]", mode: str) -> None:
    if mode == "serve":
        await env.env_manager()
    elif mode == "process":
        await env.process_manager()
    else:
        await env.evaluate_manager()


def _parser(environment: "type[AgentEnv[Any]]") -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=environment.__name__, description=environment.__doc__, allow_abbrev=False
    )
    modes = parser.add_subparsers(dest="mode", required=True, metavar="|".join(MODES))
    for mode in MODES:
        flags = modes.add_parser(mode, allow_abbrev=False, argument_default=argparse.SUPPRESS)
        flags.add_argument("--config", type=Path, help="YAML file with `env:` and `openai:`")
        _add_fields(flags, "env.", environment.env_config_cls)
        _add_fields(flags, "openai.", APIServerConfig)
    return parser


def _add_fields(flags: argparse.ArgumentParser, prefix: str, model: type[BaseModel]) -> None:
    for name, field in model.model_fields.items():
        text = f"{field.description or ''} [{field.default}]".strip().replace("%", "%%")
        flags.add_argument(f"--{prefix}{name}", metavar="VALUE", help=text)


def _namespace(flags: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    return {
        name.removeprefix(prefix): None if value in {"None", "none"} else value
        for name, value in flags.items()
        if name.startswith(prefix)
    }


def _for_mode(
    environment: "type[AgentEnv[Any]]", mode: str, config: AgentEnvConfig
) -> dict[str, Any]:
    """Return the defaults that atroposlib changes for `process`."""
    if mode != "process":
        return {}
    path = config.data_path_to_save_groups or f"data/{environment.name or 'groups'}.jsonl"
    return {
        "ensure_scores_are_not_same": False,
        "data_path_to_save_groups": path,
        "write_html": True,
    }


def _refuse_unused(server: Mapping[str, Any]) -> None:
    for name, value in server.items():
        field = APIServerConfig.model_fields.get(name)
        if field is not None and name not in _USED_SERVER_FIELDS and value != field.default:
            raise SettingsError(f"openai.{name} is not used here: leave it out")
    if server.get("server_type", "openai") not in _SERVER_TYPES:
        raise SettingsError(
            f"openai.server_type {server['server_type']!r} is not supported: give openai, with the "
            "URL of the server's OpenAI-compatible API"
        )


def _merged(base: ModelT, changes: Mapping[str, Any], space: str) -> ModelT:
    fields = type(base).model_fields
    for name in changes:
        if name not in fields:
            near = difflib.get_close_matches(name, fields, n=1)
            hint = f": did you mean {space}.{near[0]}?" if near else ""
            raise SettingsError(f"{space}.{name} is no setting{hint}")
    values: dict[str, Any] = {name: getattr(base, name) for name in fields}
    try:
        return type(base)(**{**values, **{n: _decoded(v, values[n]) for n, v in changes.items()}})
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join([space, *(str(part) for part in first["loc"])])
        reason = first["msg"].removeprefix("Value error, ")
        shown = "" if "api_key" in where else f" (given: {first['input']!r})"
        raise SettingsError(f"{where}: {reason}{shown}") from error


def _decoded(value: Any, current: Any) -> Any:
    """Read a list or map that came as text from a flag."""
    if isinstance(value, str) and isinstance(current, list | dict):
        try:
            return json.loads(value)
        except ValueError:
            return value
    return value


def _read_yaml(path: Path | None) -> dict[str, Any]:
    if path is None:
        return {}
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise SettingsError(f"the settings file {path} can't be read: {error}") from error
    if not isinstance(content, dict | None):
        raise SettingsError(f"the settings file {path} is no map: give `env:` and `openai:`")
    return cast("dict[str, Any]", content or {})
