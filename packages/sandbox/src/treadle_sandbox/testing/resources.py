"""Attacks on the resources of a slot and of its machine.

Each ends with the stated result while the slot, or at least its backend and the other slots, go on
working. A check that needs a limit which doesn't hold here (`Capabilities.unlimited`) returns at
once: see `holds`.
"""

import asyncio
import contextlib
import sys
import time

from treadle_sandbox.backend import Backend, Lease
from treadle_sandbox.errors import FileTooLargeError, SlotLostError
from treadle_sandbox.records import ExecResult
from treadle_sandbox.testing.expectations import expect_error, expect_gone, run_python

_TOUCH = "for i in range(0, len(x), 4096): x[i] = 1\n"
_FORK_BOMB = """
import errno, os, signal
for number in (1, 2, 15): signal.signal(number, signal.SIG_IGN)
count = 0
while True:
    try:
        if os.fork() == 0:
            os.setsid()
            while True:
                try:
                    os.fork()
                except OSError:
                    signal.pause()
    except OSError as error:
        print(errno.errorcode[error.errno], flush=True)
        break
signal.pause()
"""
_SPIN = "import time\nend = time.monotonic() + {0}\nwhile time.monotonic() < end: pass\n"


def holds(backend: Backend, *fields: str) -> bool:
    """Return whether limits are set and hold."""
    found = backend.capabilities
    return all(
        getattr(found.limits, name) is not None and name not in found.unlimited for name in fields
    )


async def _is_well(lease: Lease) -> None:
    result = await lease.exec(["echo", "well"])
    assert (result.exit_code, result.stdout) == (0, b"well\n"), result


def _is_killed_for_memory(result: ExecResult) -> None:
    assert result.out_of_memory, result


async def check_a_memory_bomb_is_killed_and_told(backend: Backend) -> None:
    """One process beyond the slot's memory gets SIGKILL; the result says why; the slot lives on."""
    limit = backend.capabilities.limits.slot_memory_bytes
    if limit is None or not holds(backend, "slot_memory_bytes"):
        return
    async with await backend.lease() as lease, await backend.lease() as other:
        size = limit + (64 << 20)
        result = await run_python(lease, f"x = bytearray({size})\n{_TOUCH}print('had it')")
        assert result.exit_code in (1, 137), result
        assert b"had it" not in result.stdout, result
        if result.exit_code == 137:
            _is_killed_for_memory(result)
        await _is_well(lease)
        await _is_well(other)
        assert not (await lease.exec(["true"])).out_of_memory


async def check_many_small_processes_are_bounded_together(backend: Backend) -> None:
    """Processes that are small each but too much together lose some.

    The slot lives on where its users are apart (`Capabilities.verifier_user`). Elsewhere the kernel
    may take its first process for one of them: the lease says so, and a reset brings a new slot.
    """
    limit = backend.capabilities.limits.slot_memory_bytes
    if limit is None or not holds(backend, "slot_memory_bytes", "processes"):
        return
    part, count = limit // 16, 24
    code = f"""
import os, time
for number in range({count}):
    if os.fork() == 0:
        x = bytearray({part})
        for i in range(0, len(x), 4096): x[i] = 1
        time.sleep(60)
time.sleep(60)
"""
    async with await backend.lease() as lease, await backend.lease() as other:
        try:
            _is_killed_for_memory(await run_python(lease, code, timeout=4))
            await lease.kill_all()
        except SlotLostError:
            assert not backend.capabilities.verifier_user
            await lease.reset()
        await _is_well(lease)
        await _is_well(other)


async def check_files_in_memory_do_not_kill(backend: Backend) -> None:
    """Filling every writable place ends in ENOSPC, not in a kill for lack of memory."""
    if not holds(backend, "slot_memory_bytes", "disk_bytes"):
        return
    async with await backend.lease() as lease:
        fill = "for place in . /tmp /dev/shm; do dd if=/dev/zero of=$place/fill bs=1M; done"
        result = await lease.exec(["sh", "-c", fill], timeout=60)
        assert b"No space left" in result.stderr, result
        assert not result.out_of_memory, result
        await _is_well(lease)


async def check_every_place_is_bounded(backend: Backend) -> None:
    """A full /tmp, /dev/shm or workspace is ENOSPC; other slots have their own room; a reset gives
    it back.
    """
    if not holds(backend, "disk_bytes"):
        return
    size = backend.capabilities.limits.disk_bytes
    async with await backend.lease() as lease, await backend.lease() as other:
        for place in ("/tmp", "/dev/shm", lease.workdir):
            # Parts: one file may not be larger than `file_bytes`.
            code = f"""
import os
written, number = 0, 0
try:
    while written < {size} * 4 + (64 << 20):
        with open(f"{place}/part{{number}}", "wb", 0) as file:
            for _ in range(8): written += file.write(bytes(1 << 20))
        number += 1
    print("endless")
except OSError as error:
    print(error.errno)
"""
            result = await run_python(lease, code, timeout=60)
            assert result.stdout.strip() in (b"28", b"122"), (place, result)
        await other.write_file("own", bytes(1 << 20))
        await lease.reset()
        await lease.write_file("again", bytes(1 << 20))


async def check_the_number_of_files_is_bounded(backend: Backend) -> None:
    """Endless empty files end in ENOSPC."""
    if not holds(backend, "disk_files"):
        return
    most = backend.capabilities.limits.disk_files
    code = f"""
import os
try:
    for number in range({most} * 4 + 1000): os.close(os.open(f"f{{number}}", os.O_CREAT))
    print("endless")
except OSError as error:
    print(error.errno)
"""
    async with await backend.lease() as lease:
        result = await run_python(lease, code, timeout=120)
        assert result.stdout.strip() in (b"28", b"122"), result
        await _is_well(lease)


async def check_a_fork_bomb_gets_eagain_and_ends(backend: Backend) -> None:
    """Processes that left their session and ignore signals fill the slot, not the machine; they end
    with their command.
    """
    if not holds(backend, "processes"):
        return
    async with await backend.lease() as lease, await backend.lease() as other:
        bomb = asyncio.create_task(run_python(lease, _FORK_BOMB, timeout=3))
        while not bomb.done():
            await _is_well(other)
        result = await bomb
        assert result.timed_out, result
        assert result.stdout == b"EAGAIN\n", result
        await lease.kill_all()
        await _is_well(lease)


async def check_a_daemon_is_gone_after_a_reset(backend: Backend) -> None:
    """A process that forked twice and left its session doesn't outlive the reset."""
    if sys.platform != "linux":
        return
    mark = "daemon-that-forked-twice"
    code = f"""
import os
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        for number in range(3): os.close(number)
        os.execvp("sh", ["sh", "-c", "sleep 60; true", "{mark}"])
"""
    async with await backend.lease() as lease:
        await run_python(lease, code)
        await lease.reset()
        await expect_gone(lease, mark)


async def check_zombies_are_reaped(backend: Backend) -> None:
    """Orphans that end don't use up the slot's processes."""
    count = backend.capabilities.limits.processes * 3
    code = f"""
import os
for number in range({count}):
    child = os.fork()
    if child == 0:
        if os.fork() == 0: os._exit(0)
        os._exit(0)
    os.waitpid(child, 0)
print("all")
"""
    async with await backend.lease() as lease:
        assert (await run_python(lease, code, timeout=60)).stdout == b"all\n"
        await _is_well(lease)


async def check_a_sparse_file_does_not_come_out(backend: Backend) -> None:
    """A file that claims a terabyte is refused or bounded by the limit of the download."""
    async with await backend.lease() as lease:
        await lease.exec(["sh", "-c", "truncate -s 1T big 2>&1 || truncate -s 200M big"])
        if b"big" in (await lease.exec(["ls"])).stdout:
            await expect_error(FileTooLargeError, lease.read_file("big", limit=1 << 20))
        await _is_well(lease)


async def check_a_spinning_slot_leaves_time_to_others(backend: Backend) -> None:
    """The processor quota holds, over all processes of a slot."""
    cpus = backend.capabilities.limits.slot_cpus
    if cpus is None or not holds(backend, "slot_cpus"):
        return
    seconds = 2.0
    spin = _SPIN.format(seconds) + "print(time.process_time())"
    async with await backend.lease() as lease, await backend.lease() as other:
        spinning = [asyncio.create_task(run_python(lease, spin)) for _ in range(4)]
        slowest = 0.0
        while not all(task.done() for task in spinning):
            began = time.monotonic()
            await _is_well(other)
            slowest = max(slowest, time.monotonic() - began)
        used = sum(float(task.result().stdout) for task in spinning)
        # The machine's clock ticks and the quota's periods both round.
        assert used <= cpus * seconds * 1.5 + 0.3, (used, cpus)
        assert slowest < seconds, slowest


async def check_endless_output_is_bounded(backend: Backend) -> None:
    """`yes`, bytes without a newline, NULs and escape codes are cut or kept, never changed."""
    odd = bytes(range(256)) + b"\x1b[2J\x1b]0;title\x07\xff\xfe\n__END_OF_OUTPUT__ 0\n"
    async with await backend.lease() as lease:
        result = await lease.exec(["yes"], timeout=1, output_limit=10_000)
        assert (result.timed_out, result.truncated) == (True, True), result.stdout[:100]
        assert len(result.stdout) < 11_000
        assert result.stdout_bytes > 10_000
        zeros = await lease.exec(["head", "-c", "5000000", "/dev/zero"], output_limit=1000)
        assert (zeros.stdout_bytes, zeros.stdout[:400]) == (5_000_000, bytes(400)), zeros
        same = await lease.exec(["cat"], stdin=odd * 100)
        assert same.stdout == odd * 100
        await _is_well(lease)


async def check_limits_of_the_last_tenant_are_gone(backend: Backend) -> None:
    """What a tenant did to its own limits, priority and memory doesn't reach the next one."""
    async with await backend.lease() as lease:
        before = (await lease.exec(["sh", "-c", "ulimit -a; nice"])).stdout
        await lease.exec(["sh", "-c", "ulimit -n 5; ulimit -u 3; nice -n 19 sleep 60 &"])
        with contextlib.suppress(SlotLostError):
            await lease.exec(["sh", "-c", "renice 19 1; dd if=/dev/zero of=/dev/shm/x bs=1M"])
        await lease.reset()
        assert (await lease.exec(["sh", "-c", "ulimit -a; nice"])).stdout == before
        result = await lease.exec(["sh", "-c", "ls /dev/shm | wc -l"])
        if "disk_bytes" not in backend.capabilities.unlimited:
            assert result.stdout.strip() == b"0", result


CHECKS = (
    check_a_memory_bomb_is_killed_and_told,
    check_many_small_processes_are_bounded_together,
    check_files_in_memory_do_not_kill,
    check_every_place_is_bounded,
    check_the_number_of_files_is_bounded,
    check_a_fork_bomb_gets_eagain_and_ends,
    check_a_daemon_is_gone_after_a_reset,
    check_zombies_are_reaped,
    check_a_sparse_file_does_not_come_out,
    check_a_spinning_slot_leaves_time_to_others,
    check_endless_output_is_bounded,
    check_limits_of_the_last_tenant_are_gone,
)
