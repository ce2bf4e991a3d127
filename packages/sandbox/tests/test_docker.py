"""Pools over containers of a real Docker engine.

`tests/support/docker_engine.sh` of the repository prints the settings that these tests need.
"""

import asyncio
import gc
import os
import secrets
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from treadle_sandbox import Backend, errors
from treadle_sandbox.config import DockerConfig, backend_from_config
from treadle_sandbox.testing import CHECKS, ISOLATION_CHECKS, run_check

docker = pytest.importorskip("docker", reason="needs the extra `docker`")
pytest.importorskip("aiohttp", reason="needs the extra `client`")

from treadle_sandbox.docker import DockerProvider, build_image  # noqa: E402

pytestmark = [pytest.mark.docker, pytest.mark.slow]
TOKEN = "a token of eight and more"


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """A started pool and the loop it lives on."""

    runner: asyncio.Runner
    backend: Backend
    image_root: bool


@pytest.fixture(scope="module")
def image() -> Iterator[str]:
    """Build the shipped image on the base of the environment."""
    base, wheels = (os.environ.get(f"TREADLE_{name}") for name in ("DOCKER_BASE", "SANDBOX_WHEELS"))
    if not base or not wheels:
        pytest.skip("TREADLE_DOCKER_BASE and TREADLE_SANDBOX_WHEELS aren't set: no Docker engine")
    tag = f"treadle-test-{secrets.token_hex(4)}:local"
    build_image(tag, base=base, wheels=Path(wheels))
    yield tag
    engine = docker.from_env()
    try:
        engine.images.remove(tag, force=True)
    finally:
        engine.close()


def config(image: str, **changes) -> DockerConfig:
    settings = {
        "name": f"test-{secrets.token_hex(4)}",
        "image": image,
        "slots_per_container": 4,
        "max_containers": 1,
        "pull": "never",
        **changes,
    }
    return DockerConfig(**settings)


@pytest.fixture(scope="module", params=["with", "without"])
def running(image, request) -> Iterator[Running]:
    """A pool of one container, with and without added capabilities."""
    changes = {} if request.param == "with" else {"capabilities": ()}
    with asyncio.Runner() as runner:
        backend = backend_from_config(config(image, **changes))
        runner.run(backend.__aenter__())
        try:
            yield Running(runner=runner, backend=backend, image_root=request.param == "with")
        finally:
            runner.run(backend.aclose())


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_a_container_conforms(running, check):
    running.runner.run(run_check(check, running.backend))


@pytest.mark.parametrize("check", ISOLATION_CHECKS, ids=lambda check: check.__name__)
def test_a_container_confines_its_slots(running, check):
    if check.__name__ == "check_the_file_system_is_minimal" and running.image_root:
        pytest.skip("the slots' root is the image's by design; see the test below")
    running.runner.run(run_check(check, running.backend))


def test_slots_see_the_image_and_nothing_of_this_machine(image, tmp_path):
    (tmp_path / "secret").write_text("this machine's")

    async def scenario():
        settings = config(image, slots_per_container=2)
        async with (
            backend_from_config(settings) as pool,
            await pool.lease() as one,
            await pool.lease() as two,
        ):
            script = f"cat /etc/debian_version; cat {tmp_path}/secret; cat /etc/shadow"
            result = await one.exec(["sh", "-c", script])
            assert result.stdout.startswith(b"12.")
            assert result.stderr.count(b"No such file") == 1, result
            assert result.stderr.count(b"Permission denied") == 1, result
            await one.write_file("mine", b"1")
            assert (await two.exec(["ls", "-A"])).stdout == b""
            for place in ("/usr/x", "/etc/x", "/opt/treadle-sandbox/x", "/x"):
                assert (await one.exec(["touch", place])).exit_code == 1, place

    asyncio.run(scenario())


@asynccontextmanager
async def provider(settings: DockerConfig) -> AsyncIterator[DockerProvider]:
    made = DockerProvider(settings)
    await made.start()
    try:
        yield made
    finally:
        for name in await made.find():
            await made.remove(name)
        assert await made.find() == ()
        await made.aclose()


def inspect(name: str) -> dict:
    engine = docker.from_env()
    try:
        return engine.api.inspect_container(name)
    finally:
        engine.close()


def test_another_driver_finds_a_container_by_its_labels(image):
    async def scenario():
        settings = config(image)
        async with provider(settings) as first, provider(settings) as second:
            name = f"{settings.name}-1"
            made = await first.create(name, TOKEN)
            assert made.url.startswith("http://127.0.0.1:")
            assert await second.find() == (name,)
            assert await second.address(name, TOKEN) == made
            assert await second.failure(name) is None
            async with provider(config(image)) as stranger:
                assert await stranger.find() == ()
            await second.remove(name)
            await first.remove(name)
            assert await first.address(name, TOKEN) is None
            assert await first.failure(name) == "the container is gone"

    asyncio.run(scenario())


def test_a_container_has_its_limits_and_no_more_rights_than_configured(image):
    async def scenario():
        settings = config(image, memory_mb=512, cpus=1.5, pids_limit=500, labels={"team": "red"})
        async with provider(settings) as made:
            await made.create(f"{settings.name}-1", TOKEN)
            found = inspect(f"{settings.name}-1")
        host = found["HostConfig"]
        assert (host["Memory"], host["NanoCpus"], host["PidsLimit"]) == (512 << 20, 1.5e9, 500)
        assert found["Config"]["Labels"]["team"] == "red"
        assert not host["Privileged"]
        assert {name.removeprefix("CAP_") for name in host["CapAdd"]} == set(settings.capabilities)
        profile = next(word for word in host["SecurityOpt"] if word.startswith("seccomp="))
        assert "io_uring_setup" in profile

    asyncio.run(scenario())


def test_a_server_that_cannot_start_says_why_and_leaves_nothing(image):
    async def scenario():
        settings = config(image, min_isolation="bubblewrap", start_timeout=30)
        with pytest.raises(errors.ServerStartError, match="no isolation level from bubblewrap"):
            async with backend_from_config(settings):
                pass
        async with provider(settings) as made:
            assert await made.find() == ()

    asyncio.run(scenario())


def test_a_container_that_was_killed_is_told_and_its_lease_is_lost(image):
    async def scenario():
        settings = config(image, health_check_interval=0.2)
        async with backend_from_config(settings) as pool:
            async with await pool.lease() as lease:
                name = lease.server
                engine = docker.from_env()
                try:
                    engine.api.kill(name)
                finally:
                    engine.close()
                with pytest.raises((errors.SlotLostError, errors.ServerError)):
                    await lease.exec(["true"])
            async with await pool.lease(timeout=60) as lease:
                assert lease.server != name
                assert (await lease.exec(["echo", "again"])).stdout == b"again\n"

    asyncio.run(scenario())


def test_a_creation_that_is_cancelled_leaves_no_container(image):
    async def scenario():
        settings = config(image)
        async with provider(settings) as made:
            for delay in (0.0, 0.05, 0.2, 0.4):
                creation = asyncio.create_task(made.create(f"{settings.name}-1", TOKEN))
                await asyncio.wait({creation}, timeout=delay)
                creation.cancel()
                await asyncio.wait({creation})
                if creation.cancelled():
                    assert await made.find() == ()
                await made.remove(f"{settings.name}-1")

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("name", "changes", "reason"),
    [
        ("nowhere:local", {"auto_build": False, "pull": "missing"}, "isn't there: build it"),
        ("nowhere:1", {}, "isn't there"),
        ("127.0.0.1:1/nowhere:1", {"pull": "missing"}, "can't be pulled"),
    ],
)
def test_an_image_that_cannot_be_had_is_named_with_advice(image, name, changes, reason):
    async def scenario():
        made = DockerProvider(config(name, **changes))
        try:
            with pytest.raises(errors.ServerStartError, match=reason) as caught:
                await made.start()
            assert name in str(caught.value)
        finally:
            await made.aclose()

    asyncio.run(scenario())


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_an_engine_that_does_not_answer_is_told_with_advice(tmp_path):
    async def scenario():
        made = DockerProvider(config("any:local", host=f"unix://{tmp_path}/none.sock"))
        with pytest.raises(errors.ServerStartError, match="DOCKER_HOST"):
            await made.start()
        await made.aclose()

    asyncio.run(scenario())
    gc.collect()  # the SDK forgets a socket that can't connect


def test_a_task_image_without_tools_gets_the_server(image, tmp_path):
    """An image of one's own Dockerfile is built on the image with the server."""
    (tmp_path / "Dockerfile").write_text(f"FROM {image}\nRUN echo task >/opt/data\n")
    tag = f"treadle-test-{secrets.token_hex(4)}:local"

    async def scenario():
        settings = config(
            tag, dockerfile=tmp_path / "Dockerfile", pull="missing", slots_per_container=1
        )
        async with backend_from_config(settings) as pool, await pool.lease() as lease:
            assert await lease.read_file("/opt/data") == b"task\n"
            changed = await lease.exec(["sh", "-c", "echo mine >/opt/data"])
            assert changed.exit_code != 0

    try:
        asyncio.run(scenario())
    finally:
        engine = docker.from_env()
        try:
            engine.images.remove(tag, force=True)
        finally:
            engine.close()
