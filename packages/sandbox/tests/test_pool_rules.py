"""The rules of a pool, without servers: its plan, pace, queue, names and secret."""

import asyncio
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from treadle_sandbox import errors
from treadle_sandbox.config import PoolConfig
from treadle_sandbox.pool import secret
from treadle_sandbox.pool.fleet import Fleet, Server, ServerState
from treadle_sandbox.pool.owner import make_owner, owner_is_dead
from treadle_sandbox.pool.pace import Pace
from treadle_sandbox.pool.plan import make_plan
from treadle_sandbox.pool.queue import Queue, Request

CONFIG = PoolConfig(
    slots_per_container=4,
    min_containers=1,
    max_containers=5,
    max_starting=3,
    idle_timeout=60,
    expiry_margin=20,
)


def server(name="a", state=ServerState.READY, **changes) -> Server:
    return Server(name=name, slots=4, state=state, **changes)


def plan(*servers, waiting=0, allowed=100, now=1000.0, config=CONFIG):
    return make_plan(servers, waiting=waiting, allowed=allowed, now=now, config=config)


def test_an_empty_pool_starts_its_minimum():
    assert plan().create == 1


@pytest.mark.parametrize(("waiting", "created"), [(0, 0), (1, 1), (4, 1), (5, 2), (12, 3), (99, 3)])
def test_it_starts_as_many_as_the_waiting_fill_at_most_max_starting(waiting, created):
    assert plan(server(used=4), waiting=waiting).create == created


def test_starting_servers_count_for_those_who_wait():
    starting = server("b", ServerState.STARTING)
    assert plan(server(used=4), starting, waiting=4).create == 0
    assert plan(server(used=4), starting, waiting=5).create == 1


def test_the_pace_and_the_most_bound_creations():
    full = [server(name, used=4) for name in "abcd"]
    assert plan(*full, waiting=50).create == 1
    assert plan(server(used=4), waiting=50, allowed=2).create == 2
    assert plan(server(used=4), waiting=50, allowed=0).wanted == 4


def test_quarantined_and_starting_servers_count_against_the_most():
    fleet = [server(n, ServerState.QUARANTINED) for n in "abc"]
    assert plan(*fleet, server("d", ServerState.STARTING), waiting=50).create == 1


def test_a_quarantined_server_isnt_the_minimum():
    assert plan(server(state=ServerState.QUARANTINED)).create == 1


def test_the_longest_idle_goes_first_and_the_minimum_stays():
    old, new = server("a", idle_since=900.0), server("b", idle_since=930.0)
    busy = server("c", used=1, idle_since=0.0)
    assert plan(old, new, busy).drain == (old, new)
    assert plan(old, new).drain == (old,)
    assert plan(old).drain == ()
    assert plan(server("d", idle_since=941.0), busy).drain == ()
    assert plan(old, new, busy, waiting=1).drain == ()


def test_snapshots_and_other_drivers_keep_a_server():
    busy = server("b", used=1)
    assert plan(server(snapshots={"s"}), busy).drain == ()
    assert plan(server(foreign=1), busy).drain == ()


def test_a_server_that_ends_soon_is_replaced_then_drained_then_removed():
    soon = server(expires=1019.0)
    assert (plan(soon).create, plan(soon).drain) == (1, ())
    later = server(expires=1009.0)
    assert plan(later, server("b")).drain == (later,)
    draining = server(state=ServerState.DRAINING, used=2, expires=1001.0, drained=True)
    assert plan(draining, server("b")).remove == ()
    assert plan(draining, server("b"), now=1001.0).remove == (draining,)


def test_a_drained_server_goes_when_it_is_empty():
    draining = server(state=ServerState.DRAINING, drained=True)
    assert plan(draining, server("b")).remove == (draining,)
    draining.drained = False
    assert plan(draining, server("b")).remove == ()
    draining.drained, draining.foreign = True, 1
    assert plan(draining, server("b")).remove == ()


def test_a_quarantined_server_goes_after_so_many_failures():
    bad = server(state=ServerState.QUARANTINED, failures=CONFIG.remove_after)
    assert plan(bad, server("b")).remove == (bad,)


STATES = st.sampled_from(list(ServerState))
SERVERS = st.lists(
    st.builds(
        Server,
        name=st.uuids().map(str),
        slots=st.just(4),
        state=STATES,
        used=st.integers(0, 4),
        foreign=st.integers(0, 2),
        drained=st.booleans(),
        failures=st.integers(0, 8),
        idle_since=st.floats(0, 1000),
        expires=st.none() | st.floats(900, 1200),
    ),
    max_size=8,
)


@given(SERVERS, st.integers(0, 100), st.integers(0, 10))
def test_no_plan_exceeds_its_bounds(servers, waiting, allowed):
    made = plan(*servers, waiting=waiting, allowed=allowed)
    starting = sum(s.state is ServerState.STARTING for s in servers)
    assert 0 <= made.create <= min(allowed, made.wanted)
    assert made.create == 0 or starting + made.create <= CONFIG.max_starting
    lasting = [s for s in servers if s.free or s.state is ServerState.STARTING]
    lasting = [s for s in lasting if not s.retires(1000.0, CONFIG.expiry_margin)]
    assert made.create == 0 or len(lasting) + made.create <= CONFIG.max_containers
    for gone in made.drain:
        assert gone.idle or gone.retires(1000.0, CONFIG.expiry_margin)
    for gone in made.remove:
        assert gone.state in (ServerState.DRAINING, ServerState.QUARANTINED)


def test_offers_prefer_servers_that_last_then_fuller_ones():
    fleet = Fleet()
    for entry in (
        server("empty"),
        server("soon", used=3, expires=1010.0),
        server("fuller", used=2),
        server("full", used=3, foreign=1),
        server("out", ServerState.QUARANTINED),
    ):
        fleet.add(entry)
    assert list(fleet.offers(1000.0, 20.0).items()) == [("fuller", 2), ("empty", 4), ("soon", 1)]


def test_the_pace_allows_a_burst_and_then_a_rate():
    pace = Pace(4.0, 0.0)
    assert pace.allowed(0.0) == 4
    pace.spend(4, 0.0)
    assert (pace.allowed(0.1), pace.wait(0.1)) == (0, pytest.approx(0.15))
    assert pace.allowed(0.25) == 1
    assert pace.allowed(60.0) == 4


def test_failures_in_a_row_space_the_creations_out():
    pace, now, delays = Pace(100.0, 0.0, first_delay=1.0, longest_delay=8.0), 0.0, []
    for _ in range(6):
        pace.spend(1, now)
        pace.fail("no image", now)
        delays.append(pace.wait(now))
        assert pace.allowed(now) == 0
        now += delays[-1]
        assert pace.allowed(now) == 1
    assert delays == [1.0, 2.0, 4.0, 8.0, 8.0, 8.0]
    pace.succeed()
    assert (pace.failures, pace.reason, pace.allowed(now)) == (0, "", 100)


def queue_of(loop, *wants):
    queue, requests = Queue(), []
    for count, name in wants:
        request = Request(
            ticket=queue.next_ticket(), count=count, server=name, future=loop.create_future()
        )
        queue.add(request)
        requests.append(request)
    return queue, requests


@pytest.fixture
def loop():
    with asyncio.Runner() as runner:
        yield runner.get_loop()


def test_requests_are_met_in_order(loop):
    queue, (first, second, third) = queue_of(loop, (1, None), (1, None), (1, None))
    assert queue.match({"a": 2}) == ((first, "a"), (second, "a"))
    assert queue.match({"b": 1}) == ((third, "b"),)
    assert len(queue) == 0


def test_a_request_for_a_certain_server_keeps_it_from_later_ones(loop):
    queue, (pinned, general) = queue_of(loop, (3, "a"), (1, None))
    assert queue.match({"a": 2}) == ()
    assert queue.match({"a": 2, "b": 1}) == ((general, "b"),)
    assert queue.match({"a": 3}) == ((pinned, "a"),)


def test_a_request_that_comes_back_keeps_its_place(loop):
    queue, (first, second) = queue_of(loop, (1, None), (1, None))
    queue.match({"a": 1})
    queue.add(first)
    assert queue.match({"a": 1}) == ((first, "a"),)
    assert queue.match({"a": 1}) == ((second, "a"),)


def test_only_those_who_wait_for_a_server_hear_of_its_end(loop):
    queue, (pinned, general) = queue_of(loop, (1, "a"), (1, None))
    queue.fail(lambda: errors.SnapshotNotFoundError("gone"), server="a")
    assert isinstance(pinned.future.exception(), errors.SnapshotNotFoundError)
    assert not general.future.done()


WANTS = st.lists(st.tuples(st.integers(1, 3), st.sampled_from([None, "a", "b"])), max_size=12)


@given(WANTS, st.integers(0, 6), st.integers(0, 6))
def test_no_match_gives_more_than_is_free(wants, first, second):
    with asyncio.Runner() as runner:
        queue, requests = queue_of(runner.get_loop(), *wants)
        offers = {name: free for name, free in (("a", first), ("b", second)) if free}
        met = queue.match(offers)
        for name, free in (("a", first), ("b", second)):
            assert sum(request.count for request, given in met if given == name) <= free
        assert all(request.server in (None, name) for request, name in met)
        assert len(queue) + len(met) == len(requests)
        tickets = [request.ticket for request, _ in met]
        assert tickets == sorted(tickets)


def test_a_server_name_tells_its_pool_and_its_time():
    name = secret.server_name("a-pool", 1_700_000_000.5)
    assert secret.creation_time("a-pool", name) == 1_700_000_000.0
    assert secret.creation_time("a", name) is None
    assert secret.creation_time("a-pool", "a-pool-something-else") is None
    assert secret.server_name("a-pool", 0.0) != secret.server_name("a-pool", 0.0)


@given(st.text(max_size=60))
def test_any_name_can_be_looked_at(name):
    assert secret.creation_time("pool", name) is None or name.startswith("pool-")


def test_tokens_follow_from_the_secret_and_the_name(tmp_path):
    key = secret.load_secret(None, tmp_path / "state")
    assert (tmp_path / "state/secret").stat().st_mode & 0o777 == 0o600
    assert secret.load_secret(None, tmp_path / "state") == key
    assert secret.server_token(key, "a") == secret.server_token(key, "a")
    assert secret.server_token(key, "a") != secret.server_token(key, "b")
    assert secret.load_secret(None, None) != secret.load_secret(None, None)


def test_a_bad_secret_is_refused(tmp_path):
    with pytest.raises(errors.ConfigError, match="4 characters"):
        secret.load_secret("abcd", None)
    secret.load_secret(None, tmp_path)
    (tmp_path / "secret").chmod(0o644)
    with pytest.raises(errors.ConfigError, match="read by others"):
        secret.load_secret(None, tmp_path)


def test_an_owner_is_dead_when_its_process_is_gone():
    mine = make_owner()
    assert not owner_is_dead(mine)
    assert not owner_is_dead("")
    assert not owner_is_dead("another-machine/1:1:1:abcd")
    machine, _, started, word = mine.split(":")
    assert owner_is_dead(f"{machine}:{os.getpid()}:1{started}:{word}")
    assert owner_is_dead(f"{machine}:999999999:{started}:{word}")
