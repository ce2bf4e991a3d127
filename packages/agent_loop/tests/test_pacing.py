import asyncio

import pytest

from treadle_agent_loop.pacing import Turnstile


async def test_one_task_a_round_is_let_through_in_order_of_arrival():
    turnstile, rounds, passed = Turnstile(), [0], []

    async def step(number):
        await turnstile.enter()
        passed.append((number, rounds[0]))

    def count():
        rounds[0] += 1
        asyncio.get_running_loop().call_soon(count)

    asyncio.get_running_loop().call_soon(count)
    await asyncio.gather(*(step(number) for number in range(50)))
    assert [number for number, _ in passed] == list(range(50))
    assert len({at for _, at in passed}) == 50


async def test_a_task_alone_does_not_wait():
    turnstile = Turnstile()
    step = turnstile.enter()
    with pytest.raises(StopIteration):
        step.send(None)


async def test_those_who_were_cancelled_hold_nobody_up():
    turnstile = Turnstile()
    tasks = [asyncio.create_task(turnstile.enter()) for _ in range(20)]
    await asyncio.sleep(0)
    for task in tasks[::2]:
        task.cancel()
    await asyncio.wait(tasks)
    assert not any(task.cancelled() for task in tasks[1::2])
    await asyncio.wait_for(turnstile.enter(), 1)


def test_it_begins_anew_on_another_event_loop():
    turnstile = Turnstile()

    async def crowd():
        async with asyncio.TaskGroup() as group:
            for _ in range(20):
                group.create_task(turnstile.enter())
            await turnstile.enter()
            raise KeyError("ended in the middle")

    for _ in range(2):
        with pytest.raises(ExceptionGroup):
            asyncio.run(crowd())
    asyncio.run(asyncio.wait_for(turnstile.enter(), 1))
