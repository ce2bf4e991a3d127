"""The earlier system's tool `tmux`: a terminal in a slot that is driven by keys.

Actions: `start` (`pane_width`, `pane_height`), `send_keys` (`keys`: text, or a list of texts and
names of keys; `block` waits until the screen stands still, `min_wait_s` at least and `max_wait_s`
at most), `capture` (`capture_entire`: with what scrolled off) and `stop`. The output is the screen.
"""

import asyncio
import re
from collections.abc import Mapping
from typing import Any, cast

from treadle_sandbox import errors
from treadle_sandbox.backend import Lease
from treadle_sandbox.terminal import TerminalSession
from treadle_sandbox.toolcalls import ToolOutput

_KEY = re.compile(
    r"(?:[CMS]-){1,3}(?:[!-~]|Up|Down|Left|Right|Home|End)|F(?:[1-9]|1[0-2])"
    r"|Enter|Escape|Space|Tab|BTab|BSpace|Up|Down|Left|Right|Home|End|PageUp|PageDown|PPage|NPage"
    r"|Insert|IC|Delete|DC"
)
_STILL = 0.3
"""Seconds without a change after which a screen stands still."""
_WIDTHS, _HEIGHTS = (20, 500), (10, 200)


class TmuxTool:
    """The terminal of one slot."""

    def __init__(self, lease: Lease) -> None:
        self._lease = lease
        self._terminal: TerminalSession | None = None

    async def run(self, arguments: Mapping[str, Any], timeout: float) -> ToolOutput:
        """Carry out one action.

        Raises:
            InvalidCommandError: an unknown action, a wrong argument, or no terminal was started.
            UnsupportedError: there is no tmux in the slot.
            SlotLostError: the slot is gone; a terminal that ended alone is a failed call.
        """
        try:
            return await self._act(arguments, timeout)
        except errors.SlotLostError as error:
            await self._lease.exec(["true"])
            self._terminal = None
            return ToolOutput(success=False, error=str(error))

    async def _act(self, arguments: Mapping[str, Any], timeout: float) -> ToolOutput:
        action = arguments.get("action")
        if action == "start":
            return await self._start(arguments)
        terminal = self._terminal
        if action not in ("send_keys", "capture", "stop"):
            raise errors.InvalidCommandError(
                f"action is {action!r}: give start, send_keys, capture or stop"
            )
        if terminal is None:
            raise errors.InvalidCommandError("no terminal was started: use the action 'start'")
        if action == "stop":
            self._terminal = None
            await terminal.aclose()
            return ToolOutput(success=True)
        if action == "send_keys":
            await self._send(terminal, arguments, timeout)
        entire = action == "capture" and bool(arguments.get("capture_entire"))
        return ToolOutput(success=True, output=await terminal.screen(history=entire))

    async def _start(self, arguments: Mapping[str, Any]) -> ToolOutput:
        columns = _whole(arguments, "pane_width", 80, _WIDTHS)
        rows = _whole(arguments, "pane_height", 24, _HEIGHTS)
        if self._terminal is not None:
            await self._terminal.aclose()
            self._terminal = None
        self._terminal = await TerminalSession(self._lease, columns, rows).__aenter__()
        return ToolOutput(success=True, output=await self._terminal.screen())

    async def _send(
        self, terminal: TerminalSession, arguments: Mapping[str, Any], timeout: float
    ) -> None:
        keys = arguments.get("keys")
        words: list[Any] = cast("list[Any]", keys) if isinstance(keys, list) else [keys]
        least = _seconds(arguments, "min_wait_s", 0.0, timeout)
        most = _seconds(arguments, "max_wait_s", timeout, timeout)
        if not all(isinstance(word, str) for word in words):
            raise errors.InvalidCommandError(f"keys is {keys!r}: give a string, or a list of them")
        for word in words:
            await (terminal.press(word) if _KEY.fullmatch(word) else terminal.send(word))
        await asyncio.sleep(least)
        if arguments.get("block"):
            await _wait_still(terminal, max(0.0, most - least))


async def _wait_still(terminal: TerminalSession, seconds: float) -> None:
    before = await terminal.screen()
    try:
        async with asyncio.timeout(seconds):
            while True:
                await asyncio.sleep(_STILL)
                now = await terminal.screen()
                if now == before:
                    return
                before = now
    except TimeoutError:
        return


def _whole(arguments: Mapping[str, Any], name: str, usual: int, bounds: tuple[int, int]) -> int:
    value = arguments.get(name, usual)
    least, most = bounds
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise errors.InvalidCommandError(f"{name} is {value!r}: give {least} to {most}")
    return value


def _seconds(arguments: Mapping[str, Any], name: str, usual: float, most: float) -> float:
    value = arguments.get(name, usual)
    if isinstance(value, bool) or not isinstance(value, int | float) or not value >= 0:
        raise errors.InvalidCommandError(f"{name} is {value!r}: give seconds from 0 up")
    return min(float(value), most)
