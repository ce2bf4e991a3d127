"""One typed configuration per backend; `treadle_sandbox.factory` makes the backend of one.

`LocalConfig` describes slots of this machine, the others a pool of sandbox servers: `DockerConfig`,
`SingularityConfig`, `NomadConfig`, `ModalConfig` and `ProcessConfig` share the fields of
`PoolConfig`. Times are in seconds. Values are checked when a configuration is made; a wrong or
contradictory one raises ConfigError with the field's name. Nothing is read from the environment.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from treadle_sandbox.errors import ConfigError
from treadle_sandbox.network.policy import Policy
from treadle_sandbox.records import Limits
from treadle_sandbox.validation import (
    check_level,
    require_choice,
    require_not_negative,
    require_positive,
)

if TYPE_CHECKING:
    from treadle_sandbox.backend import Backend

_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?")


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotConfig:
    """What every slot is like, on each backend."""

    network: bool | tuple[str, ...] = False
    """Whether commands reach the network; or the rules of what they may reach, see
    `treadle_sandbox.network.policy`.
    """
    min_isolation: str = "namespaces"
    """The weakest isolation that is accepted inside a server: a member of `Isolation`, or `auto`.
    """
    limits: Limits = field(default_factory=Limits)
    allow_root: bool = False
    """Whether commands may run as root of the slot, for package installs."""
    env: Mapping[str, str] = field(default_factory=dict[str, str])
    """Added to the environment of every command."""
    acquire_timeout: float = 30.0
    """How long `ToolBackend.acquire` waits for a slot."""
    command_timeout: float = 30.0
    """How long a command of `ToolBackend.execute_batch` may take when it names no timeout."""

    def __post_init__(self) -> None:
        check_level(self.min_isolation)
        require_positive(self, "acquire_timeout", "command_timeout")
        if not isinstance(self.network, bool):
            try:
                Policy(self.network)
            except ConfigError as error:
                raise ConfigError(f"network: {error}") from error


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalConfig(SlotConfig):
    """Slots of this machine, without a server."""

    slots: int = 8
    exclude: tuple[str, ...] = ()
    """Isolation levels that aren't tried."""
    read_only: tuple[Path, ...] = ()
    """Paths of this machine that slots may read at the same place."""
    python: Path | None = None
    """The interpreter of the slots; by default the one that runs this program."""
    root: Literal["minimal", "image"] = "minimal"
    """What the slots' file system shows: little, or this machine's whole own one."""
    hidden: tuple[Path, ...] = ()
    """Paths that slots with the root `image` don't see."""
    snapshot_bytes: int = 1 << 30
    """What all snapshots together may hold, in memory."""
    start_timeout: float = 20.0

    def __post_init__(self) -> None:
        SlotConfig.__post_init__(self)
        require_positive(self, "slots", "start_timeout", "snapshot_bytes")
        require_choice(self, "root", ("minimal", "image"))
        for level in self.exclude:
            check_level(level)


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolConfig(SlotConfig):
    """A pool of sandbox servers ("containers"), each with a number of slots."""

    name: str = "treadle"
    """Names the pool. Drivers that give the same name and secret share its servers."""
    slots_per_container: int = 10
    min_containers: int = 1
    """How many stay ready when nobody uses them."""
    max_containers: int = 10
    creations_per_second: float = 4.0
    """How many servers may be created in a second, after a first burst of as many."""
    max_starting: int = 8
    """How many servers may be starting at one time."""
    start_timeout: float = 120.0
    """How long a server may take from its creation to its first healthy answer."""
    prepare_timeout: float = 1800.0
    """How long the platform may take at the start of the pool: it may build or fetch an image."""
    provider_timeout: float = 60.0
    """The longest that another call of the platform may take."""
    health_check_interval: float = 5.0
    health_timeout: float = 5.0
    quarantine_after: int = 3
    """Failed health checks in a row after which a server gets no new leases."""
    remove_after: int = 6
    """Failed health checks in a row after which it is removed and its leases are lost."""
    idle_timeout: float = 120.0
    """How long a server above `min_containers` stays without a lease."""
    lease_lifetime: float = 60.0
    """A lease whose driver is silent for so long is closed by its server. Renewed meanwhile."""
    idle_exit: float = 600.0
    """A server that hears of no driver for so long ends itself. 0: never."""
    expiry_margin: float = 120.0
    """How long before its platform ends a server it is drained and replaced."""
    purge_on_start: bool = False
    """Whether servers of this pool that exist already are ended instead of taken over."""
    purge_on_shutdown: bool = True
    """Whether servers are ended with the pool, unless another driver has leases there."""
    secret: str | None = field(default=None, repr=False)
    """What the servers' tokens are derived from. By default a random one, kept in `state`."""
    state: Path | None = None
    """Folder for the secret (mode 0600), so that a new driver can take the servers over. Neither
    this nor `secret`: the pool can't be taken over.
    """

    def __post_init__(self) -> None:
        SlotConfig.__post_init__(self)
        if not _NAME.fullmatch(self.name):
            raise ConfigError(
                f"name: {self.name!r} must be 1 to 40 of a-z, 0-9 and -, and end in neither"
            )
        require_positive(
            self,
            "slots_per_container",
            "max_containers",
            "creations_per_second",
            "max_starting",
            "start_timeout",
            "prepare_timeout",
            "provider_timeout",
            "health_check_interval",
            "health_timeout",
            "quarantine_after",
            "remove_after",
            "idle_timeout",
            "lease_lifetime",
        )
        require_not_negative(self, "min_containers", "idle_exit", "expiry_margin")
        if self.min_containers > self.max_containers:
            raise ConfigError(
                f"min_containers is {self.min_containers}, above max_containers, which is "
                f"{self.max_containers}"
            )
        if 0 < self.idle_exit < 2 * self.health_check_interval:
            raise ConfigError(
                f"idle_exit is {self.idle_exit:g}: servers hear of their driver every "
                f"{self.health_check_interval:g} s (health_check_interval); give twice that or more"
            )
        if self.quarantine_after > self.remove_after:
            raise ConfigError(
                f"quarantine_after is {self.quarantine_after}, above remove_after, which is "
                f"{self.remove_after}"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessConfig(PoolConfig):
    """Sandbox servers as processes of this machine: one that crashes takes only its own slots."""

    command: tuple[str, ...] = ()
    """The server's command, by default this interpreter with `treadle-sandbox serve`."""
    max_containers: int = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class DockerConfig(PoolConfig):
    """Sandbox servers as containers of a Docker engine."""

    image: str = "treadle-sandbox:local"
    dockerfile: Path | None = None
    """Builds `image` from this file instead of the shipped one."""
    build_context: Path | None = None
    auto_build: bool = True
    """Whether an image with the tag `local` that isn't there is built."""
    pull: Literal["missing", "always", "never"] = "missing"
    host: str | None = None
    """Address of the engine; by default its own."""
    publish_address: str = "127.0.0.1"
    """Address of this machine at which the servers' ports appear."""
    memory_mb: int | None = None
    cpus: float | None = None
    pids_limit: int | None = 4096
    volumes: Mapping[str, str] = field(default_factory=dict[str, str])
    """Host path to `/path/inside:ro` or `/path/inside:rw`."""
    labels: Mapping[str, str] = field(default_factory=dict[str, str])
    runtime: str | None = None
    """An engine's runtime by name, for example `runsc`."""
    capabilities: tuple[str, ...] = ("SYS_ADMIN", "NET_ADMIN")
    """What the server may do in its container, by Docker's names; slots have none of it. With these
    two, slots begin with the whole image. With none, user namespaces build them, and they see the
    image's system folders alone.
    """
    seccomp_profile: Path | None = None
    """Replaces the shipped profile, which lets the server build namespaces."""

    def __post_init__(self) -> None:
        PoolConfig.__post_init__(self)
        require_choice(self, "pull", ("missing", "always", "never"))
        require_positive(self, "memory_mb", "cpus", "pids_limit")


@dataclass(frozen=True, slots=True, kw_only=True)
class SingularityConfig(PoolConfig):
    """Sandbox servers as Apptainer or Singularity instances of this machine."""

    image: Path | None = None
    """A `.sif` file or a sandbox folder; by default built from `definition`."""
    definition: Path | None = None
    """Replaces the shipped definition file."""
    executable: str | None = None
    """`apptainer` or `singularity`; by default the one that is found."""
    binds: tuple[str, ...] = ()
    """`host path:path inside[:ro]`."""
    options: tuple[str, ...] = ()
    """More options of `instance start`."""
    memory_mb: int | None = None
    cpus: float | None = None
    fakeroot: bool = False
    nv: bool = False
    """Whether the machine's NVIDIA driver is visible inside."""

    def __post_init__(self) -> None:
        PoolConfig.__post_init__(self)
        require_positive(self, "memory_mb", "cpus")


@dataclass(frozen=True, slots=True, kw_only=True)
class NomadConfig(PoolConfig):
    """Sandbox servers as jobs of a Nomad cluster."""

    address: str = "http://127.0.0.1:4646"
    token: str | None = field(default=None, repr=False)
    namespace: str = "default"
    region: str | None = None
    datacenters: tuple[str, ...] = ("dc1",)
    job_id: str | None = None
    """Begins the ids of the jobs; by default the pool's name."""
    driver: Literal["docker", "singularity"] = "docker"
    image: str = "treadle-sandbox:local"
    singularity_image: str | None = None
    """Path of the `.sif` file on the nodes, for the driver `singularity`."""
    cpu: int = 500
    """MHz of a server."""
    memory: int = 512
    """MB of a server."""
    force_pull: bool = False
    constraints: Mapping[str, str] = field(default_factory=dict[str, str])
    """Attribute to wanted value, for example `${node.class}` to `gpu`."""
    restart_attempts: int = 3
    restart_interval: float = 300.0
    restart_delay: float = 10.0
    http_timeout: float = 30.0
    purge_job_on_start: bool = False
    """Whether servers that exist already are ended instead of taken over."""
    purge_job_on_shutdown: bool = True
    verify: bool | str = True
    """Whether the agent's certificate is checked, or the file with its authority."""

    def __post_init__(self) -> None:
        PoolConfig.__post_init__(self)
        require_choice(self, "driver", ("docker", "singularity"))
        require_positive(self, "cpu", "memory", "restart_interval", "restart_delay", "http_timeout")
        require_not_negative(self, "restart_attempts")
        if self.driver == "singularity" and not self.singularity_image:
            raise ConfigError(
                "driver is 'singularity': give singularity_image, a path on the nodes"
            )
        if self.driver == "docker" and self.singularity_image:
            raise ConfigError("singularity_image is given, but driver is 'docker'")


@dataclass(frozen=True, slots=True, kw_only=True)
class ModalConfig(PoolConfig):
    """Sandbox servers as Modal sandboxes, or whole Modal sandboxes as slots."""

    mode: Literal["server", "exec"] = "server"
    """`server`: our server in each sandbox, reached through a tunnel. `exec`: one sandbox a lease,
    commands run by Modal itself; for images without Python.
    """
    profile: str = "default"
    """Sandboxes are named `<name>-<profile>-<n>`."""
    app_name: str | None = None
    """Modal app; by default the pool's name and the profile."""
    environment: str | None = None
    token_id: str | None = None
    token_secret: str | None = field(default=None, repr=False)
    image: str = "python:3.11"
    gpu: str | None = None
    cpu: float = 1.0
    memory: int = 2048
    """MB of a sandbox."""
    secrets: tuple[str, ...] = ()
    """Names of Modal secrets whose values the sandbox's own environment gets."""
    regions: tuple[str, ...] = ()
    workdir: str = "/data"
    max_containers: int = 5
    max_lifetime: float = 3600.0
    """How long Modal lets a sandbox live."""
    acquire_timeout: float = 60.0

    def __post_init__(self) -> None:
        PoolConfig.__post_init__(self)
        require_choice(self, "mode", ("server", "exec"))
        require_positive(self, "cpu", "memory", "max_lifetime")
        if not _NAME.fullmatch(self.profile):
            raise ConfigError(f"profile: {self.profile!r} must be 1 to 40 of a-z, 0-9 and -")
        if bool(self.token_id) != bool(self.token_secret):
            raise ConfigError("token_id and token_secret belong together: give both or neither")
        if self.expiry_margin >= self.max_lifetime:
            raise ConfigError(
                f"expiry_margin is {self.expiry_margin:g}, not below max_lifetime, which is "
                f"{self.max_lifetime:g}: every sandbox would be replaced at once"
            )


def backend_from_config(config: "LocalConfig | PoolConfig | Mapping[str, Any]") -> "Backend":
    """Return the backend of a configuration; see `treadle_sandbox.factory`."""
    from treadle_sandbox import factory

    return factory.backend_from_config(config)
