"""Sandbox servers as instances of Apptainer or Singularity on this machine.

Many on one node: each server listens on a port of its own choice and writes it to a file in the
instance's folder, which is bound into it; by name and folder another driver finds it again. Works
as an ordinary user, and so inside a Slurm allocation. spython lists and stops instances; it can't
say why one didn't start, so starting is done here.
"""

import asyncio
import contextlib
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any, cast

from treadle_sandbox.config import SingularityConfig
from treadle_sandbox.errors import BackendStateError, ServerError, ServerStartError
from treadle_sandbox.pool.boundary import finish
from treadle_sandbox.pool.command import TOKEN_VARIABLE, server_options
from treadle_sandbox.pool.provider import ServerAddress
from treadle_sandbox.singularity.images import build_image
from treadle_sandbox.singularity.program import find_program, run_program

_START_SECONDS = 60.0
_STOP_SECONDS = 10
_INSIDE = "/run/treadle-server"
_LOG_TAIL = 2_000
_POLL = 0.05
_CAPABILITIES = (
    *("CAP_SYS_ADMIN", "CAP_NET_ADMIN", "CAP_SETUID", "CAP_SETGID", "CAP_SETPCAP", "CAP_KILL"),
    *("CAP_CHOWN", "CAP_FOWNER", "CAP_DAC_OVERRIDE", "CAP_MKNOD", "CAP_SYS_CHROOT"),
)
"""What root's server builds slots with; no slot has any."""


class SingularityProvider:
    """Starts and ends one pool's instances."""

    kind = "singularity"

    def __init__(self, config: SingularityConfig) -> None:
        self._config = config
        self._program = ""
        self._image: Path | None = None
        self._temporary: str | None = None
        self._folder: Path | None = None

    async def start(self) -> None:
        """Find the program and the image; build the image when none is named.

        Raises:
            ServerStartError: no program, no image, or the build failed.
        """
        self._program = find_program(self._config.executable)
        if shutil.which("singularity") is None:
            raise ServerStartError(
                f"spython looks for the name `singularity` on PATH: link it to {self._program}"
            )
        state = self._config.state
        if state is None:
            self._temporary = tempfile.mkdtemp(prefix="treadle-instances-")
            state = Path(self._temporary)
        self._folder = state / "instances"
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._image = self._config.image or await self._build(state)
        if not self._image.exists():
            raise ServerStartError(f"no image {self._image}: build it, or leave `image` out")

    async def _build(self, state: Path) -> Path:
        target = state / "treadle-sandbox.sif"
        if not target.exists():
            await build_image(
                target,
                definition=self._config.definition,
                executable=self._program,
                fakeroot=self._config.fakeroot,
            )
        return target

    def _place(self, name: str) -> Path:
        if self._folder is None:
            raise BackendStateError("the provider isn't started")
        return self._folder / name

    async def create(self, name: str, token: str) -> ServerAddress:
        """Start an instance and wait for its port."""
        place = self._place(name)
        place.mkdir(mode=0o700)
        try:
            await self._start(name, token, place)
            while (address := _read(place / "address")) == "":
                reason = await self.failure(name)
                if reason is not None:
                    raise ServerStartError(f"instance {name}: {reason}")
                await asyncio.sleep(_POLL)
        except BaseException:
            await finish(self.remove(name))
            raise
        return ServerAddress(name=name, url=f"http://{address}", token=token)

    async def _start(self, name: str, token: str, place: Path) -> None:
        # An overlay over the instance's root, some of whose mounts a user namespace can't lift.
        root = "image" if _is_root() else "minimal"
        serve = ("serve", "--host", "127.0.0.1", "--port", "0", "--root", root)
        options = (*serve, "--port-file", f"{_INSIDE}/address", *server_options(self._config))
        argv = (self._program, "instance", "start", *self._options(place), str(self._image), name)
        # Not an option of the command line, which everybody here can read.
        prefixes = ("APPTAINERENV_", "SINGULARITYENV_")
        secret = {f"{prefix}{TOKEN_VARIABLE}": token for prefix in prefixes}
        environment = {**os.environ, **secret}
        await run_program([*argv, *options], timeout=_START_SECONDS, environment=environment)
        found = await self._find(name)
        if found is not None:
            (place / "log").write_text(found.get("logErrPath") or "", encoding="utf-8")

    def _options(self, place: Path) -> list[str]:
        config = self._config
        options = ["--containall", "--no-home", "--writable-tmpfs", "--bind", "/dev"]
        options += ["--bind", f"{place}:{_INSIDE}"]
        for bind in config.binds:
            options += ["--bind", bind]
        options += ["--memory", f"{config.memory_mb}M"] if config.memory_mb else []
        options += ["--cpus", f"{config.cpus:g}"] if config.cpus else []
        options += ["--add-caps", ",".join(_CAPABILITIES)] if _is_root() else []
        options += ["--fakeroot"] if config.fakeroot else []
        options += ["--nv"] if config.nv else []
        return [*options, *config.options]

    async def _instances(self) -> list[dict[str, Any]]:
        """Return this user's instances as the program lists them."""
        client = await asyncio.to_thread(_client)
        try:
            rows: Any = await asyncio.to_thread(client.instances, quiet=True, return_json=True)
        except (OSError, ValueError) as error:
            raise ServerError(f"the instances can't be listed: {error}") from error
        return cast("list[dict[str, Any]]", rows) if isinstance(rows, list) else []

    async def _find(self, name: str) -> dict[str, Any] | None:
        rows = await self._instances()
        return next((row for row in rows if row["instance"] == name), None)

    async def remove(self, name: str) -> None:
        """Stop an instance, kindly at first, and delete its folder."""
        place = self._place(name)
        if (found := await self._find(name)) is not None:
            patience = _STOP_SECONDS if _has_children(int(found["pid"])) else 1
            client = await asyncio.to_thread(_client)
            instance = client.instance(found["img"], name=name, start=False, quiet=True)
            await asyncio.to_thread(instance.stop, name=name, timeout=patience)
            if await self._find(name) is not None:
                raise ServerError(f"instance {name} doesn't stop")
        log = _read(place / "log")
        for path in (log, log.removesuffix(".err") + ".out") if log else ():
            with contextlib.suppress(OSError):
                Path(path).unlink()
        await asyncio.to_thread(shutil.rmtree, place, ignore_errors=True)

    async def find(self) -> tuple[str, ...]:
        """Return the names of this pool's instances and of the folders of those that died."""
        begin = f"{self._config.name}-"
        names = {row["instance"] for row in await self._instances()}
        if self._folder is not None:
            names |= {path.name for path in self._folder.iterdir()}
        return tuple(sorted(name for name in names if name.startswith(begin)))

    async def address(self, name: str, token: str) -> ServerAddress | None:
        """Return the address of a running instance's server."""
        address = _read(self._place(name) / "address")
        if not address or await self._find(name) is None:
            return None
        return ServerAddress(name=name, url=f"http://{address}", token=token)

    async def failure(self, name: str) -> str | None:
        """Return the end of a dead instance's log; None while it runs.

        An instance outlives its server: its first process stays, without children.
        """
        found = await self._find(name)
        if found is not None and _has_children(int(found["pid"])):
            return None
        log = _read(self._place(name) / "log")
        text = _read(Path(log))[-_LOG_TAIL:].strip() if log else ""
        return f"the instance ended: {text}" if text else "the instance is gone"

    async def aclose(self) -> None:
        """Forget the instances; those of a temporary folder end."""
        if self._temporary is None:
            return
        for name in await self.find():
            await self.remove(name)
        await asyncio.to_thread(shutil.rmtree, self._temporary, ignore_errors=True)
        self._temporary = None


def _is_root() -> bool:
    return os.geteuid() == 0


def _has_children(process: int) -> bool:
    """Return whether a process has children; true when it can't be told."""
    try:
        lists = [task / "children" for task in Path(f"/proc/{process}/task").iterdir()]
        return any(path.read_text(encoding="ascii") for path in lists)
    except FileNotFoundError:
        return False
    except OSError:
        return True


def _client() -> Any:
    from spython.main import get_client

    return get_client(quiet=True)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""
