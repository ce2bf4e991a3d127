"""Where the pool calls others: every call has a deadline and ends in a typed error."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from treadle_sandbox.errors import SandboxError, ServerError

Result = TypeVar("Result")


async def within(seconds: float, call: Awaitable[Result], what: str) -> Result:
    """Await a call of a platform or server for at most `seconds`.

    Raises:
        ServerError: no answer in time, or an error that isn't typed; names `what`.
    """
    try:
        async with asyncio.timeout(seconds):
            return await call
    except SandboxError:
        raise
    except TimeoutError:
        raise ServerError(f"{what}: no answer within {seconds:g} s") from None
    except Exception as error:
        raise ServerError(f"{what}: {type(error).__name__}: {error}") from error


async def finish(work: Coroutine[Any, Any, Result]) -> Result:
    """Await work to its end even when the caller is cancelled, then let the cancellation go on."""
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        while not task.done():
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait({task})
        raise


async def obtain(
    call: Coroutine[Any, Any, Result], undo: Callable[[Result], Awaitable[object]]
) -> Result:
    """Await a call that acquires something. Cancelled, undo what it acquired all the same."""
    task = asyncio.ensure_future(call)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await finish(_undo(task, undo))
        raise


async def _undo(
    task: "asyncio.Future[Result]", undo: Callable[[Result], Awaitable[object]]
) -> None:
    task.cancel()
    await asyncio.wait({task})
    if not task.cancelled() and task.exception() is None:
        await undo(task.result())
