"""Terminals in a slot, on a real tmux."""

import asyncio
import shutil

import pytest

from treadle_sandbox import InvalidCommandError, Isolation, SlotLostError, UnsupportedError
from treadle_sandbox.terminal import TerminalSession
from treadle_sandbox.testing import backend_at

needs_tmux = pytest.mark.skipif(shutil.which("tmux") is None, reason="no tmux here")


async def use_terminal(lease):
    async with TerminalSession(lease, 60, 10) as terminal:
        await terminal.send("PS1='ready> '; clear\n")
        await terminal.wait_for(r"^ready>$")
        await terminal.send("stty size; echo 'one; $(two)'\n")
        screen = await terminal.wait_for(r"^one; ")
        assert "10 60" in screen
        assert "one; $(two)" in screen.splitlines()
        await terminal.resize(100, 30)
        await terminal.send("clear; stty size; printf '\\e[31mré\\e[0m\\n'\n")
        assert "30 100" in await terminal.wait_for(r"^ré$")
        await terminal.send("clear; seq 200; echo done\n")
        await terminal.wait_for(r"^done$")
        assert "\n42\n" not in await terminal.screen()
        assert "\n42\n" in await terminal.screen(history=True)
        await terminal.send("clear; echo reading; cat; echo left $?\n")
        await terminal.wait_for(r"^reading$")
        await terminal.send("typed -n ;\n")
        await terminal.wait_for(r"^typed -n ;\ntyped -n ;$")
        await terminal.press("C-c")
        await terminal.wait_for(r"^\^C|^ready>$")
        with pytest.raises(TimeoutError, match="ready>"):
            await terminal.wait_for("never", timeout=0.2)
        with pytest.raises(InvalidCommandError):
            await terminal.press("a b")
        with pytest.raises(InvalidCommandError):
            await terminal.send("a\0b")
    await terminal.aclose()
    with pytest.raises(SlotLostError, match="closed"):
        await terminal.screen()
    found = await lease.exec(["sh", "-c", "cat /proc/[0-9]*/comm | grep -c tmux"])
    assert found.stdout == b"0\n"


@needs_tmux
def test_a_terminal_shows_types_resizes_and_scrolls(level):
    async def main():
        async with backend_at(level, slots=1) as backend, await backend.lease() as lease:
            if level == "process":
                async with TerminalSession(lease) as terminal:
                    await terminal.send("echo $((6 * 7))\n")
                    await terminal.wait_for("^42$")
            else:
                await use_terminal(lease)

    asyncio.run(main())


def test_a_slot_without_tmux_is_told_so():
    async def main():
        options = {"slots": 1, "env": {"PATH": "/nowhere"}}
        async with (
            backend_at(Isolation.PROCESS, **options) as backend,
            await backend.lease() as lease,
        ):
            with pytest.raises(UnsupportedError, match="tmux"):
                await TerminalSession(lease).__aenter__()
            with pytest.raises(UnsupportedError, match="bash"):
                await lease.session()

    asyncio.run(main())


def test_a_terminal_of_no_size_is_refused():
    with pytest.raises(InvalidCommandError, match="0 by 24"):
        TerminalSession(None, 0)
