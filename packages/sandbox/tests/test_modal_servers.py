"""Sandbox servers at Modal: the real client, a real server behind a TLS tunnel of the stand-in."""

import asyncio
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from treadle_sandbox import IsolationUnavailableError, LocalBackend, ServerError, ServerStartError
from treadle_sandbox.config import ModalConfig
from treadle_sandbox.modal import ModalProvider
from treadle_sandbox.pool import Provider
from treadle_sandbox.remote import RemoteBackend
from treadle_sandbox.testing import CHECKS, ISOLATION_CHECKS, run_check
from treadle_sandbox.testing.fake_modal import FakeModal

TOKEN = "a-token-that-nobody-sees"
TIMEOUT, TERMINATED = 4, 3

pytestmark = pytest.mark.skipif(
    not os.environ.get("TREADLE_MODAL_SERVERS"),
    reason="TREADLE_MODAL_SERVERS isn't set: the stand-in leaves a transport unclosed, so "
    "this runs in a process of its own, as in .ci/run",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """A running stand-in, and what a pool there is configured with."""

    runner: asyncio.Runner
    fake: FakeModal
    config: ModalConfig


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("tls")
    certificate, key = make_certificate(folder)
    with asyncio.Runner() as runner, pytest.MonkeyPatch.context() as environment:
        local = LocalBackend(slots=1)
        try:
            runner.run(local.__aenter__())
        except IsolationUnavailableError as error:
            pytest.skip(str(error))
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        fake = FakeModal(local, certificate=certificate, key=key, path=path)
        runner.run(fake.__aenter__())
        environment.setenv("MODAL_SERVER_URL", fake.url)
        environment.setenv("MODAL_CONFIG_PATH", "/dev/null")
        environment.setenv("SSL_CERT_FILE", str(certificate))
        config = ModalConfig(
            name="test",
            token_id="ak-good",
            token_secret="as-secret",
            slots_per_container=4,
            creations_per_second=1000,
            start_timeout=60,
        )
        yield Site(runner=runner, fake=fake, config=config)
        runner.run(fake.__aexit__(None, None, None))
        runner.run(local.aclose())


def make_certificate(folder: Path) -> tuple[Path, Path]:
    if shutil.which("openssl") is None:
        pytest.skip("no `openssl` to make a certificate for the tunnels")
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    command += ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    command += ["-keyout", str(key), "-out", str(certificate)]
    subprocess.run(command, check=True, capture_output=True)
    return certificate, key


@asynccontextmanager
async def started(site: Site, **changes):
    provider = ModalProvider(replace(site.config, **changes))
    try:
        await provider.start()
        yield provider
    finally:
        await provider.aclose()


async def until_healthy(address) -> None:
    async with asyncio.timeout(30):
        while True:
            try:
                async with RemoteBackend(address.url, token=address.token) as remote:
                    await remote.health()
                    return
            except ServerError:
                await asyncio.to_thread(os.sched_yield)


@pytest.fixture(scope="module")
def remote(site) -> Iterator[RemoteBackend]:
    place = started(site)
    provider = site.runner.run(place.__aenter__())
    address = site.runner.run(provider.create("test-conformance", TOKEN))
    site.runner.run(until_healthy(address))
    backend = RemoteBackend(address.url, token=TOKEN)
    site.runner.run(backend.__aenter__())
    yield backend
    site.runner.run(backend.aclose())
    site.runner.run(provider.remove("test-conformance"))
    site.runner.run(place.__aexit__(None, None, None))


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_conforms(site, remote, check):
    site.runner.run(run_check(check, remote))


@pytest.mark.parametrize("check", ISOLATION_CHECKS, ids=lambda check: check.__name__)
def test_confines(site, remote, check):
    site.runner.run(run_check(check, remote))


def test_servers_come_and_go_and_are_found_again(site):
    async def claim() -> None:
        async with started(site, name="life") as provider:
            assert isinstance(provider, Provider)
            first = await provider.create("life-1", TOKEN)
            second = await provider.create("life-2", TOKEN)
            third = await provider.create("life-3", TOKEN)
            assert first.url.startswith("https://localhost:")
            assert 3500 < first.expires <= 3600
            await until_healthy(first)
            assert await provider.find() == ("life-1", "life-2", "life-3")
            async with started(site, name="life") as other:
                assert await other.find() == ("life-1", "life-2", "life-3")
                found = await other.address("life-2", TOKEN)
                assert (found.url, found.token) == (second.url, TOKEN)
                assert 3500 < found.expires <= 3600
                assert await other.address("life-9", TOKEN) is None
                await other.remove("life-2")
            async with started(site, name="other") as stranger:
                assert await stranger.find() == ()
            assert await provider.failure("life-1") is None
            assert "terminated" in await provider.failure("life-2")
            for name in ("life-1", "life-1", "life-2", "life-3"):
                await provider.remove(name)
            assert await provider.find() == ()
            assert third.name == "life-3"

    site.runner.run(claim())


def test_the_token_is_a_secret_of_the_sandbox_alone(site):
    async def claim() -> None:
        async with started(site, name="life") as provider:
            address = await provider.create("life-1", TOKEN)
            await until_healthy(address)
            assert TOKEN not in str(site.fake.cloud.definitions)
            assert TOKEN not in str(site.fake.cloud.sandboxes)
            await provider.remove("life-1")

    site.runner.run(claim())


def test_a_name_that_is_taken_is_a_readable_error(site):
    async def claim() -> None:
        async with started(site, name="life") as provider:
            await provider.create("life-1", TOKEN)
            with pytest.raises(ServerStartError, match="already"):
                await provider.create("life-1", TOKEN)
            assert await provider.find() == ("life-1",)
            await provider.remove("life-1")

    site.runner.run(claim())


def test_a_server_that_dies_or_expires_says_why(site):
    async def claim() -> None:
        async with started(site, name="life") as provider:
            await provider.create("life-1", TOKEN)
            [sandbox] = [each for each in site.fake.cloud.running() if each.name == "life-1"]
            await sandbox.end(TIMEOUT, 124)
            assert "max_lifetime" in await provider.failure("life-1")
            await provider.remove("life-1")
        async with started(site, name="life", slots_per_container=3, env={"A": "b"}) as provider:
            with_bad_token = await provider.create("life-2", "short")
            [sandbox] = [each for each in site.fake.cloud.running() if each.name == "life-2"]
            async with asyncio.timeout(20):
                await sandbox.ended.wait()
            reason = await provider.failure("life-2")
            assert "less than 8 characters" in reason, reason
            assert with_bad_token.name == "life-2"

    site.runner.run(claim())


def test_a_cancelled_creation_leaves_no_sandbox(site):
    async def claim() -> None:
        async with started(site, name="life") as provider:
            for delay in (0.0, 0.001, 0.005, 0.01, 0.02, 0.05):
                creating = asyncio.create_task(provider.create("life-1", TOKEN))
                await asyncio.wait({creating}, timeout=delay)
                creating.cancel()
                await asyncio.gather(creating, return_exceptions=True)
                if not creating.cancelled():
                    await provider.remove("life-1")
                assert await provider.find() == ()

    site.runner.run(claim())


def test_a_creation_limit_is_a_readable_error(site):
    async def claim() -> None:
        async with started(site, name="life") as provider:
            site.fake.cloud.refuse_creations = 1
            with pytest.raises(ServerStartError, match="rate limit"):
                await provider.create("life-1", TOKEN)

    site.runner.run(claim())
