"""From a configuration to a backend. Modules of extras are imported when they are needed."""

import importlib
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from treadle_sandbox.backend import Backend
from treadle_sandbox.config import (
    DockerConfig,
    LocalConfig,
    ModalConfig,
    NomadConfig,
    PoolConfig,
    ProcessConfig,
    SingularityConfig,
)
from treadle_sandbox.local import LocalBackend
from treadle_sandbox.settings import Config, read_config

_PROVIDERS: dict[type[PoolConfig], tuple[str, str, str]] = {
    ProcessConfig: ("treadle_sandbox.pool.processes", "ProcessProvider", "server"),
    DockerConfig: ("treadle_sandbox.docker", "DockerProvider", "docker"),
    SingularityConfig: ("treadle_sandbox.singularity", "SingularityProvider", "singularity"),
    NomadConfig: ("treadle_sandbox.nomad", "NomadProvider", "nomad"),
    ModalConfig: ("treadle_sandbox.modal", "ModalProvider", "modal"),
}


def backend_from_config(config: Config | Mapping[str, Any]) -> Backend:
    """Return the backend that a configuration, or a mapping with the key `backend`, describes.

    The backend isn't started; enter it.

    Raises:
        ConfigError: an unknown, wrong or contradictory setting; names it.
        ImportError: the backend's extra isn't installed; names it.
    """
    if isinstance(config, Mapping):
        config = read_config(config)
    if isinstance(config, LocalConfig):
        return _local(config)
    if isinstance(config, ModalConfig) and config.mode == "exec":
        return _load("treadle_sandbox.modal", "ModalExecBackend", "modal")(config)
    if isinstance(config, NomadConfig):
        config = replace(
            config,
            purge_on_start=config.purge_on_start or config.purge_job_on_start,
            purge_on_shutdown=config.purge_on_shutdown and config.purge_job_on_shutdown,
        )
    provider = _load(*_PROVIDERS[type(config)])(config)
    backend = _load("treadle_sandbox.pool.backend", "PoolBackend", "client")
    make_connect = _load("treadle_sandbox.pool.remote", "make_connect", "client")
    return backend(provider, config, connect=make_connect(config))


def _local(config: LocalConfig) -> Backend:
    return LocalBackend(
        slots=config.slots,
        min_isolation=config.min_isolation,
        exclude=config.exclude,
        network=config.network,
        limits=config.limits,
        env=config.env,
        read_only=config.read_only,
        python=config.python,
        root=config.root,
        hidden=config.hidden,
        allow_root=config.allow_root,
        snapshot_bytes=config.snapshot_bytes,
        start_timeout=config.start_timeout,
    )


def _load(module: str, name: str, extra: str) -> Any:
    try:
        return getattr(importlib.import_module(module), name)
    except ModuleNotFoundError as error:
        if error.name is not None and error.name.startswith("treadle_sandbox"):
            raise
        raise ImportError(
            f"this backend needs {error.name!r}: install treadle-sandbox[{extra}]"
        ) from error
