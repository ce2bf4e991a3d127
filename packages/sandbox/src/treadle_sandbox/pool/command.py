"""The command line by which every provider starts its sandbox servers."""

import json
from dataclasses import asdict

from treadle_sandbox.config import PoolConfig
from treadle_sandbox.records import Limits

TOKEN_VARIABLE = "TREADLE_SANDBOX_TOKEN"
"""The environment variable that a server takes its token from, and forgets."""


def server_options(config: PoolConfig) -> tuple[str, ...]:
    """Return the options of `treadle-sandbox serve` that follow from a configuration.

    Host, port and token are the provider's.
    """
    options = [
        "--slots",
        str(config.slots_per_container),
        "--min-isolation",
        config.min_isolation,
        "--lifetime",
        f"{config.lease_lifetime:g}",
    ]
    if config.idle_exit:
        options += ["--idle-exit", f"{config.idle_exit:g}"]
    if config.allow_root:
        options.append("--allow-root")
    if config.network is True:
        options += ["--network", "all"]
    elif config.network:
        options += ["--network", ",".join(config.network)]
    options += [f"--limit={name}={value}" for name, value in _changed(config.limits)]
    options += [f"--env={name}={value}" for name, value in sorted(config.env.items())]
    return tuple(options)


def _changed(limits: Limits) -> list[tuple[str, str]]:
    usual = asdict(Limits())
    return [(k, json.dumps(v)) for k, v in asdict(limits).items() if v != usual[k]]
