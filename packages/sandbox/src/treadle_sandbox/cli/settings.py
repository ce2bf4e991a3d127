"""From the options of a subcommand to a backend."""

import argparse
import json
import tomllib
from pathlib import Path
from typing import Any

from treadle_sandbox.backend import Backend
from treadle_sandbox.config import backend_from_config
from treadle_sandbox.errors import ConfigError


def make_backend(options: argparse.Namespace, **defaults: Any) -> Backend:
    """Return the backend that `--config`, `--backend` and `--set` name, later ones winning.

    Raises:
        ConfigError: a file that can't be read as JSON or TOML, or a setting without a value.
    """
    settings = {**defaults, **(_read(options.config) if options.config else {})}
    if options.backend:
        settings["backend"] = options.backend
    for word in options.settings:
        name, equals, value = word.partition("=")
        if not (name and equals):
            raise ConfigError(f"--set {word!r}: write NAME=VALUE")
        settings[name] = _value(value)
    return backend_from_config({"backend": "local", **settings})


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _read(path: Path) -> dict[str, Any]:
    try:
        data = path.read_bytes()
        read = tomllib.loads(data.decode()) if path.suffix == ".toml" else json.loads(data)
    except (OSError, ValueError) as error:
        raise ConfigError(f"can't read the settings in {path}: {error}") from error
    if not isinstance(read, dict):
        raise ConfigError(f"{path} holds no table of settings")
    return read  # pyright: ignore[reportUnknownVariableType]
