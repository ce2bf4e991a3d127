"""Pools over real sandbox servers, each a process, and what is left when servers or drivers die."""

import asyncio
import contextlib
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from treadle_sandbox import SandboxError, errors
from treadle_sandbox.config import ProcessConfig, backend_from_config
from treadle_sandbox.pool import secret
from treadle_sandbox.pool.backend import PoolBackend
from treadle_sandbox.testing import CHECKS, run_check
from treadle_sandbox.toolbackend import ToolBackend

pytest.importorskip("uvicorn", reason="needs the extra `server`")
pytest.importorskip("fastapi", reason="needs the extra `server`")

DRIVER = """
import asyncio, sys
from pathlib import Path
from treadle_sandbox.config import ProcessConfig, backend_from_config

async def main():
    config = ProcessConfig(
        name="test", state=Path(sys.argv[1]), min_isolation="auto", slots_per_container=2,
        max_containers=2, lease_lifetime=float(sys.argv[2]), idle_exit=float(sys.argv[3]),
        health_check_interval=0.2,
    )
    async with backend_from_config(config) as pool:
        leases = [await pool.lease() for _ in range(3)]
        print(*(lease.server for lease in leases), flush=True)
        await asyncio.sleep(600)

asyncio.run(main())
"""


def config(state: Path, **changes) -> ProcessConfig:
    settings = {
        "name": "test",
        "state": state,
        "min_isolation": "auto",
        "slots_per_container": 2,
        "max_containers": 2,
        "creations_per_second": 100.0,
        "health_check_interval": 0.2,
        "start_timeout": 60.0,
        **changes,
    }
    return ProcessConfig(**settings)


@contextlib.asynccontextmanager
async def opened(state: Path, **changes) -> AsyncIterator[PoolBackend]:
    async with backend_from_config(config(state, **changes)) as pool:
        assert isinstance(pool, PoolBackend)
        yield pool


def servers(state: Path) -> dict[str, int]:
    """Return the process of each server, by its name, as the kernel shows them."""
    found = {}
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            words = (path / "cmdline").read_bytes().decode(errors="replace").split("\0")
            for word in words:
                if word.startswith(f"{state}/servers/"):
                    found[Path(word).parent.name] = int(path.name)
    return found


@pytest.fixture
def state(tmp_path) -> AsyncIterator[Path]:
    yield tmp_path
    left = servers(tmp_path)
    for process in left.values():
        os.kill(process, signal.SIGKILL)
    assert not left
    assert not list((tmp_path / "servers").glob("*"))


async def until(claim: Callable[[], bool], seconds: float = 60.0) -> None:
    async with asyncio.timeout(seconds):
        while not claim():  # noqa: ASYNC110 - any state may be waited for
            await asyncio.sleep(0.02)


def test_leases_are_spread_over_server_processes(state):
    async def scenario():
        async with opened(state) as pool:
            leases = [await pool.lease() for _ in range(4)]
            assert len({lease.server for lease in leases}) == len(servers(state)) == 2
            for number, lease in enumerate(leases):
                await lease.write_file("mine", b"%d" % number)
            for number, lease in enumerate(leases):
                assert (await lease.exec(["cat", "mine"])).stdout == b"%d" % number
            with pytest.raises(errors.LeaseTimeoutError):
                await pool.lease(timeout=0.1)

    asyncio.run(scenario())


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_a_pool_is_a_backend(check, running_pool):
    runner, pool = running_pool
    runner.run(run_check(check, pool))


@pytest.fixture(scope="module")
def running_pool(tmp_path_factory):
    with asyncio.Runner() as runner:
        folder = tmp_path_factory.mktemp("state")
        pool = backend_from_config(config(folder, slots_per_container=4, max_containers=2))
        runner.run(pool.__aenter__())
        try:
            yield runner, pool
        finally:
            runner.run(pool.aclose())
        assert not servers(folder)


def test_a_killed_server_takes_only_its_own_leases(state):
    async def scenario():
        async with opened(state) as pool:
            leases = [await pool.lease() for _ in range(3)]
            dead = leases[0].server
            os.kill(servers(state)[dead], signal.SIGKILL)
            for lease in leases:
                if lease.server == dead:
                    with pytest.raises(errors.SlotLostError):
                        await lease.exec(["true"])
                else:
                    assert (await lease.exec(["true"])).exit_code == 0
            await until(lambda: dead not in servers(state) and len(pool.statistics().servers) == 1)
            with pytest.raises(errors.SlotLostError, match="signal 9 killed it"):
                await leases[0].exec(["true"])
            async with await pool.lease() as lease:
                assert (await lease.exec(["true"])).exit_code == 0

    asyncio.run(scenario())


def test_a_running_command_hears_of_the_death_of_its_server(state):
    async def scenario():
        async with opened(state) as pool:
            lease = await pool.lease()
            command = asyncio.create_task(lease.exec(["sleep", "60"]))
            await until(lambda: pool.statistics().running == 1)
            os.kill(servers(state)[lease.server], signal.SIGKILL)
            with pytest.raises(errors.SlotLostError):
                await asyncio.wait_for(command, 30)

    asyncio.run(scenario())


def test_a_server_that_hangs_is_put_aside_and_then_removed(state):
    async def scenario():
        changes = {"health_timeout": 0.5, "quarantine_after": 1, "remove_after": 3}
        async with opened(state, **changes) as pool:
            lease = await pool.lease()
            os.kill(servers(state)[lease.server], signal.SIGSTOP)
            async with await pool.lease(timeout=60) as other:
                assert other.server != lease.server
            await until(lambda: lease.server not in servers(state))
            with pytest.raises(errors.SlotLostError, match="no answer"):
                await lease.exec(["true"])

    asyncio.run(scenario())


def test_a_server_that_its_driver_had_no_time_to_note_is_found_and_ended(state):
    with start_driver(state) as driver:
        names = driver.stdout.readline().split()
        driver.kill()
    for name in names:
        (state / "servers" / name / "process").unlink(missing_ok=True)

    async def scenario():
        async with opened(state, purge_on_start=True):
            assert not set(names) & set(servers(state))

    asyncio.run(scenario())


def test_a_folder_whose_server_never_started_is_removed(state):
    folder = state / "servers" / secret.server_name("test", time.time())
    folder.mkdir(parents=True)
    os.utime(folder, (time.time() - 60, time.time() - 60))

    async def scenario():
        async with opened(state) as pool:
            assert not folder.exists()
            assert pool.statistics().removed == 1

    asyncio.run(scenario())


def start_driver(state: Path, *, lifetime: float = 600.0, idle_exit: float = 600.0):
    return subprocess.Popen(
        [sys.executable, "-c", DRIVER, str(state), str(lifetime), str(idle_exit)],
        stdout=subprocess.PIPE,
        text=True,
    )


def test_a_new_driver_takes_over_what_a_killed_one_left(state):
    with start_driver(state) as driver:
        names = set(driver.stdout.readline().split())
        driver.kill()
    assert set(servers(state)) == names

    async def scenario():
        async with opened(state) as pool:
            await until(lambda: pool.statistics().adopted == 2)
            assert pool.statistics().created == 0
            leases = [await pool.lease() for _ in range(4)]
            assert {lease.server for lease in leases} == names

    asyncio.run(scenario())


def test_leases_of_a_silent_driver_end(state):
    with start_driver(state, lifetime=1.0) as driver:
        driver.stdout.readline()
        driver.send_signal(signal.SIGSTOP)
        try:

            async def scenario():
                async with opened(state, lease_lifetime=1.0) as pool:
                    leases = [await pool.lease(timeout=60) for _ in range(4)]
                    assert len({lease.id for lease in leases}) == 4
                    assert pool.statistics().created == 0

            asyncio.run(scenario())
        finally:
            driver.kill()


def test_servers_end_when_no_driver_is_left(state):
    with start_driver(state, lifetime=0.5, idle_exit=1.0) as driver:
        driver.stdout.readline()
        driver.kill()
    asyncio.run(until(lambda: not servers(state)))

    async def scenario():
        async with opened(state, purge_on_start=True) as pool:
            assert pool.statistics().adopted == 0

    asyncio.run(scenario())


def test_two_drivers_never_own_a_slot_twice(state):
    async def use(pool: PoolBackend, lost: list[str]) -> None:
        mine = secrets.token_hex(8).encode()
        async with await pool.lease(timeout=60) as lease:
            if await lease.list_files():
                lost.append(f"{lease.id} wasn't empty")
            await lease.write_file("owner", mine)
            for _ in range(3):
                seen = (await lease.exec(["cat", "owner"])).stdout
                if seen != mine:
                    lost.append(f"{lease.id} holds {seen!r}")

    async def scenario():
        lost: list[str] = []
        async with opened(state) as one, opened(state) as two:
            async with asyncio.TaskGroup() as group:
                for _ in range(20):
                    group.create_task(use(one, lost))
                    group.create_task(use(two, lost))
            assert one.statistics().leases == two.statistics().leases == 20
            assert len(servers(state)) <= 3
        assert not lost

    asyncio.run(scenario())


@pytest.mark.parametrize("moment", range(8))
def test_cancelled_leases_leak_nothing(state, moment):
    async def scenario():
        async with opened(state) as pool:
            tasks = [asyncio.create_task(pool.lease()) for _ in range(4)]
            await asyncio.wait(tasks, timeout=moment * 0.02)
            for task in tasks:
                task.cancel()
            for done in await asyncio.gather(*tasks, return_exceptions=True):
                if not isinstance(done, BaseException):
                    await done.aclose()
            leases = [await pool.lease(timeout=60) for _ in range(4)]
            assert len({lease.id for lease in leases}) == 4

    asyncio.run(scenario())


def test_a_missing_program_is_a_start_failure(state):
    async def scenario():
        async with opened(state, command=("no-such-program",)):
            pass

    with pytest.raises(errors.ServerStartError, match="no program 'no-such-program'"):
        asyncio.run(scenario())


def test_a_server_that_ends_at_once_tells_why(state):
    async def scenario():
        program = "import sys; sys.exit('this image has no bubblewrap')"
        async with opened(state, command=(sys.executable, "-c", program)):
            pass

    with pytest.raises(errors.ServerStartError, match="status 1: this image has no bubblewrap"):
        asyncio.run(asyncio.wait_for(scenario(), 60))


def test_a_server_that_never_answers_is_a_start_failure(state):
    async def scenario():
        program = "import time; time.sleep(600)"
        async with opened(state, command=(sys.executable, "-c", program), start_timeout=0.5):
            pass

    with pytest.raises(errors.ServerStartError, match="wasn't ready within"):
        asyncio.run(asyncio.wait_for(scenario(), 60))


def test_the_token_is_in_no_environment(state):
    async def scenario():
        async with opened(state) as pool:
            await pool.lease()
            for process in servers(state).values():
                shown = Path(f"/proc/{process}/environ").read_bytes()
                assert b"TREADLE_SANDBOX_TOKEN" not in shown

    asyncio.run(scenario())


@pytest.mark.slow
def test_two_hundred_leases_over_four_servers(state):
    async def use(pool: PoolBackend, number: int) -> bytes:
        async with await pool.lease(timeout=240) as lease:
            await lease.write_file("mine", b"%d" % number)
            return (await lease.exec(["cat", "mine"])).stdout

    async def scenario():
        async with opened(state, slots_per_container=50, max_containers=4) as pool:
            done = await asyncio.gather(*(use(pool, number) for number in range(200)))
            assert done == [b"%d" % number for number in range(200)]
            assert pool.statistics().leased == 0

    asyncio.run(scenario())


def test_errors_of_a_pool_are_typed(state):
    async def scenario():
        async with opened(state) as pool:
            lease = await pool.lease()
            with pytest.raises(errors.SlotFileNotFoundError):
                await lease.read_file("missing")
            with pytest.raises(errors.InvalidCommandError):
                await lease.exec([])
            assert set(pool.statistics().failures) <= {kind.__name__ for kind in _kinds()}

    asyncio.run(scenario())


def _kinds() -> list[type[SandboxError]]:
    return SandboxError.__subclasses__()


def test_snapshots_and_forks_stay_on_their_server(state):
    async def scenario():
        async with opened(state, slots_per_container=3) as pool:
            if not pool.capabilities.snapshots:
                pytest.skip("slots have no snapshots at the level of this machine")
            lease = await pool.lease()
            await lease.write_file("file", b"as it was")
            snapshot = await lease.snapshot()
            await lease.write_file("file", b"changed")
            copies = await lease.fork(2)
            assert {copy.server for copy in copies} == {lease.server}
            for copy in copies:
                assert await copy.read_file("file") == b"changed"
                await copy.aclose()
            async with await pool.lease(snapshot=snapshot) as old:
                assert old.server == lease.server
                assert await old.read_file("file") == b"as it was"
            await lease.restore(snapshot)
            assert await lease.read_file("file") == b"as it was"
            await pool.discard(snapshot)

    asyncio.run(scenario())


def test_the_earlier_interface_works_over_a_pool(state):
    async def scenario():
        async with ToolBackend(backend_from_config(config(state))) as tools:
            slot = await tools.acquire("trajectory")
            batch = [
                (slot, "bash", {"command": "echo out; echo bad >&2; exit 3"}),
                (slot, "bash_stateful", {"command": "cd /tmp; value=5"}),
                (slot, "bash_stateful", {"command": "pwd; echo $value"}),
                (slot, "write_file", {"path": "folder/file", "content": "text"}),
                (slot, "bash", {"command": "sleep 60", "timeout": 0.5}),
            ]
            failed, _, kept, _, late = await tools.execute_batch(batch)
            assert (failed.output, failed.error) == ("out\n[stderr]\nbad\n", "exit code 3")
            assert kept.output.splitlines()[-1] == "5"
            assert late.metadata["timeout"]
            assert "timed out" in late.error
            assert (await tools.archive_artifacts(slot, "folder")).entry_count == 1
            await tools.release(slot)

    asyncio.run(scenario())
