"""Running a program's work until it ends or a signal asks it to stop."""

import asyncio
import signal
import threading
from collections.abc import Coroutine
from typing import Any


async def until_stopped(work: Coroutine[Any, Any, None]) -> signal.Signals | None:
    """Run `work`; SIGINT or SIGTERM cancels it, so that all it opened is closed.

    Returns the signal that ended it, or None. SIGINT counts also where the shell that started this
    process in the background ignores it.
    """
    task = asyncio.create_task(work)
    stopped: list[signal.Signals] = []

    def stop(number: signal.Signals) -> None:
        stopped.append(number)
        task.cancel()

    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, stop, number)
    try:
        await task
    except asyncio.CancelledError:
        if not stopped:
            raise
        return stopped[0]
    return None
