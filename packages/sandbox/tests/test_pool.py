"""A pool over a platform in this process: what it starts, gives, shares and ends."""

import asyncio
import contextlib
import dataclasses
import random
import time
from collections.abc import AsyncIterator, Callable

import pytest

from treadle_sandbox import errors
from treadle_sandbox.config import PoolConfig
from treadle_sandbox.pool import secret
from treadle_sandbox.pool.backend import PoolBackend
from treadle_sandbox.testing import FakeBackend
from treadle_sandbox.testing.servers import MemoryPlatform

SECRET = "a secret of the tests"


def platform(slots: int = 2) -> MemoryPlatform:
    return MemoryPlatform(lambda: FakeBackend(slots=slots))


def config(**changes) -> PoolConfig:
    settings = {
        "secret": SECRET,
        "slots_per_container": 2,
        "min_containers": 1,
        "max_containers": 3,
        "creations_per_second": 1000.0,
        "health_check_interval": 0.05,
        "quarantine_after": 2,
        "remove_after": 4,
        "start_timeout": 20.0,
        **changes,
    }
    return PoolConfig(**settings)


@contextlib.asynccontextmanager
async def opened(where: MemoryPlatform, **changes) -> AsyncIterator[PoolBackend]:
    async with PoolBackend(where, config(**changes), connect=where.connect) as pool:
        yield pool


async def until(claim: Callable[[], bool], seconds: float = 20.0) -> None:
    async with asyncio.timeout(seconds):
        while not claim():  # noqa: ASYNC110 - any state may be waited for
            await asyncio.sleep(0.01)


def test_leases_fill_servers_up_to_the_most_and_then_wait():
    async def scenario():
        where = platform()
        async with opened(where) as pool:
            leases = [await pool.lease() for _ in range(6)]
            assert len(where.servers) == 3
            assert {lease.server for lease in leases} == set(where.servers)
            with pytest.raises(errors.LeaseTimeoutError, match="raise max_containers"):
                await pool.lease(timeout=0.05)
            waiting = asyncio.create_task(pool.lease())
            await until(lambda: pool.statistics().waiting == 1)
            await leases[3].aclose()
            async with await waiting as lease:
                assert (await lease.exec(["true"])).exit_code == 0
        assert not where.servers

    asyncio.run(scenario())


def test_waiting_leases_are_served_in_order():
    async def scenario():
        where = platform()
        async with opened(where, max_containers=1) as pool:
            leases = [await pool.lease() for _ in range(2)]
            served = []

            async def wait(number):
                async with await pool.lease():
                    served.append(number)

            async with asyncio.TaskGroup() as group:
                for number in range(5):
                    group.create_task(wait(number))
                    await until(lambda n=number: pool.statistics().waiting == n + 1)
                for lease in leases:
                    await lease.aclose()
            assert served == list(range(5))

    asyncio.run(scenario())


def test_one_burst_starts_as_many_servers_as_it_fills():
    async def scenario():
        where = platform()
        async with opened(where, max_containers=8) as pool:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(pool.lease()) for _ in range(7)]
            assert len({task.result().id for task in tasks}) == 7
            assert len(where.created) == 4

    asyncio.run(scenario())


def test_idle_servers_above_the_minimum_go():
    async def scenario():
        where = platform()
        async with opened(where, idle_timeout=0.2) as pool:
            leases = [await pool.lease() for _ in range(5)]
            for lease in leases:
                await lease.aclose()
            await until(lambda: len(where.servers) == 1)
            assert pool.statistics().removed == 2

    asyncio.run(scenario())


def test_a_dead_server_loses_its_leases_and_is_replaced():
    async def scenario():
        where = platform()
        async with opened(where) as pool:
            lease = await pool.lease()
            where.servers[lease.server].kill("out of memory")
            await until(lambda: lease.server not in where.servers)
            with pytest.raises(errors.SlotLostError, match="out of memory"):
                await lease.list_files()
            await lease.aclose()
            async with await pool.lease() as other:
                assert other.server != lease.server

    asyncio.run(scenario())


def test_a_silent_server_is_in_quarantine_until_it_answers_again():
    async def scenario():
        where = platform()
        async with opened(where, remove_after=10_000) as pool:
            lease = await pool.lease()
            server = where.servers[lease.server]
            server.alive = False
            await until(lambda: pool.statistics().servers.get("quarantined") == 1)
            async with await pool.lease() as other:
                assert other.server != lease.server
            server.alive = True
            await until(lambda: "quarantined" not in pool.statistics().servers)
            assert (await lease.exec(["true"])).exit_code == 0

    asyncio.run(scenario())


def test_a_restarted_server_doesnt_keep_its_leases():
    async def scenario():
        where = platform()
        async with opened(where) as pool:
            lease = await pool.lease()
            where.servers[lease.server].boot = "another"
            await until(lambda: lease.server not in where.servers)
            with pytest.raises(errors.SlotLostError):
                await lease.list_files()

    asyncio.run(scenario())


def test_a_platform_that_can_start_nothing_fails_with_its_reason():
    async def scenario():
        where = platform()
        where.refusal = "image pull error: no such tag"
        with pytest.raises(errors.ServerStartError, match="no such tag"):
            async with asyncio.timeout(20), opened(where):
                pass

    asyncio.run(scenario())


def test_waiters_hear_the_reason_when_nothing_can_start_any_more():
    async def scenario():
        where = platform()
        async with opened(where) as pool:
            lease = await pool.lease()
            where.refusal = "quota exceeded"
            where.servers[lease.server].kill("preempted")
            await until(lambda: not where.servers)
            with pytest.raises(errors.ServerStartError, match="quota exceeded"):
                await pool.lease(timeout=30)
            where.refusal = ""
            async with await asyncio.wait_for(_try(pool), 30):
                pass

    asyncio.run(scenario())


async def _try(pool: PoolBackend):
    while True:
        try:
            return await pool.lease()
        except errors.ServerStartError:
            await asyncio.sleep(0.05)


def test_a_lease_times_out_while_servers_start():
    async def scenario():
        where = platform()
        async with opened(where) as pool:
            leases = [await pool.lease() for _ in range(2)]
            where.held.clear()
            with pytest.raises(errors.LeaseTimeoutError, match="1 starting"):
                await pool.lease(timeout=0.1)
            where.held.set()
            async with await pool.lease():
                assert len(leases) == 2

    asyncio.run(scenario())


def test_closing_while_servers_start_leaves_none():
    async def scenario():
        where = platform()
        async with opened(where) as pool:
            leases = [await pool.lease() for _ in range(2)]
            where.held.clear()
            waiting = asyncio.create_task(pool.lease())
            await until(lambda: pool.statistics().servers.get("starting") == 1)
        with pytest.raises(errors.BackendStateError):
            await waiting
        with pytest.raises(errors.LeaseClosedError):
            await leases[0].list_files()
        assert not where.servers

    asyncio.run(scenario())


@pytest.mark.parametrize("turns", range(0, 24, 2))
def test_a_cancelled_lease_leaks_nothing(turns):
    async def scenario():
        where = platform()
        async with opened(where, max_containers=2) as pool:
            tasks = [asyncio.create_task(pool.lease()) for _ in range(3)]
            for _ in range(turns):
                await asyncio.sleep(0)
            for task in tasks:
                task.cancel()
            for done in await asyncio.gather(*tasks, return_exceptions=True):
                if not isinstance(done, BaseException):
                    await done.aclose()
            state = pool.statistics()
            assert (state.leased, state.waiting) == (0, 0)
            leases = [await pool.lease(timeout=20) for _ in range(4)]
            assert len({lease.id for lease in leases}) == 4

    asyncio.run(scenario())


def test_a_server_that_ends_soon_is_replaced_before():
    async def scenario():
        where = platform()
        where.expires = 1.0
        async with opened(where, expiry_margin=0.8) as pool:
            first = where.created[0]
            await until(lambda: len(where.created) > 1)
            assert first in where.servers
            where.expires = None
            await until(lambda: first not in where.servers)
            async with await pool.lease() as lease:
                assert lease.server != first

    asyncio.run(scenario())


def test_two_drivers_share_the_servers_and_never_a_slot():
    async def scenario():
        where = platform()
        async with opened(where) as one, opened(where) as two:
            await until(lambda: two.statistics().adopted == 1)
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(pool.lease()) for pool in (one, two) for _ in range(3)]
            leases = [task.result() for task in tasks]
            assert len({lease.id for lease in leases}) == 6
            assert len(where.servers) == 3
            with pytest.raises(errors.LeaseTimeoutError):
                await two.lease(timeout=0.3)
            await leases[0].aclose()
            async with await two.lease(timeout=20):
                pass

    asyncio.run(scenario())


def test_a_closing_driver_leaves_the_servers_that_another_uses():
    async def scenario():
        where = platform()
        async with opened(where) as one:
            async with opened(where) as two:
                await until(lambda: two.statistics().adopted == 1)
                lease = await one.lease()
                await two.lease()
            assert (await lease.exec(["true"])).exit_code == 0
            async with await one.lease():
                pass
        assert not where.servers

    asyncio.run(scenario())


def test_servers_that_are_kept_are_taken_over():
    async def scenario():
        where = platform()
        async with opened(where, purge_on_shutdown=False):
            pass
        assert len(where.servers) == 1
        async with opened(where) as pool:
            async with await pool.lease():
                pass
            assert pool.statistics().adopted == 1
            assert pool.statistics().created == 0
        assert not where.servers

    asyncio.run(scenario())


def test_a_pool_with_another_secret_leaves_servers_alone():
    async def scenario():
        where = platform()
        async with opened(where) as one:
            async with opened(where, secret="another secret of the tests") as two:
                assert two.statistics().adopted == 0
            async with await one.lease():
                pass

    asyncio.run(scenario())


def test_an_old_server_that_nobody_can_use_is_removed():
    async def scenario():
        where = platform()
        await where.create("treadle-00000001-abcdef", "a token")
        where.servers["treadle-00000001-abcdef"].alive = False
        async with opened(where) as pool:
            await until(lambda: pool.statistics().removed == 1)
            assert "treadle-00000001-abcdef" not in where.servers

    asyncio.run(scenario())


def test_a_snapshot_is_used_on_its_server():
    async def scenario():
        where = platform()
        async with opened(where) as pool:
            lease = await pool.lease()
            await lease.write_file("file", b"as it was")
            snapshot = await lease.snapshot()
            others = [await pool.lease() for _ in range(3)]
            waiting = asyncio.create_task(pool.lease(snapshot=snapshot))
            await until(lambda: pool.statistics().waiting == 1)
            for other in others:
                await other.aclose()
            async with await waiting as copy:
                assert copy.server == lease.server
                assert await copy.read_file("file") == b"as it was"
            await lease.write_file("file", b"changed")
            await lease.restore(snapshot)
            assert await lease.read_file("file") == b"as it was"
            await pool.discard(snapshot)
            with pytest.raises(errors.SnapshotNotFoundError):
                await pool.lease(snapshot=snapshot)

    asyncio.run(scenario())


def test_a_snapshot_of_another_server_cant_be_restored():
    async def scenario():
        async with opened(platform()) as pool:
            leases = [await pool.lease() for _ in range(3)]
            snapshot = await leases[0].snapshot()
            with pytest.raises(errors.SnapshotNotFoundError, match="another server"):
                await leases[2].restore(snapshot)

    asyncio.run(scenario())


def test_a_server_with_a_snapshot_isnt_idle():
    async def scenario():
        where = platform()
        async with opened(where, idle_timeout=0.1) as pool:
            leases = [await pool.lease() for _ in range(3)]
            snapshot = await leases[2].snapshot()
            for lease in leases:
                await lease.aclose()
            await until(lambda: list(where.servers) == [leases[2].server])
            await pool.discard(snapshot)

    asyncio.run(scenario())


def test_waiting_for_a_snapshot_ends_with_its_server():
    async def scenario():
        where = platform()
        async with opened(where) as pool:
            leases = [await pool.lease() for _ in range(2)]
            snapshot = await leases[0].snapshot()
            waiting = asyncio.create_task(pool.lease(snapshot=snapshot))
            await until(lambda: pool.statistics().waiting == 1)
            where.servers[leases[0].server].kill("gone")
            with pytest.raises(errors.SnapshotNotFoundError, match="gone"):
                await waiting

    asyncio.run(scenario())


def test_a_fork_waits_for_room_for_all_on_its_server():
    async def scenario():
        where = platform(slots=3)
        async with opened(where, slots_per_container=3) as pool:
            lease, other = await pool.lease(), await pool.lease()
            await lease.write_file("file", b"1")
            with pytest.raises(errors.LeaseTimeoutError):
                await lease.fork(2, timeout=0.05)
            forking = asyncio.create_task(lease.fork(2))
            await until(lambda: pool.statistics().waiting == 1)
            await other.aclose()
            copies = await forking
            assert [copy.server for copy in copies] == [lease.server] * 2
            assert [await copy.read_file("file") for copy in copies] == [b"1"] * 2
            assert pool.statistics().leased == 3

    asyncio.run(scenario())


def test_two_hundred_leases_over_four_servers_never_share_a_slot():
    async def scenario():
        where = platform(slots=50)
        held: dict[str, set[str]] = {}
        most = 0

        async def use(pool):
            nonlocal most
            async with await pool.lease(timeout=60) as lease:
                mine = held.setdefault(lease.server, set())
                assert lease.id not in mine
                mine.add(lease.id)
                assert len(mine) <= 50
                most = max(most, sum(map(len, held.values())))
                await lease.exec(["true"])
                await asyncio.sleep(0)
                mine.remove(lease.id)

        async with opened(where, slots_per_container=50, max_containers=4) as pool:
            async with asyncio.TaskGroup() as group:
                for _ in range(400):
                    group.create_task(use(pool))
            leases = [await pool.lease() for _ in range(200)]
            assert len(where.servers) == 4
            assert len({lease.id for lease in leases}) == 200
            assert most <= 200
        assert not where.servers

    asyncio.run(scenario())


def test_a_driver_that_fails_leaves_nothing_when_it_closes():
    async def scenario():
        where = platform()
        pool = PoolBackend(where, config(), connect=where.connect)

        async def fail():
            async with pool:
                await pool.lease()
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            await fail()
        assert not where.servers
        with pytest.raises(errors.BackendStateError):
            await pool.lease()
        await pool.aclose()

    asyncio.run(scenario())


def test_a_dead_server_of_another_driver_is_removed_at_once():
    async def scenario():
        where = platform()
        name = secret.server_name("treadle", time.time())
        await where.create(name, "a token")
        where.servers[name].kill("out of memory")
        async with opened(where) as pool:
            assert name not in where.servers
            assert pool.statistics().removed == 1

    asyncio.run(scenario())


def test_a_closing_pool_removes_what_other_drivers_left_dead():
    async def scenario():
        where = platform()
        async with opened(where):
            name = secret.server_name("treadle", time.time())
            await where.create(name, "a token")
            where.servers[name].kill("its driver was killed too")
        assert not where.servers

    asyncio.run(scenario())


@pytest.mark.parametrize("turns", range(0, 40, 3))
def test_a_cancelled_start_leaves_nothing(turns):
    async def scenario():
        where = platform()
        pool = PoolBackend(where, config(min_containers=2), connect=where.connect)
        entering = asyncio.create_task(pool.__aenter__())
        for _ in range(turns):
            await asyncio.sleep(0)
        entered = entering.done()
        entering.cancel()
        await asyncio.gather(entering, return_exceptions=True)
        if entered:
            await pool.aclose()
        assert not where.servers

    asyncio.run(scenario())


@pytest.mark.parametrize("turns", range(0, 30, 3))
def test_a_cancelled_closing_still_closes(turns):
    async def scenario():
        where = platform()
        pool = PoolBackend(where, config(), connect=where.connect)
        await pool.__aenter__()
        leases = [await pool.lease() for _ in range(3)]
        closing = asyncio.create_task(pool.aclose())
        for _ in range(turns):
            await asyncio.sleep(0)
        closing.cancel()
        await asyncio.gather(closing, return_exceptions=True)
        await pool.aclose()
        assert not where.servers
        assert pool.statistics().leased == 0
        assert len(leases) == 3

    asyncio.run(scenario())


class Worn(FakeBackend):
    """A backend whose slots go into quarantine."""

    worn = 0

    def statistics(self):
        return dataclasses.replace(super().statistics(), quarantined=self.worn)


def test_a_server_whose_slots_are_in_quarantine_is_replaced():
    async def scenario():
        where = MemoryPlatform(lambda: Worn(slots=2))
        async with opened(where) as pool:
            first = where.created[0]
            where.servers[first].backend.worn = 1
            await until(lambda: pool.statistics().slots == 1)
            leases = [await pool.lease() for _ in range(2)]
            assert len({lease.server for lease in leases}) == 2
            await leases[0].aclose()
            where.servers[first].backend.worn = 2
            await until(lambda: first not in where.servers)

    asyncio.run(scenario())


class Storm:
    """Random use of pools, and random deaths of servers."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)

    async def use(self, pool):
        async with await pool.lease(timeout=60) as lease:
            assert await lease.list_files() == ()
            mine = str(self.chance.random()).encode()
            await lease.write_file("owner", mine)
            for _ in range(self.chance.randrange(4)):
                await asyncio.sleep(self.chance.random() * 0.01)
                assert await lease.read_file("owner") == mine

    async def work(self, pool):
        for _ in range(15):
            with contextlib.suppress(TimeoutError, errors.SlotLostError):
                async with asyncio.timeout(self.chance.choice((0.005, 0.02, 10.0))):
                    await self.use(pool)

    async def kill(self, where):
        while True:
            await asyncio.sleep(0.03)
            alive = [server for server in where.servers.values() if server.alive]
            if alive:
                server = self.chance.choice(alive)
                server.alive = False
                server.dead = self.chance.choice(("killed", ""))


@pytest.mark.parametrize("seed", range(6))
def test_random_use_and_deaths_cross_nothing_and_leave_nothing(seed):
    async def scenario():
        where, storm = platform(slots=3), Storm(seed)
        changes = {"slots_per_container": 3, "min_containers": 0, "idle_timeout": 0.1}
        async with opened(where, **changes) as one, opened(where, **changes) as two:
            killing = asyncio.create_task(storm.kill(where))
            async with asyncio.TaskGroup() as group:
                for pool in (one, two) * 8:
                    group.create_task(storm.work(pool))
            killing.cancel()
            for pool in (one, two):
                assert (pool.statistics().leased, pool.statistics().waiting) == (0, 0)
        assert not where.servers

    asyncio.run(asyncio.wait_for(scenario(), 120))
