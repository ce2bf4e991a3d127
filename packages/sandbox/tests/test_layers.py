"""Snapshots, restore and fork of the local backend, with files that overlays find hard."""

import asyncio

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from treadle_sandbox import (
    Isolation,
    Lease,
    LeaseTimeoutError,
    Limits,
    LocalBackend,
    SlotFileError,
    SnapshotNotFoundError,
    UnsupportedError,
)
from treadle_sandbox.testing import backend_at

LIST = "find . -mindepth 1 -printf '%P %y %m %u %n %l\\n' | sort; find . -type f | sort | xargs cat"


async def sh(lease: Lease, script: str) -> str:
    result = await lease.exec(["bash", "-c", script])
    assert result.exit_code == 0, result
    return result.stdout.decode()


@pytest.fixture
def runner(running):
    if not running.backend.capabilities.snapshots:
        pytest.skip(f"no snapshots at the {running.backend.capabilities.isolation} level")
    return running.runner


@pytest.fixture
def backend(running, runner) -> LocalBackend:
    return running.backend


def test_a_fork_begins_with_every_kind_of_file_as_it_was(runner, backend):
    script = (
        "umask 027; mkdir -p d/e; echo one > a; ln a hard; ln -s a soft; ln -s /nowhere broken;"
        "mkfifo p; echo run > d/x; chmod 750 d/x; chmod 500 d/e; truncate -s 20M sparse;"
        "printf 'tmp' > /tmp/t"
    )

    async def main():
        async with await backend.lease() as lease:
            await sh(lease, script)
            expected = await sh(lease, f"{LIST} | tr -d '\\0'; stat -c %b sparse; cat /tmp/t")
            for forked in await lease.fork(3):
                async with forked:
                    seen = await sh(forked, f"{LIST} | tr -d '\\0'; stat -c %b sparse; cat /tmp/t")
                    assert seen == expected
                    assert forked.id != lease.id

    runner.run(main())


def test_forks_do_not_see_each_other_or_the_original(runner, backend):
    async def main():
        async with await backend.lease() as lease:
            await sh(lease, "echo one > a")
            first, second = await lease.fork(2)
            async with first, second:
                await sh(first, "echo two >> a; echo x > own")
                await sh(lease, "rm a")
                assert await sh(second, "cat a; ls") == "one\na\n"
                assert await sh(first, "cat a; ls") == "one\ntwo\na\nown\n"

    runner.run(main())


def test_deleted_replaced_and_renamed_entries_stay_so_over_many_layers(runner, backend):
    steps = (
        "mkdir -p d/e f; echo 1 > d/e/x; echo 2 > f/y; echo 3 > z",
        "rm -rf d; mkdir d; echo 4 > d/new",
        "rm z; mkdir z; echo 5 > z/in",
        "mv f g; echo 6 >> g/y",
        "mv d g/d; rmdir z 2>/dev/null || rm -r z; echo 7 > z",
        "chmod 700 g; rm g/d/new; ln g/y hard",
    )

    async def main():
        async with await backend.lease() as plain, await backend.lease() as layered:
            for step in steps:
                await sh(plain, step)
                await sh(layered, step)
                snapshot = await layered.snapshot()
                await layered.restore(snapshot)
                await backend.discard(snapshot)
                listing = "find . -mindepth 1 -printf '%P %y %m %u\\n' | sort;"
                listing += "cat $(find . -type f | sort)"
                assert await sh(layered, listing) == await sh(plain, listing), step

    runner.run(main())


STEP = st.tuples(
    st.sampled_from(("write", "append", "mkdir", "rm", "mv", "snap")),
    st.sampled_from(("a", "b", "a/a", "a/b", "b/a")),
    st.sampled_from(("a", "b", "c", "b/c")),
)


@settings(
    max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(steps=st.lists(STEP, min_size=4, max_size=14))
def test_any_history_reads_the_same_with_and_without_layers(runner, backend, steps):
    commands = {
        "write": "mkdir -p $(dirname {0}) && echo {1} > {0}",
        "append": "echo {1} >> {0}",
        "mkdir": "mkdir -p {0}",
        "rm": "rm -rf {0}",
        "mv": "mv -T {0} {1}",
    }

    async def main():
        async with await backend.lease() as plain, await backend.lease() as layered:
            for kind, first, second in steps:
                if kind == "snap":
                    snapshot = await layered.snapshot()
                    await layered.restore(snapshot)
                    await backend.discard(snapshot)
                    continue
                script = f"({commands[kind].format(first, second)}) 2>/dev/null; echo $?"
                assert await sh(plain, script) == await sh(layered, script)
            listing = "find . -printf '%P %y %m\\n' | sort; find . -type f | sort | xargs -r cat"
            assert await sh(plain, listing) == await sh(layered, listing)

    runner.run(main())


def test_a_snapshot_leaves_processes_alone_and_counts_its_files(runner, backend):
    async def main():
        async with await backend.lease() as lease:
            script = "for i in $(seq 50); do echo $i > f; sleep 0.02; done; echo done"
            running = asyncio.create_task(lease.exec(["sh", "-c", script]))
            await sh(lease, "until test -e f; do :; done; printf 12345 > g")
            snapshot = await lease.snapshot()
            assert snapshot.files == 2
            assert 5 < snapshot.bytes < 10
            assert (await running).stdout == b"done\n"
            await backend.discard(snapshot)

    runner.run(main())


def test_restore_ends_processes_and_brings_files_back(runner, backend):
    async def main():
        async with await backend.lease() as lease:
            await sh(lease, "echo one > a")
            snapshot = await lease.snapshot()
            await sh(lease, "rm a; (sleep 99 > /dev/null 2>&1 &)")
            await lease.restore(snapshot)
            assert await sh(lease, "cat a; pgrep -c sleep || true") == "one\n0\n"
            await lease.reset()
            assert await sh(lease, "ls") == ""
            async with await backend.lease(snapshot=snapshot) as other:
                await backend.discard(snapshot)
                assert await sh(other, "cat a") == "one\n"
                with pytest.raises(SnapshotNotFoundError):
                    await backend.discard(snapshot)
                with pytest.raises(SnapshotNotFoundError):
                    await other.restore(snapshot)
                assert backend.statistics().quarantined == 0

    runner.run(main())


def test_the_upper_layer_is_bounded_too(runner, backend):
    room = backend.capabilities.limits.disk_bytes

    async def main():
        async with await backend.lease() as lease:
            await sh(lease, "echo one > a")
            (forked,) = await lease.fork(1)
            async with forked:
                fill = f"head -c {2 * room} /dev/zero > big"
                full = await forked.exec(["sh", "-c", fill], timeout=60)
                assert b"No space left" in full.stderr
                assert await sh(forked, "rm big; cat a") == "one\n"

    runner.run(main())


def test_snapshots_together_are_bounded(level):
    if level is not Isolation.NAMESPACES:
        pytest.skip("no snapshots at this level")

    async def main():
        options = {"slots": 1, "snapshot_bytes": 4 << 20}
        async with backend_at(level, **options) as backend, await backend.lease() as lease:
            await sh(lease, "head -c 3000000 /dev/zero > a")
            first = await lease.snapshot()
            with pytest.raises(SlotFileError, match=r"room|space"):
                await lease.snapshot()
            await backend.discard(first)
            await backend.discard(await lease.snapshot())

    asyncio.run(main())


def test_a_fork_is_all_or_nothing(level):
    if level is not Isolation.NAMESPACES:
        pytest.skip("no snapshots at this level")

    async def main():
        async with backend_at(level, slots=3) as backend, await backend.lease() as lease:
            with pytest.raises(LeaseTimeoutError):
                await lease.fork(3, timeout=1)
            assert backend.statistics().leased == 1
            with pytest.raises(ValueError, match="at least one"):
                await lease.fork(0)

    asyncio.run(main())


def test_folders_that_nest_too_deep_are_a_typed_error(runner, backend):
    async def main():
        async with await backend.lease() as lease:
            code = "import os\nfor _ in range(3000): os.mkdir('d'); os.chdir('d')"
            await lease.exec(["python3", "-I", "-S", "-c", code])
            with pytest.raises(SlotFileError, match="deep"):
                await lease.snapshot()
            assert await sh(lease, "echo alive") == "alive\n"

    runner.run(main())


def test_a_level_without_layers_says_so(level):
    async def main():
        async with backend_at(level, slots=1) as backend, await backend.lease() as lease:
            if backend.capabilities.snapshots:
                pytest.skip("this level has snapshots")
            with pytest.raises(UnsupportedError, match="snapshots"):
                await lease.snapshot()
            with pytest.raises(UnsupportedError, match="snapshots"):
                await lease.fork(1)

    asyncio.run(main())


def test_limits_hold_the_files_of_a_slot_together():
    async def main():
        options = {"slots": 1, "limits": Limits(disk_bytes=8 << 20, disk_files=200)}
        backend = backend_at(Isolation.NAMESPACES, **options)
        async with backend, await backend.lease() as lease:
            for folder in (".", "/tmp", "/dev/shm"):
                full = await lease.exec(["sh", "-c", f"head -c 9000000 /dev/zero > {folder}/x"])
                assert b"No space" in full.stderr
                await sh(lease, f"rm {folder}/x")
            many = await lease.exec(["bash", "-c", "for i in {1..300}; do : > $i; done"])
            assert b"No space" in many.stderr

    asyncio.run(main())
