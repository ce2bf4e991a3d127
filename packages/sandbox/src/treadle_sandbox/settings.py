"""From a mapping, as read from a JSON, TOML or YAML file, to a typed configuration.

The key `backend` chooses the class; the other keys are its fields. Lists become tuples, strings
become paths where a field is one, `limits` is a mapping of the fields of `Limits`. A few names of
older configurations are understood too. `profiles` holds, by name, settings that replace others
when `profile` names them.
"""

import difflib
import types
import typing
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from treadle_sandbox.config import (
    DockerConfig,
    LocalConfig,
    ModalConfig,
    NomadConfig,
    PoolConfig,
    ProcessConfig,
    SingularityConfig,
)
from treadle_sandbox.errors import ConfigError
from treadle_sandbox.records import Limits

Config = LocalConfig | PoolConfig

_CLASSES: dict[str, type[Config]] = {
    "local": LocalConfig,
    "processes": ProcessConfig,
    "docker": DockerConfig,
    "singularity": SingularityConfig,
    "nomad": NomadConfig,
    "modal": ModalConfig,
}
_ALIASES = {
    "acquire_timeout_s": "acquire_timeout",
    "execution_timeout_s": "command_timeout",
    "default_timeout_s": "command_timeout",
    "slots_per_sandbox": "slots_per_container",
    "min_sandboxes": "min_containers",
    "max_sandboxes": "max_containers",
    "nomad_address": "address",
    "datacenter": "datacenters",
    "env_vars": "env",
    "workspace_base": "workdir",
}


def read_config(settings: Mapping[str, Any]) -> Config:
    """Return the configuration that a mapping describes.

    Raises:
        ConfigError: a key that is unknown (with near ones), given twice under two names, or with a
            value of the wrong kind; names the key.
    """
    values = dict(settings)
    name = values.pop("backend", None)
    if name not in _CLASSES:
        raise ConfigError(f"backend: {name!r} isn't one of {', '.join(_CLASSES)}")
    kind = _CLASSES[name]
    known = {field.name for field in fields(kind)}
    chosen = _profile(values)
    if chosen is not None and "profile" not in known:
        values.pop("profile", None)
    values = _rename({**values, **(chosen or {})}, known)
    hints = typing.get_type_hints(kind)
    for key in values:
        if key not in known:
            raise ConfigError(f"{key!r} is no setting of the backend {name!r}{_near(key, known)}")
    return kind(**{key: _convert(key, value, hints[key]) for key, value in values.items()})


def _profile(values: dict[str, Any]) -> Mapping[str, Any] | None:
    """Take `profiles` out of the settings and return those of the one that is chosen."""
    profiles = values.pop("profiles", None)
    if profiles is None:
        return None
    if not isinstance(profiles, Mapping):
        raise ConfigError("profiles: must be a mapping from names to settings")
    named = typing.cast("Mapping[str, Any]", profiles)
    chosen = values.get("profile", "default")
    if chosen not in named:
        if chosen == "default":
            return {}
        raise ConfigError(f"profile: no {chosen!r} in profiles{_near(str(chosen), set(named))}")
    if not isinstance(named[chosen], Mapping):
        raise ConfigError(f"profiles: {chosen!r} must be a mapping of settings")
    return named[chosen]


def _rename(values: Mapping[str, Any], known: set[str]) -> dict[str, Any]:
    renamed: dict[str, Any] = {}
    for key, value in values.items():
        name = _ALIASES.get(key, key) if key not in known else key
        if name in renamed:
            raise ConfigError(f"{key!r} and {name!r} are the same setting: give one")
        renamed[name] = value
    return renamed


def _near(key: str, known: set[str]) -> str:
    near = difflib.get_close_matches(key, sorted(known), n=3)
    return f"; did you mean {' or '.join(near)}?" if near else ""


def _convert(key: str, value: Any, hint: Any) -> Any:
    origin = typing.get_origin(hint)
    if origin in (typing.Union, types.UnionType):
        return _convert_union(key, value, typing.get_args(hint))
    if origin is typing.Literal:
        return value
    if origin is tuple:
        return _convert_items(key, value, typing.get_args(hint)[0])
    if hint is Limits:
        return _convert_limits(key, value)
    if hint is Path and isinstance(value, str | Path):
        return Path(value).expanduser()
    if hint is float and isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    kind = Mapping if origin is not None else hint
    if not isinstance(value, kind) or (isinstance(value, bool) and hint is not bool):
        raise ConfigError(f"{key}: {value!r} isn't of the kind {getattr(kind, '__name__', kind)}")
    if isinstance(value, Mapping):
        entries = typing.cast("Mapping[Any, Any]", value)
        return {_convert(key, k, str): _convert(key, v, str) for k, v in entries.items()}
    return value


def _convert_union(key: str, value: Any, hints: tuple[Any, ...]) -> Any:
    if value is None and type(None) in hints:
        return None
    problem: ConfigError | None = None
    for hint in hints:
        if hint is type(None):
            continue
        try:
            return _convert(key, value, hint)
        except ConfigError as error:
            problem = error
    raise problem or ConfigError(f"{key}: {value!r} can't be given")


def _convert_items(key: str, value: Any, hint: Any) -> tuple[Any, ...]:
    if isinstance(value, str):
        value = [value]
    if not isinstance(value, list | tuple):
        raise ConfigError(f"{key}: {value!r} isn't a list")
    items = typing.cast("list[Any]", value)
    return tuple(_convert(key, item, hint) for item in items)


def _convert_limits(key: str, value: Any) -> Limits:
    if isinstance(value, Limits):
        return value
    if not isinstance(value, Mapping):
        raise ConfigError(f"{key}: {value!r} isn't a mapping of limits")
    given = typing.cast("Mapping[str, Any]", value)
    hints = typing.get_type_hints(Limits)
    for name in given:
        if name not in hints:
            raise ConfigError(f"{key}: {name!r} is no limit{_near(name, set(hints))}")
    return Limits(**{k: _convert(f"{key}.{k}", v, hints[k]) for k, v in given.items()})
