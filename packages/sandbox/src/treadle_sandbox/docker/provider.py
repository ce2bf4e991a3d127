"""Sandbox servers as containers of a Docker engine.

Containers carry labels by which another driver finds them. Their server listens on a port that the
engine publishes on one address of this machine. The options let the server build namespaces: our
own system call profile (what containers are refused, apart from namespaces and mounts) and an
unmasked /proc, without which no slot can have a /proc of its own; and the capabilities of the
configuration, which the server uses to build slots and no slot has. Never `--privileged`.
"""

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from docker import errors as docker_errors

from treadle_sandbox.config import DockerConfig
from treadle_sandbox.docker.engine import call, open_engine
from treadle_sandbox.docker.images import ensure_image
from treadle_sandbox.errors import ConfigError, ServerError, ServerStartError
from treadle_sandbox.images import recipe
from treadle_sandbox.pool.boundary import finish
from treadle_sandbox.pool.command import TOKEN_VARIABLE, server_options
from treadle_sandbox.pool.provider import ServerAddress

_PORT = 8717
_POOL, _NAME = "treadle.pool", "treadle.name"
_LOG_TAIL = 2_000
_PORT_SECONDS = 10.0
_IMAGE_NEEDS = frozenset({"SYS_ADMIN", "NET_ADMIN"})


class DockerProvider:
    """Starts and ends one pool's containers."""

    kind = "docker"

    def __init__(self, config: DockerConfig) -> None:
        self._config = config
        self._engine: Any = None
        self._profile = ""

    async def start(self) -> None:
        """Connect to the engine and have the image there.

        Raises:
            ServerStartError: no engine, or no image; with advice.
            ConfigError: the seccomp profile can't be read.
        """
        self._engine = await asyncio.to_thread(open_engine, self._config.host)
        await call(self._engine.ping, "ping")
        self._profile = _read_profile(self._config.seccomp_profile or recipe("seccomp.json"))
        await ensure_image(self._engine, self._config)

    async def create(self, name: str, token: str) -> ServerAddress:
        """Start a container and wait for its published port."""
        try:
            await self._run(name, token)
            async with asyncio.timeout(_PORT_SECONDS):
                while (address := await self.address(name, token)) is None:
                    reason = await self.failure(name)
                    if reason is not None:
                        raise ServerStartError(f"container {name}: {reason}")
                    await asyncio.sleep(0.05)
        except BaseException as error:
            await finish(self.remove(name))
            if isinstance(error, ServerError | TimeoutError):
                raise ServerStartError(f"container {name}: {error or 'no port'}") from error
            raise
        return address

    async def _run(self, name: str, token: str) -> None:
        """Create and start; a thread that is cancelled goes on, so it is awaited to its end."""
        await finish(call(lambda: self._create(name, token), f"create {name}"))
        await finish(call(lambda: self._engine.api.start(name), f"start {name}"))

    def _create(self, name: str, token: str) -> None:
        config, api = self._config, self._engine.api
        host: dict[str, Any] = api.create_host_config(
            port_bindings={_PORT: (config.publish_address, None)},
            cap_add=list(config.capabilities),
            security_opt=[f"seccomp={self._profile}", "apparmor=unconfined"],
            mem_limit=f"{config.memory_mb}m" if config.memory_mb else None,
            nano_cpus=int(config.cpus * 1e9) if config.cpus else None,
            pids_limit=config.pids_limit,
            binds=[f"{source}:{target}" for source, target in config.volumes.items()],
            runtime=config.runtime,
            init=True,
        )
        # What the command line calls `systempaths=unconfined`; the SDK has no word for it.
        host |= {"MaskedPaths": [], "ReadonlyPaths": []}
        # An overlay over the container's root, some of whose mounts a user namespace can't lift.
        root = "image" if set(config.capabilities) >= _IMAGE_NEEDS else "minimal"
        serve = ("serve", "--host", "0.0.0.0", "--port", str(_PORT), "--root", root)
        api.create_container(
            config.image,
            name=name,
            entrypoint=["treadle-sandbox"],
            command=[*serve, *server_options(config)],
            environment={TOKEN_VARIABLE: token},
            labels={**config.labels, _POOL: config.name, _NAME: name},
            ports=[_PORT],
            host_config=host,
        )

    async def remove(self, name: str) -> None:
        """End a container for good; it may be gone already."""

        def work() -> None:
            try:
                self._engine.api.remove_container(name, force=True, v=True)
            except docker_errors.NotFound:
                return
            except docker_errors.APIError as error:
                if "already in progress" not in str(error):
                    raise

        await call(work, f"remove {name}")

    async def find(self) -> tuple[str, ...]:
        """Return the names of this pool's containers, running or not."""
        wanted = {"label": f"{_POOL}={self._config.name}"}
        rows = await call(
            lambda: self._engine.api.containers(all=True, filters=wanted), "list containers"
        )
        return tuple(sorted(row["Labels"][_NAME] for row in rows))

    async def address(self, name: str, token: str) -> ServerAddress | None:
        """Return where a running container's server is published."""
        found = await self._inspect(name)
        if found is None or not found["State"]["Running"]:
            return None
        ports: Mapping[str, Any] = found["NetworkSettings"]["Ports"] or {}
        bindings: list[dict[str, str]] = ports.get(f"{_PORT}/tcp") or []
        if not bindings:
            return None
        host = self._config.publish_address
        host = "127.0.0.1" if host in ("", "0.0.0.0") else host
        url = f"http://{f'[{host}]' if ':' in host else host}:{bindings[0]['HostPort']}"
        return ServerAddress(name=name, url=url, token=token)

    async def failure(self, name: str) -> str | None:
        """Return how a container ended and the end of its log; None while it runs."""
        found = await self._inspect(name)
        if found is None:
            return "the container is gone"
        state = found["State"]
        if state["Running"] or state["Status"] == "created":
            return None
        reason = f"it ended with status {state['ExitCode']}"
        if state.get("OOMKilled"):
            reason = "it ran out of memory; raise memory_mb"
        elif state.get("Error"):
            reason = str(state["Error"])
        log = await call(lambda: self._engine.api.logs(name, tail=20), f"log of {name}")
        text = log.decode("utf-8", "replace")[-_LOG_TAIL:].strip()
        return f"{reason}: {text}" if text else reason

    async def _inspect(self, name: str) -> dict[str, Any] | None:
        def work() -> dict[str, Any] | None:
            try:
                return self._engine.api.inspect_container(name)
            except docker_errors.NotFound:
                return None

        return await call(work, f"inspect {name}")

    async def aclose(self) -> None:
        """Close the connection to the engine; containers stay."""
        if self._engine is not None:
            await asyncio.to_thread(self._engine.close)


def _read_profile(path: Path) -> str:
    """Return a system call profile as the engine takes it: its text, not its path."""
    try:
        return json.dumps(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise ConfigError(f"seccomp_profile {path} can't be read as JSON: {error}") from error
