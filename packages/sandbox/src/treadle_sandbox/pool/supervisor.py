"""What keeps a pool's servers as the plan wants them, and hands out their slots.

`run` is the one task of a pool: below it live one task per server and one that looks for servers
that other drivers made. Slots are handed out synchronously whenever something changes.
"""

import asyncio
from collections import Counter
from collections.abc import Callable

from treadle_sandbox import errors
from treadle_sandbox.config import PoolConfig
from treadle_sandbox.pool import secret
from treadle_sandbox.pool.discovery import Discovery
from treadle_sandbox.pool.fleet import Fleet, Server, ServerState
from treadle_sandbox.pool.life import Clock, Life, Surroundings
from treadle_sandbox.pool.link import Connect, Link
from treadle_sandbox.pool.pace import Pace
from treadle_sandbox.pool.plan import make_plan
from treadle_sandbox.pool.provider import Provider
from treadle_sandbox.pool.queue import Queue, Request

_HOPELESS = 3
_TICK = 1.0
_FIND_EVERY = 6


class Supervisor:
    """The servers of a pool and those who wait for their slots."""

    def __init__(
        self,
        config: PoolConfig,
        provider: Provider,
        connect: Connect,
        *,
        clock: Clock,
        wall_clock: Clock,
        ended: Callable[[Life], None],
    ) -> None:
        self._config = config
        self._clock = clock
        self._wall_clock = wall_clock
        self._key = secret.load_secret(config.secret, config.state)
        self._discovery = Discovery(config, provider, connect, key=self._key, wall_clock=wall_clock)
        self._on_end = ended
        self.fleet = Fleet()
        self.queue = Queue()
        self.pace = Pace(config.creations_per_second, clock())
        self.lives: dict[str, Life] = {}
        self.counts: Counter[str] = Counter()
        """`created`, `adopted`, `removed`, `start_failures`."""
        self.first: asyncio.Future[Life] = asyncio.get_running_loop().create_future()
        """The first server that was ready."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._changed = asyncio.Event()
        self._stopping = False
        self._delay = _TICK
        self._around = Surroundings(
            config=config,
            provider=provider,
            connect=connect,
            clock=clock,
            ready=self._note_ready,
            changed=self.change,
            ended=self._note_end,
            hungry=lambda: len(self.queue) > 0,
        )

    async def run(self) -> None:
        """Keep the servers until `stop`; then end those that nobody else uses."""
        try:
            if self._config.purge_on_start:
                await self._discovery.purge()
            async with asyncio.TaskGroup() as group:
                await self._take_in(group)
                finder = group.create_task(self._keep_finding(group))
                while not self._stopping:
                    self._act(group)
                    await self._rest()
                finder.cancel()
                await asyncio.gather(*(life.settle() for life in self.lives.values()))
                for task in self._tasks:
                    task.cancel()
            await self._discovery.sweep()
        finally:
            self._stopping = True
            self.refuse(lambda: errors.BackendStateError("the pool is closed"))

    def stop(self) -> None:
        """Let `run` come to its end."""
        self._stopping = True
        self._changed.set()

    def refuse(self, reason: Callable[[], Exception]) -> None:
        """Wake all who wait with an error."""
        self.queue.fail(reason)
        if not self.first.done():
            self.first.set_exception(reason())

    def change(self) -> None:
        """Hand out free slots, and look at the plan soon."""
        offers = self.fleet.offers(self._clock(), self._config.expiry_margin)
        for request, name in self.queue.match(offers):
            server = self.fleet.get(name)
            if server is not None and not request.future.done():
                server.take(request.count)
                request.future.set_result(name)
        self._changed.set()

    async def reserve(self, *, count: int, server: str | None, ticket: int, timeout: float) -> str:
        """Wait for free slots on one server and reserve them; `release` gives them back.

        Returns the server's name.

        Raises:
                LeaseTimeoutError: none became free in time.
            ServerStartError: no server can be started.
            SnapshotNotFoundError: `server` is gone.
            BackendStateError: the pool is closed.
        """
        self._check(server)
        future: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        request = Request(ticket=ticket, count=count, server=server, future=future)
        self.queue.add(request)
        self.change()
        try:
            async with asyncio.timeout(max(0.0, timeout)):
                await asyncio.wait({future})
        except TimeoutError:
            if not future.done():
                raise errors.LeaseTimeoutError(self._describe_shortage()) from None
        except asyncio.CancelledError:
            if future.done() and future.exception() is None:
                self.release(future.result(), count)
            raise
        finally:
            self.queue.discard(request)
            if not future.done():
                future.cancel()
        return future.result()

    def release(self, name: str, count: int) -> None:
        """Give reserved slots back."""
        server = self.fleet.get(name)
        if server is not None:
            server.give(count, self._clock())
        self.change()

    def _check(self, name: str | None) -> None:
        if self._stopping:
            raise errors.BackendStateError("the pool is closed")
        if name is not None:
            server = self.fleet.get(name)
            if server is None or server.state in (ServerState.DRAINING, ServerState.REMOVING):
                raise errors.SnapshotNotFoundError(
                    f"server {name} is gone or about to go, and its files with it"
                )
        elif self._is_hopeless() and self.pace.wait(self._clock()) > 0:
            raise self._hopeless_error()

    def _is_hopeless(self) -> bool:
        return self.pace.failures >= _HOPELESS and not self.fleet.count(
            ServerState.STARTING, ServerState.READY, ServerState.QUARANTINED
        )

    def _hopeless_error(self) -> errors.ServerStartError:
        return errors.ServerStartError(
            f"no sandbox server could be started, {self.pace.failures} times in a row; the last "
            f"reason: {self.pace.reason}"
        )

    def _describe_shortage(self) -> str:
        states = Counter(str(server.state) for server in self.fleet)
        servers = ", ".join(f"{count} {state}" for state, count in states.items()) or "none"
        text = (
            f"no slot became free in time; servers: {servers}, at most "
            f"{self._config.max_containers} of {self._config.slots_per_container} slots; close "
            "leases or raise max_containers"
        )
        causes = {server.cause for server in self.fleet if server.cause}
        if self.pace.reason:
            causes.add(self.pace.reason)
        return f"{text} ({'; '.join(sorted(causes))})" if causes else text

    def _act(self, group: asyncio.TaskGroup) -> None:
        now = self._clock()
        if self._is_hopeless() and self.pace.wait(now) > 0:
            self.refuse(self._hopeless_error)
        plan = make_plan(
            self.fleet,
            waiting=max(self.queue.waiting, int(not self.first.done())),
            allowed=self.pace.allowed(now),
            now=now,
            config=self._config,
        )
        for server in plan.drain:
            server.state = ServerState.DRAINING
            self.lives[server.name].wake()
        for server in plan.remove:
            server.state = ServerState.REMOVING
            self.lives[server.name].wake()
        self.pace.spend(plan.create, now)
        for _ in range(plan.create):
            name = secret.server_name(self._config.name, self._wall_clock())
            self._launch(group, self._make_life(name))
        self._delay = self.pace.wait(now) if plan.wanted > plan.create else _TICK

    async def _rest(self) -> None:
        seconds = max(0.01, min(_TICK, self._delay, self._config.idle_timeout / 2))
        try:
            async with asyncio.timeout(seconds):
                await self._changed.wait()
        except TimeoutError:
            return
        finally:
            self._changed.clear()

    def _make_life(self, name: str, link: Link | None = None) -> Life:
        server = Server(name=name, slots=self._config.slots_per_container)
        return Life(server, secret.server_token(self._key, name), self._around, link)

    def _launch(self, group: asyncio.TaskGroup, life: Life) -> None:
        self.fleet.add(life.server)
        self.lives[life.server.name] = life
        task = group.create_task(self._live(life))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _live(self, life: Life) -> None:
        try:
            await life.live()
        finally:
            self.fleet.drop(life.server)
            del self.lives[life.server.name]
            if life.started or not life.adopted:
                self.counts["removed"] += not life.keep
            if not life.started and not life.adopted and not self._stopping:
                self.counts["start_failures"] += 1
                self.pace.fail(life.server.cause, self._clock())
            self.change()

    def _note_ready(self, life: Life) -> None:
        self.counts["adopted" if life.adopted else "created"] += 1
        if not life.adopted:
            self.pace.succeed()
        if not self.first.done():
            self.first.set_result(life)
        self.change()

    def _note_end(self, life: Life) -> None:
        name = life.server.name
        self.queue.fail(
            lambda: errors.SnapshotNotFoundError(f"server {name} is gone: {life.server.cause}"),
            server=name,
        )
        self._on_end(life)

    async def _keep_finding(self, group: asyncio.TaskGroup) -> None:
        while True:
            await asyncio.sleep(self._config.health_check_interval * _FIND_EVERY)
            await self._take_in(group)

    async def _take_in(self, group: asyncio.TaskGroup) -> None:
        for found in await self._discovery.look(self.fleet):
            life = self._make_life(found.name, found.link)
            if found.expires is not None:
                life.server.expires = self._clock() + found.expires
            self._launch(group, life)

    @property
    def orphans(self) -> int:
        """Servers that were removed because nobody could use them."""
        return self._discovery.orphans
