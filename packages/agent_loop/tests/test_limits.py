import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from treadle_agent_loop.limits import AdaptiveLimit


async def _take(limit, count):
    return [await limit.acquire() for _ in range(count)]


def _grow(limit, rounds):
    for _ in range(rounds):
        for _ in range(limit.allowed):
            limit.succeeded()


async def test_no_more_places_than_the_ceiling_are_given():
    limit = AdaptiveLimit(3)
    await _take(limit, 3)
    late = asyncio.create_task(limit.acquire())
    await asyncio.sleep(0)
    assert (late.done(), limit.active) == (False, 3)
    limit.release()
    await late
    assert limit.active == 3


async def test_places_are_given_in_the_order_they_were_asked_for():
    limit = AdaptiveLimit(1)
    await limit.acquire()
    order = []

    async def ask(name):
        await limit.acquire()
        order.append(name)
        limit.release()

    asks = [asyncio.create_task(ask(name)) for name in "abc"]
    await asyncio.sleep(0)
    limit.release()
    await asyncio.gather(*asks)
    assert order == ["a", "b", "c"]


async def test_one_burst_of_refusals_halves_the_limit_once():
    limit = AdaptiveLimit(16)
    epochs = await _take(limit, 16)
    for epoch in epochs:
        limit.overloaded(epoch)
        limit.release()
    assert limit.allowed == 8
    (epoch,) = await _take(limit, 1)
    limit.overloaded(epoch)
    assert limit.allowed == 1  # of what was under way: one request was too much


async def test_the_limit_grows_by_one_for_a_round_of_answers_up_to_the_ceiling():
    limit = AdaptiveLimit(8)
    epochs = await _take(limit, 8)
    limit.overloaded(epochs[0])
    assert limit.allowed == 4
    _grow(limit, 1)
    assert limit.allowed in (4, 5)
    _grow(limit, 20)
    assert limit.allowed == 8


async def test_nobody_gets_a_place_while_the_server_wants_a_pause():
    limit = AdaptiveLimit(4)
    loop = asyncio.get_running_loop()
    (epoch,) = await _take(limit, 1)
    started = loop.time()
    limit.overloaded(epoch, 0.2)
    limit.release()
    await limit.acquire()
    assert loop.time() - started >= 0.2


async def test_one_that_gives_up_waiting_leaves_no_place_taken():
    limit = AdaptiveLimit(1)
    await limit.acquire()
    waiting = [asyncio.create_task(limit.acquire()) for _ in range(3)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    limit.release()  # the second gets the place, and is cancelled in the same moment
    waiting[1].cancel()
    await asyncio.wait(waiting[:2])
    await waiting[2]
    assert limit.active == 1


def test_a_ceiling_below_one_is_refused():
    with pytest.raises(ValueError, match="at least 1, not 0"):
        AdaptiveLimit(0)


@given(
    st.integers(1, 6), st.lists(st.sampled_from(["ask", "done", "refused", "cancel"]), max_size=60)
)
def test_whatever_happens_places_are_kept_within_the_limit_and_all_come_back(ceiling, steps):
    async def run():
        limit = AdaptiveLimit(ceiling)
        tasks = []
        for step in steps:
            held = [t for t in tasks if t.done() and not t.cancelled()]
            if step == "ask":
                tasks.append(asyncio.create_task(limit.acquire()))
            elif step == "cancel" and len(held) < len(tasks):
                [t for t in tasks if not t.done()][-1].cancel()
            elif held:
                task = held[0]
                tasks.remove(task)
                if step == "refused":
                    limit.overloaded(task.result())
                else:
                    limit.succeeded()
                limit.release()
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            tasks = [t for t in tasks if not (t.done() and t.cancelled())]
            assert 1 <= limit.allowed <= ceiling
            assert limit.active == sum(t.done() for t in tasks) <= ceiling
        while tasks:
            await tasks.pop(0)
            limit.release()
        assert limit.active == 0

    asyncio.run(run())
