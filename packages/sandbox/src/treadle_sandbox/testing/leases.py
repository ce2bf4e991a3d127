"""Checks of leases: waiting, reset, closing, cancellation, counters."""

import asyncio

from treadle_sandbox.backend import Backend, Lease
from treadle_sandbox.errors import LeaseClosedError, LeaseTimeoutError
from treadle_sandbox.testing.expectations import expect_error


async def check_the_interface_is_satisfied(backend: Backend) -> None:
    """Backends and leases have every member of their protocols."""
    assert isinstance(backend, Backend)
    async with await backend.lease() as lease:
        assert isinstance(lease, Lease)


async def check_a_lease_starts_empty(backend: Backend) -> None:
    """Nothing of a former lease is left, in any folder a command can write."""
    slots = backend.capabilities.slots
    for _ in range(slots + 1):
        async with await backend.lease() as lease:
            script = 'ls -A . "$TMPDIR"; touch left "$TMPDIR/left"; mkdir -m 0 closed; (sleep 60) &'
            result = await lease.exec(["sh", "-c", script])
            assert b"left" not in result.stdout, result
            assert (await lease.exec(["sh", "-c", "ls -A . | wc -l"])).stdout.strip() == b"2"


async def check_reset_empties_the_slot(backend: Backend) -> None:
    """After `reset` files and processes are gone and the lease goes on under its name."""
    async with await backend.lease() as lease:
        name = lease.id
        await lease.write_file("file", b"1")
        await lease.exec(["sh", "-c", "(while :; do touch again; done) &"])
        await lease.reset()
        assert await lease.list_files() == ()
        assert (await lease.exec(["ls", "-A"])).stdout == b""
        assert lease.id == name


async def check_a_full_backend_times_out(backend: Backend) -> None:
    """A lease that can't be had in time is a typed error, and the next one in line gets a free
    slot.
    """
    slots = backend.capabilities.slots
    leases = [await backend.lease() for _ in range(slots)]
    await expect_error(LeaseTimeoutError, backend.lease(timeout=0.05))
    waiting = asyncio.create_task(backend.lease(timeout=30))
    gone = asyncio.create_task(backend.lease(timeout=30))
    await asyncio.wait({waiting, gone}, timeout=0.05)
    assert backend.statistics().waiting == 2
    assert backend.statistics().leased == slots
    gone.cancel()
    await asyncio.gather(gone, return_exceptions=True)
    await leases[0].aclose()
    async with await waiting as lease:
        assert (await lease.exec(["true"])).exit_code == 0
    for lease in leases[1:]:
        await lease.aclose()


async def check_closing_is_final_and_repeatable(backend: Backend) -> None:
    """`aclose` may be called again and at the same time; calls after it are typed errors."""
    lease = await backend.lease()
    running = asyncio.create_task(lease.exec(["sleep", "60"]))
    await asyncio.wait({running}, timeout=0.05)
    await asyncio.gather(lease.aclose(), lease.aclose())
    await lease.aclose()
    assert (await asyncio.gather(running, return_exceptions=True))[0] is not None
    assert running.exception() is not None
    await expect_error(LeaseClosedError, lease.exec(["true"]))
    await expect_error(LeaseClosedError, lease.read_file("x"))
    await expect_error(LeaseClosedError, lease.reset())


async def check_cancelled_leases_give_their_slots_back(backend: Backend) -> None:
    """Cancelling at any moment of a lease's life leaves every slot free."""

    async def use(steps: int) -> None:
        async with await backend.lease() as lease:
            for _ in range(steps):
                await lease.exec(["sleep", "0.01"])

    for delay in (0.0, 0.001, 0.01, 0.03, 0.06, 0.1):
        users = [asyncio.create_task(use(5)) for _ in range(backend.capabilities.slots + 1)]
        await asyncio.wait(users, timeout=delay)
        for user in users:
            user.cancel()
        await asyncio.gather(*users, return_exceptions=True)
    state = backend.statistics()
    assert (state.leased, state.waiting, state.quarantined) == (0, 0, 0), state


async def check_many_leases_share_the_slots(backend: Backend) -> None:
    """100 leases at once all get their turn, each alone in its slot."""

    async def use(number: int) -> str:
        async with await backend.lease(timeout=120) as lease:
            await lease.write_file("mine", str(number).encode())
            result = await lease.exec(["sh", "-c", "ls; cat mine"])
            assert result.stdout.decode() == f"mine\n{number}", result
            return lease.id

    before = backend.statistics()
    names = await asyncio.gather(*(use(number) for number in range(100)))
    after = backend.statistics()
    assert len(set(names)) == 100
    assert after.leases - before.leases == 100
    assert after.execs - before.execs == 100
    assert after.quarantined == 0
    assert after.leased == 0


CHECKS = (
    check_the_interface_is_satisfied,
    check_a_lease_starts_empty,
    check_reset_empties_the_slot,
    check_a_full_backend_times_out,
    check_closing_is_final_and_repeatable,
    check_cancelled_leases_give_their_slots_back,
    check_many_leases_share_the_slots,
)
