"""A terminal inside a slot: programs that draw a screen, driven by keys.

`TerminalSession` runs a real tmux in the slot, on a socket of its own, over the calls that every
lease has. What stands on the screen is read back as text; nothing is guessed about when a program
has finished: `wait_for` says what to wait for. tmux must be in the slot.
"""

import asyncio
import re
import secrets
from collections.abc import Sequence
from types import TracebackType
from typing import Protocol, Self

from treadle_sandbox.errors import InvalidCommandError, SlotLostError, UnsupportedError
from treadle_sandbox.records import ExecResult

_NOT_FOUND = 127
_NAME = "main"
_SIZE_MOST = 10_000
_FIRST_PAUSE, _LAST_PAUSE = 0.01, 0.25
_KEYS_MOST = 8_000


class CommandRunner(Protocol):
    """The part of a lease that a terminal needs."""

    async def exec(
        self, argv: Sequence[str], *, timeout: float = 30.0, output_limit: int = 1_000_000
    ) -> ExecResult:
        """Run one command to its end."""
        ...


class TerminalSession:
    """A shell on a terminal of `columns` by `rows`; enter it before use.

    It belongs to its lease: `kill_all`, `reset` and `aclose` of the lease end it too.
    """

    def __init__(
        self,
        lease: CommandRunner,
        columns: int = 80,
        rows: int = 24,
        *,
        shell: str = "bash --norc --noprofile",
        history: int = 10_000,
    ) -> None:
        _check_size(columns, rows)
        self._lease = lease
        self._size = (columns, rows)
        self._shell = shell
        self._history = history
        self._socket = f"treadle-{secrets.token_hex(6)}"
        self._open = False

    async def __aenter__(self) -> Self:
        """Start the terminal.

        Raises:
            UnsupportedError: there is no tmux in the slot.
        """
        columns, rows = map(str, self._size)
        options = ("set-option", "-g", "history-limit", str(self._history), ";")
        size = ("-x", columns, "-y", rows)
        quiet = (
            ";",
            "set-option",
            "-g",
            "status",
            "off",
            ";",
            "set-option",
            "-g",
            "prefix",
            "None",
        )
        start = ("new-session", "-d", "-s", _NAME, *size, self._shell)
        result = await self._run("-f", "/dev/null", *options, *start, *quiet)
        if result.exit_code == _NOT_FOUND:
            raise UnsupportedError("no tmux in the slot; terminal sessions need it")
        self._check(result, "start a terminal")
        self._open = True
        await self.resize(*self._size)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """End the terminal and the programs on it. May be called again."""
        if self._open:
            self._open = False
            await self._run("kill-server")

    async def send(self, text: str) -> None:
        """Type text as it is; a newline is the Enter key."""
        if "\0" in text:
            raise InvalidCommandError("a terminal can't be sent a NUL character as text")
        for line in re.split(r"(\n)", text):
            for start in range(0, len(line), _KEYS_MOST):
                piece = line[start : start + _KEYS_MOST]
                words = ("Enter",) if piece == "\n" else ("-l", "--", _escape(piece))
                await self._do("type text", "send-keys", "-t", _NAME, *words)

    async def press(self, *keys: str) -> None:
        """Press keys by their tmux names, for example `C-c`, `Up`, `Escape`, `F1`."""
        if not all(re.fullmatch(r"[!-~]{1,20}", key) for key in keys) or "" in keys:
            raise InvalidCommandError(f"{keys!r} aren't names of keys")
        await self._do("press keys", "send-keys", "-t", _NAME, "--", *map(_escape, keys))

    async def screen(self, *, history: bool = False) -> str:
        """Return the text of the screen; with `history`, of what has scrolled off it too."""
        words = ("-S", "-") if history else ()
        result = await self._do("read the screen", "capture-pane", "-p", "-t", _NAME, *words)
        return result.stdout.decode("utf-8", "replace").rstrip("\n")

    async def wait_for(self, pattern: str, *, timeout: float = 30.0) -> str:
        """Wait until a regular expression is found on the screen; return the screen.

        Raises:
            TimeoutError: it wasn't there within `timeout` seconds; the message holds the screen.
        """
        wanted, pause, screen = re.compile(pattern, re.MULTILINE), _FIRST_PAUSE, ""
        try:
            async with asyncio.timeout(timeout):
                while not wanted.search(screen := await self.screen()):
                    await asyncio.sleep(pause)
                    pause = min(2 * pause, _LAST_PAUSE)
        except TimeoutError:
            raise TimeoutError(
                f"{pattern!r} wasn't on the screen within {timeout:g} s; it shows:\n{screen}"
            ) from None
        return screen

    async def resize(self, columns: int, rows: int) -> None:
        """Change the size; programs on the terminal are told."""
        _check_size(columns, rows)
        size = ("-x", str(columns), "-y", str(rows))
        await self._do("resize the terminal", "resize-window", "-t", _NAME, *size)
        self._size = (columns, rows)

    async def _do(self, what: str, *words: str) -> ExecResult:
        if not self._open:
            raise SlotLostError("the terminal is closed or not started; use it in `async with`")
        result = await self._run(*words)
        self._check(result, what)
        return result

    def _check(self, result: ExecResult, what: str) -> None:
        if result.exit_code:
            message = result.stderr.decode("utf-8", "replace").strip()
            raise SlotLostError(f"can't {what}: {message or result.exit_code}; open a new one")

    async def _run(self, *words: str) -> ExecResult:
        return await self._lease.exec(("tmux", "-u", "-L", self._socket, *words))


def _escape(word: str) -> str:
    """Return a word for tmux, which takes a last semicolon for the end of its command."""
    return f"{word[:-1]}\\;" if word.endswith(";") else word


def _check_size(columns: int, rows: int) -> None:
    if not (0 < columns <= _SIZE_MOST and 0 < rows <= _SIZE_MOST):
        raise InvalidCommandError(
            f"a terminal of {columns} by {rows} can't be: give 1 to {_SIZE_MOST} for both"
        )
