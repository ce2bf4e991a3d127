"""The process that builds slots: its death, its descriptors, and each kind of rights it works
with.
"""

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest

from treadle_sandbox import (
    Isolation,
    IsolationUnavailableError,
    LocalBackend,
    SlotLostError,
    SlotStartError,
    SnapshotNotFoundError,
)
from treadle_sandbox.local.kept import KeptSlots
from treadle_sandbox.local.launch import Method, Site, list_methods
from treadle_sandbox.local.root import Interpreter, plan_root
from treadle_sandbox.local.source import Order
from treadle_sandbox.local.surroundings import Surroundings
from treadle_sandbox.testing import backend_at
from treadle_sandbox.testing.levels import LIMITS

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="namespaces are Linux")


def find_children(process: int) -> list[int]:
    text = Path(f"/proc/{process}/task/{process}/children").read_text()
    return [int(child) for child in text.split()]


def find_keepers(before: set[int]) -> list[int]:
    """Return the guard and the keeper that were started since."""
    guards = [child for child in find_children(os.getpid()) if child not in before]
    return guards + [keeper for guard in guards for keeper in find_children(guard)]


async def wait_until_ended(processes: list[int]) -> None:
    for process in processes:
        try:
            descriptor = os.pidfd_open(process)
        except ProcessLookupError:
            continue
        ended = asyncio.Event()
        asyncio.get_running_loop().add_reader(descriptor, ended.set)
        async with asyncio.timeout(20):
            await ended.wait()
        asyncio.get_running_loop().remove_reader(descriptor)
        os.close(descriptor)


@pytest.fixture
def options() -> dict[str, object]:
    async def probe() -> None:
        async with backend_at(Isolation.NAMESPACES, slots=1):
            pass

    try:
        asyncio.run(probe())
    except IsolationUnavailableError as error:
        pytest.skip(str(error))
    return {"slots": 3}


@pytest.mark.parametrize("which", [0, 1], ids=["guard", "keeper"])
def test_a_killed_keeper_takes_every_slot_along_and_is_replaced(options, which):
    async def main():
        before = set(find_children(os.getpid()))
        async with backend_at(Isolation.NAMESPACES, **options) as backend:
            first, second = await backend.lease(), await backend.lease()
            snapshot = await first.snapshot()
            running = asyncio.create_task(first.exec(["sleep", "60"], timeout=60))
            await second.exec(["sh", "-c", "sleep 61 > /dev/null 2>&1 & echo"])
            keepers = find_keepers(before)
            slots = find_children(keepers[1])
            assert len(slots) == 2
            os.kill(keepers[which], signal.SIGKILL)
            with pytest.raises(SlotLostError):
                await running
            await wait_until_ended(slots)
            with pytest.raises(SlotLostError):
                await second.exec(["true"])
            with pytest.raises(SlotLostError):
                await second.snapshot()
            await first.aclose()
            await second.reset()
            assert (await second.exec(["echo", "new"])).stdout == b"new\n"
            with pytest.raises(SnapshotNotFoundError):
                await backend.lease(snapshot=snapshot)
            async with await backend.lease() as third:
                assert (await third.exec(["true"])).exit_code == 0
            assert backend.statistics().quarantined == 0
        assert set(find_children(os.getpid())) == before

    asyncio.run(main())


def test_nothing_of_slots_is_mounted_on_the_host(options):
    def find_ours() -> list[str]:
        rows = Path("/proc/self/mountinfo").read_text().splitlines()
        return [row for row in rows if " treadle " in row or "/workspace " in row]

    async def main():
        async with backend_at(Isolation.NAMESPACES, **options) as backend:
            lease = await backend.lease()
            async with lease, (await lease.fork(1))[0]:
                assert not find_ours()
        assert not find_ours()

    asyncio.run(main())


def test_a_keeper_that_serves_many_slots_keeps_nothing_of_them(options):
    async def main():
        before = set(find_children(os.getpid()))
        async with backend_at(Isolation.NAMESPACES, **options) as backend:

            async def use() -> None:
                async with await backend.lease() as lease:
                    await lease.write_file("a", b"x" * 5_000_000)
                    await lease.restore(snapshot := await lease.snapshot())
                    await backend.discard(snapshot)
                    await lease.reset()

            for _ in range(2):
                await asyncio.gather(*(use() for _ in range(3)))
            keeper = find_keepers(before)[1]
            await _wait_for_rest(keeper)
            descriptors = _count_descriptors(keeper)
            for _ in range(3):
                await asyncio.gather(*(use() for _ in range(3)))
            await _wait_for_rest(keeper)
            assert _count_descriptors(keeper) == descriptors

    asyncio.run(main())


def _count_descriptors(keeper: int) -> int:
    return len(list(Path(f"/proc/{keeper}/fd").iterdir()))


async def _wait_for_rest(keeper: int) -> None:
    """Wait until no volume is left but the store."""
    async with asyncio.timeout(20):
        while Path(f"/proc/{keeper}/mountinfo").read_text().count(" treadle ") > 1:
            await wait_until_ended(find_children(keeper))
            await asyncio.sleep(0)


def test_a_keeper_has_nothing_of_the_environment_of_its_host(options, monkeypatch):
    monkeypatch.setenv("GIVEN_SECRET", "a secret of the host")

    async def main():
        before = set(find_children(os.getpid()))
        async with backend_at(Isolation.NAMESPACES, **options):
            for process in find_keepers(before):
                assert b"GIVEN_SECRET" not in Path(f"/proc/{process}/environ").read_bytes()

    asyncio.run(main())


def list_kinds() -> list[Method]:
    return list(list_methods(Isolation.NAMESPACES))


@pytest.mark.parametrize("method", list_kinds(), ids=lambda method: method.rights)
def test_each_kind_of_rights_builds_verified_slots_with_layers(method):
    python = None if method.rights == "root" else Path("/usr/bin/python3")
    interpreter = Interpreter.find(python)
    if not Path(interpreter.executable).exists():
        pytest.skip("no Python that every user may run")

    async def main():
        root = plan_root(interpreter, (), network=False)
        site = Site(
            interpreter=interpreter,
            root=root,
            limits=LIMITS,
            network=False,
            snapshot_bytes=1 << 20,
            slots=2,
        )
        source = KeptSlots(method, site, first_id=700_000_000)
        around = Surroundings(LIMITS, ())
        await around.open()
        try:
            try:
                slot = await source.start(Order(index=0, timeout=20, fence=around.around(0)))
            except SlotStartError as error:
                pytest.skip(str(error))
            assert source.features.verifier_user == (method.rights != "single")
            snapshot = await slot.snapshot()
            order = Order(index=1, timeout=20, fence=around.around(1), snapshot=snapshot)
            other = await source.start(order)
            await source.discard(snapshot)
            assert await slot.stop()
            assert await other.stop()
            assert await other.stop()
        finally:
            assert await source.aclose()
            assert await source.aclose()
            assert await around.aclose()

    asyncio.run(main())


def test_a_whole_image_may_lie_below_the_root(options, tmp_path):
    hidden = Path("/etc/hostname")
    if not hidden.exists() or tmp_path.stat().st_dev != Path("/").stat().st_dev:
        pytest.skip("needs /etc/hostname, and the temporary folder on the root file system")

    async def main():
        backend = LocalBackend(slots=1, root="image", hidden=[hidden], limits=LIMITS)
        try:
            await backend.__aenter__()
        except IsolationUnavailableError as error:
            pytest.skip(str(error))
        try:
            async with await backend.lease() as lease:
                script = (
                    "ls /usr/bin/env /etc/hostname; id -un; pwd; echo x > a; touch /etc/x;"
                    "ls -A /tmp /run /sys; ls -d /proc/1; tail -2 /etc/passwd | cut -d: -f1"
                )
                result = await lease.exec(["sh", "-c", script])
                assert result.stdout == (
                    b"/usr/bin/env\nsandbox\n/workspace\n/run:\n\n/sys:\n\n/tmp:\n/proc/1\n"
                    b"sandbox\nverifier\n"
                ), result
                assert b"hostname': No such file" in result.stderr
                assert b"Permission denied" in result.stderr
                (forked,) = (await lease.snapshot(),)
                await lease.restore(forked)
                result = await lease.exec(["sh", "-c", "cat a; cat /etc/hostname"])
                assert result.stdout == b"x\n"
        finally:
            await backend.aclose()

    asyncio.run(main())


def test_a_narrow_umask_of_the_host_does_not_close_the_slot(options):
    async def main():
        backend = backend_at(Isolation.NAMESPACES, **options)
        async with backend, await backend.lease() as lease:
            result = await lease.exec(["sh", "-c", "umask; ls / /etc > /dev/null && pwd"])
            assert result.stdout == b"0022\n/workspace\n", result

    before = os.umask(0o077)
    try:
        asyncio.run(main())
    finally:
        os.umask(before)
