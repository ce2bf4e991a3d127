"""Modal profiles: one `ModalConfig` for each kind of sandbox a program uses.

A profile takes each field from the first source that names it: the file (YAML, JSON or TOML, below
`profiles`), the variable `TREADLE_MODAL_PROFILE_<NAME>_<FIELD>`, the variable
`TREADLE_MODAL_<FIELD>`, and the `base` configuration. The profile `default` always exists. The
variables are passed in; this module reads no environment.
"""

import dataclasses
import difflib
import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from treadle_sandbox.config import ModalConfig
from treadle_sandbox.errors import ConfigError

_PREFIX = "TREADLE_MODAL_"
_PROFILE = f"{_PREFIX}PROFILE_"
_FIELDS = (
    "image",
    "gpu",
    "cpu",
    "memory",
    "secrets",
    "env",
    "workdir",
    "regions",
    "mode",
    "app_name",
    "slots_per_container",
    "min_containers",
    "max_containers",
    "idle_timeout",
    "max_lifetime",
    "expiry_margin",
    "creations_per_second",
    "min_isolation",
)
"""What a profile may set. Longer names stand for themselves in the names of variables."""


def load_profiles(
    file: Path | None = None,
    *,
    variables: Mapping[str, str] | None = None,
    base: ModalConfig | None = None,
) -> dict[str, ModalConfig]:
    """Return the profiles of a file and of variables, by name.

    Raises:
        ConfigError: a file that can't be read, an unknown field, a value of the wrong type.
    """
    variables = variables or {}
    start = base or ModalConfig()
    named = _read(file) if file is not None else {}
    common = _from_variables(variables, _PREFIX)
    own = {name: _from_variables(variables, f"{_PROFILE}{_shout(name)}_") for name in named}
    for name in _names_in(variables):
        own.setdefault(name, _from_variables(variables, f"{_PROFILE}{_shout(name)}_"))
    profiles: dict[str, ModalConfig] = {}
    for name in dict.fromkeys(("default", *named, *own)):
        fields = {**common, **own.get(name, {}), **named.get(name, {})}
        profiles[name] = dataclasses.replace(start, profile=name, **_convert(name, fields))
    return profiles


def _shout(name: str) -> str:
    return name.upper().replace("-", "_")


def _from_variables(variables: Mapping[str, str], prefix: str) -> dict[str, Any]:
    found = {field: variables.get(f"{prefix}{field.upper()}") for field in _FIELDS}
    return {field: value for field, value in found.items() if value is not None}


def _names_in(variables: Mapping[str, str]) -> set[str]:
    names: set[str] = set()
    for variable in variables:
        if not variable.startswith(_PROFILE):
            continue
        rest = variable.removeprefix(_PROFILE)
        fields = [field for field in _FIELDS if rest.endswith(f"_{field.upper()}")]
        if not fields:
            raise ConfigError(f"{variable} names no field; known: {', '.join(_FIELDS)}")
        field = max(fields, key=len)
        names.add(rest[: -len(field) - 1].lower().replace("_", "-"))
    return names


def _read(file: Path) -> dict[str, dict[str, Any]]:
    try:
        content = _parse(file, file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"the profiles file {file} can't be read: {error}") from error
    table = content.get("profiles") if isinstance(content, dict) else None  # pyright: ignore
    if not isinstance(table, dict):
        raise ConfigError(f"the profiles file {file} holds no table `profiles`")
    profiles: dict[str, dict[str, Any]] = {}
    for name, fields in cast("dict[str, Any]", table).items():
        if not isinstance(fields, dict):
            raise ConfigError(f"profile {name!r} of {file} is no table of fields")
        profiles[name] = cast("dict[str, Any]", fields)
    return profiles


def _parse(file: Path, text: str) -> Any:
    if file.suffix == ".toml":
        return tomllib.loads(text)
    if file.suffix == ".json":
        return json.loads(text)
    import yaml

    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from error


def _convert(profile: str, fields: Mapping[str, Any]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name, value in fields.items():
        if name not in _FIELDS:
            near = difflib.get_close_matches(name, _FIELDS, n=3, cutoff=0.5)
            hint = f"did you mean {', '.join(near)}?" if near else f"known: {', '.join(_FIELDS)}"
            raise ConfigError(f"profile {profile!r} sets {name!r}, which is no field; {hint}")
        try:
            values[name] = _value(name, value)
        except (TypeError, ValueError) as error:
            raise ConfigError(f"profile {profile!r}: {name} is {value!r}: {error}") from error
    return values


def _value(name: str, value: Any) -> Any:
    if name in ("secrets", "regions"):
        parts = value.split(",") if isinstance(value, str) else value
        return tuple(str(part).strip() for part in parts if str(part).strip())
    if name == "env":
        if not isinstance(value, str):
            return {str(key): str(item) for key, item in value.items()}
        pairs = [pair.partition("=") for pair in value.split(";") if pair.strip()]
        return {key.strip(): item for key, _, item in pairs}
    if name in ("memory", "slots_per_container", "min_containers", "max_containers"):
        return int(value)
    if name in ("cpu", "idle_timeout", "max_lifetime", "expiry_margin", "creations_per_second"):
        return float(value)
    return value if value is None else str(value)
