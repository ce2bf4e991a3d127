"""Pools over instances of a real Apptainer.

`tests/support/apptainer_engine.sh` of the repository prints the settings that these tests need.
"""

import asyncio
import os
import secrets
import shutil
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from treadle_sandbox import Backend, errors
from treadle_sandbox.config import SingularityConfig, backend_from_config
from treadle_sandbox.images import recipe
from treadle_sandbox.testing import CHECKS, ISOLATION_CHECKS, run_check

pytest.importorskip("spython", reason="needs the extra `singularity`")
pytest.importorskip("aiohttp", reason="needs the extra `client`")

from treadle_sandbox.singularity import SingularityProvider

pytestmark = [pytest.mark.apptainer, pytest.mark.slow]
TOKEN = "a token of eight and more"


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """A started pool and the loop it lives on."""

    runner: asyncio.Runner
    backend: Backend


@pytest.fixture(scope="module")
def image(tmp_path_factory) -> Iterator[Path]:
    """A sandbox image with the server, installed by the script that the definition runs too."""
    names = ("TREADLE_APPTAINER", "TREADLE_APPTAINER_BASE", "TREADLE_SANDBOX_WHEELS")
    if missing := [name for name in names if not os.environ.get(name)]:
        pytest.skip(f"{' and '.join(missing)} not set: no Apptainer")
    programs, base, wheels = (Path(os.environ[name]) for name in names)
    path = os.environ["PATH"]
    os.environ["PATH"] = f"{programs}:{path}"
    folder = tmp_path_factory.mktemp("image") / "image"
    subprocess.run(["cp", "-a", str(base), str(folder)], check=True)
    shutil.copytree(wheels, folder / "tmp/wheels")
    shutil.copy(recipe("install.sh"), folder / "tmp")
    inside = ("--writable", "--contain", "--no-mount", "tmp", "--no-home", str(folder))
    install = ("sh", "/tmp/install.sh", "treadle-sandbox[server]")
    subprocess.run(["apptainer", "--quiet", "exec", *inside, *install], check=True)
    start = folder / ".singularity.d/startscript"
    start.write_text('#!/bin/sh\nexec treadle-sandbox "$@"\n')
    start.chmod(0o755)
    try:
        yield folder
    finally:
        os.environ["PATH"] = path
        shutil.rmtree(folder, ignore_errors=True)


def config(image: Path, **changes) -> SingularityConfig:
    settings = {
        "name": f"test-{secrets.token_hex(4)}",
        "image": image,
        "slots_per_container": 4,
        "max_containers": 1,
        **changes,
    }
    return SingularityConfig(**settings)


@pytest.fixture(scope="module")
def running(image) -> Iterator[Running]:
    with asyncio.Runner() as runner:
        backend = backend_from_config(config(image))
        runner.run(backend.__aenter__())
        try:
            yield Running(runner=runner, backend=backend)
        finally:
            runner.run(backend.aclose())


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_an_instance_conforms(running, check):
    running.runner.run(run_check(check, running.backend))


@pytest.mark.parametrize("check", ISOLATION_CHECKS, ids=lambda check: check.__name__)
def test_an_instance_confines_its_slots(running, check):
    if check.__name__ == "check_the_file_system_is_minimal" and os.geteuid() == 0:
        pytest.skip("the slots' root is the image's by design")
    running.runner.run(run_check(check, running.backend))


@asynccontextmanager
async def provider(settings: SingularityConfig) -> AsyncIterator[SingularityProvider]:
    made = SingularityProvider(settings)
    await made.start()
    try:
        yield made
    finally:
        for name in await made.find():
            await made.remove(name)
        assert await made.find() == ()
        await made.aclose()


def test_another_driver_finds_an_instance_by_name_and_folder(image, tmp_path):
    async def scenario():
        settings = config(image, state=tmp_path)
        async with provider(settings) as first, provider(settings) as second:
            names = [f"{settings.name}-{number}" for number in (1, 2)]
            made = [await first.create(name, TOKEN) for name in names]
            assert len({address.url for address in made}) == 2
            assert await second.find() == tuple(names)
            assert await second.address(names[0], TOKEN) == made[0]
            assert await second.failure(names[0]) is None
            await second.remove(names[0])
            await first.remove(names[0])
            assert await first.address(names[0], TOKEN) is None
            assert await first.failure(names[0]) == "the instance is gone"
            assert await first.find() == (names[1],)

    asyncio.run(scenario())


def test_a_server_that_cannot_start_says_why_and_leaves_nothing(image, tmp_path):
    async def scenario():
        settings = config(image, min_isolation="bubblewrap", state=tmp_path)
        with pytest.raises(errors.ServerStartError, match="no isolation level from bubblewrap"):
            async with backend_from_config(settings):
                pass
        async with provider(settings) as made:
            assert await made.find() == ()

    asyncio.run(scenario())


def test_a_creation_that_is_cancelled_leaves_no_instance(image, tmp_path):
    async def scenario():
        settings = config(image, state=tmp_path)
        async with provider(settings) as made:
            for delay in (0.0, 0.1, 0.5):
                creation = asyncio.create_task(made.create(f"{settings.name}-1", TOKEN))
                await asyncio.wait({creation}, timeout=delay)
                creation.cancel()
                await asyncio.wait({creation})
                await made.remove(f"{settings.name}-1")
                assert await made.find() == ()

    asyncio.run(scenario())


def test_an_image_that_is_missing_is_named(image, tmp_path):
    async def scenario():
        made = SingularityProvider(config(tmp_path / "none.sif"))
        with pytest.raises(errors.ServerStartError, match=r"none\.sif"):
            await made.start()
        await made.aclose()

    asyncio.run(scenario())
