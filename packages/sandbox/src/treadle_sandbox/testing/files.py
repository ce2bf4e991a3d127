"""Checks of files in a slot: exact bytes, and nothing planted leads or holds the host elsewhere."""

import asyncio
import tempfile
from pathlib import Path

from treadle_sandbox.backend import Backend
from treadle_sandbox.errors import (
    FileTooLargeError,
    InvalidCommandError,
    NotRegularFileError,
    SlotFileError,
    SlotFileNotFoundError,
)
from treadle_sandbox.testing.expectations import expect_error, run_python


async def check_files_keep_their_bytes(backend: Backend) -> None:
    """What is written is read back, by the host and by commands, under any name."""
    data = bytes(range(256)) * 40
    async with await backend.lease() as lease:
        for name in ("a.bin", "deep/er/b.bin", "日本 x", "line\nbreak", "-rf", "$(x)", "é" * 100):
            await lease.write_file(name, data)
            assert await lease.read_file(name) == data, name
        await lease.write_file("a.bin", b"short")
        assert await lease.read_file(f"{lease.workdir}/a.bin") == b"short"
        assert (await lease.exec(["cat", "a.bin"])).stdout == b"short"
        await lease.exec(["sh", "-c", "printf made > made"])
        assert await lease.read_file("made") == b"made"
        await lease.write_file("empty", b"")
        assert await lease.read_file("empty") == b""
        await lease.write_file("tool", b"#!/bin/sh\necho ran\n", executable=True)
        assert (await lease.exec(["./tool"])).stdout == b"ran\n"
        large = b"x" * 5_000_000
        await lease.write_file("large", large)
        assert await lease.read_file("large") == large


async def check_unusable_paths_are_typed_errors(backend: Backend) -> None:
    """Missing files, folders, NUL, names that are too long, and files over the limit."""
    async with await backend.lease() as lease:
        await lease.write_file("folder/file", b"12345")
        error = await expect_error(SlotFileNotFoundError, lease.read_file("absent"))
        assert isinstance(error, FileNotFoundError)
        await expect_error(SlotFileNotFoundError, lease.read_file("folder/file/below"))
        await expect_error(NotRegularFileError, lease.read_file("folder"))
        await expect_error(NotRegularFileError, lease.write_file("folder", b""))
        await expect_error(NotRegularFileError, lease.read_file("."))
        await expect_error(InvalidCommandError, lease.read_file("a\0b"))
        await expect_error(SlotFileError, lease.read_file("n" * 5000))
        await expect_error(FileTooLargeError, lease.read_file("folder/file", limit=4))
        assert await lease.read_file("folder/file", limit=5) == b"12345"
        await run_python(lease, "import os; os.truncate(os.open('sparse', 66), 200_000_000)")
        await expect_error(FileTooLargeError, lease.read_file("sparse"))


async def check_pipes_and_devices_never_hang(backend: Backend) -> None:
    """FIFOs, sockets and devices are refused at once, also behind a link."""
    async with await backend.lease() as lease:
        await lease.exec(
            ["sh", "-c", "mkfifo fifo; ln -s fifo link; ln -s /dev/zero zero; ln -s loop loop"]
        )
        await run_python(lease, "import socket; socket.socket(socket.AF_UNIX).bind('socket')")
        async with asyncio.timeout(20):
            for name in ("fifo", "link", "socket"):
                await expect_error(NotRegularFileError, lease.read_file(name))
                await expect_error(NotRegularFileError, lease.write_file(name, b"x"))
            for name in ("zero", "loop"):
                await expect_error(OSError, lease.read_file(name))
                await expect_error(OSError, lease.write_file(name, b"x"))


async def check_planted_links_stay_inside(backend: Backend) -> None:
    """Links and `..` to host files show nothing of the host and change nothing there."""
    with tempfile.TemporaryDirectory() as name:
        secret = Path(name).resolve() / "secret"
        secret.write_text("host secret", encoding="ascii")
        async with await backend.lease() as lease:
            up = "../" * 30 + str(secret)[1:]
            await lease.exec(["ln", "-s", str(secret), "absolute"])
            await lease.exec(["ln", "-s", up, "relative"])
            await lease.exec(["ln", "-s", str(secret.parent), "folder"])
            await lease.exec(["ln", "-s", "/proc/self/root", "magic"])
            paths = ("absolute", "relative", "folder/secret", up, str(secret), f"magic{secret}")
            for path in paths:
                await expect_error(OSError, lease.read_file(path))
            for path in paths:
                try:
                    await lease.write_file(path, b"overwritten")
                except OSError:
                    continue
            assert secret.read_text(encoding="ascii") == "host secret"
            await lease.write_file("real", b"inside")
            await lease.exec(["ln", "-s", "real", "inner"])
            assert await lease.read_file("inner") == b"inside"
            await lease.write_file("inner", b"changed")
            assert await lease.read_file("real") == b"changed"


async def check_swapped_links_stay_inside(backend: Backend) -> None:
    """A folder that a command keeps swapping for a link to the host never leads there."""
    with tempfile.TemporaryDirectory() as name:
        target = Path(name).resolve()
        (target / "file").write_bytes(b"host secret")
        async with await backend.lease() as lease:
            swap = f"mkdir -p a/d; printf inside > a/d/file; ln -s {target} l; "
            swap += "while :; do mv a/d x; mv l a/d; mv a/d l; mv x a/d; done"
            swapping = asyncio.create_task(lease.exec(["sh", "-c", swap], timeout=60))
            for _ in range(300):
                try:
                    assert await lease.read_file("a/d/file") == b"inside"
                    await lease.write_file("a/d/file", b"inside")
                except OSError:
                    continue
            swapping.cancel()
            await asyncio.gather(swapping, return_exceptions=True)
        assert (target / "file").read_bytes() == b"host secret"


async def check_process_files_are_refused(backend: Backend) -> None:
    """Nothing in /proc is served, also through a link."""
    async with await backend.lease() as lease:
        await lease.exec(["sh", "-c", "ln -s /proc/self/mem mem; ln -s /proc/1/environ environ"])
        for path in ("/proc/self/environ", "/proc/1/mem", "/proc/self/fd/0", "mem", "environ"):
            await expect_error(OSError, lease.read_file(path))
            await expect_error(OSError, lease.write_file(path, b"1"))


async def check_folders_move_in_and_out(backend: Backend) -> None:
    """Uploads and downloads keep bytes, layout and the run bit; links aren't followed out."""
    with tempfile.TemporaryDirectory() as name:
        host = Path(name).resolve()
        (host / "in" / "deep").mkdir(parents=True)
        (host / "in" / "deep" / "data").write_bytes(b"\0\xff")
        (host / "in" / "run").write_bytes(b"#!/bin/sh\necho up\n")
        (host / "in" / "run").chmod(0o755)
        (host / "outside").write_bytes(b"no")
        (host / "in" / "link").symlink_to(host / "outside")
        (host / "in" / "folder-link").symlink_to(host)
        async with await backend.lease() as lease:
            assert await lease.upload(host / "in", "project") == 2
            assert (await lease.exec(["project/run"])).stdout == b"up\n"
            await lease.exec(["ln", "-s", "/etc/passwd", "project/planted"])
            listed = [(entry.path, entry.executable) for entry in await lease.list_files("project")]
            assert listed == [("deep/data", False), ("run", True)], listed
            assert await lease.download("project", host / "out") == 2
            assert (host / "out" / "deep" / "data").read_bytes() == b"\0\xff"
            assert await lease.download("project/run", host / "one") == 1
            assert (host / "one").read_bytes() == b"#!/bin/sh\necho up\n"
            await expect_error(FileTooLargeError, lease.download("project", host / "x", limit=5))
            await expect_error(SlotFileNotFoundError, lease.list_files("absent"))


CHECKS = (
    check_files_keep_their_bytes,
    check_unusable_paths_are_typed_errors,
    check_pipes_and_devices_never_hang,
    check_planted_links_stay_inside,
    check_swapped_links_stay_inside,
    check_process_files_are_refused,
    check_folders_move_in_and_out,
)
