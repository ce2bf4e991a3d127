"""Checks of `archive` and `extract`: what is kept, and archives that mean harm."""

import asyncio
import contextlib
import gzip
import io
import tarfile

from treadle_sandbox.backend import Backend
from treadle_sandbox.errors import (
    ArchiveError,
    FileTooLargeError,
    SandboxError,
    SlotFileNotFoundError,
)
from treadle_sandbox.testing.expectations import expect_error


def _tar(*entries: tarfile.TarInfo, data: bytes = b"data") -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for entry in entries:
            entry.size = len(data) if entry.isreg() else 0
            archive.addfile(entry, io.BytesIO(data) if entry.isreg() else None)
    return buffer.getvalue()


def _entry(
    name: str, kind: bytes = tarfile.REGTYPE, link: str = "", mode: int = 0o644
) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.type, entry.linkname, entry.mode = kind, link, mode
    return entry


async def check_archives_go_out_and_in(backend: Backend) -> None:
    """Files, modes, links and odd names come back as they were, plain and compressed."""
    names = {"a b/c": b"1", "日本/ü": b"", "long/" + "n" * 200: bytes(range(256)) * 5000}
    async with await backend.lease() as lease:
        for name, data in names.items():
            await lease.write_file(f"tree/{name}", data)
        await lease.write_file("tree/run", b"#!/bin/sh\n", executable=True)
        await lease.exec(["sh", "-c", "cd tree; ln -s run link; mkdir empty; mkfifo pipe"])
        data = await lease.archive("tree")
        with tarfile.open(fileobj=io.BytesIO(data)) as archive:
            found = {entry.name: entry for entry in archive.getmembers()}
            assert set(names) < set(found), sorted(found)
            assert "pipe" not in found
            assert (found["run"].mode, found["link"].linkname) == (0o755, "run"), found
            assert (found["run"].uid, found["run"].uname) == (0, ""), found["run"]
            assert found["empty"].isdir()
        for packed, target in ((data, "plain"), (gzip.compress(data), "zipped/deep")):
            assert await lease.extract(packed, target) == len(names) + 1
            for name, content in names.items():
                assert await lease.read_file(f"{target}/{name}") == content
            assert (await lease.exec([f"./{target}/link"])).exit_code == 0
            assert (await lease.exec(["test", "-d", f"{target}/empty"])).exit_code == 0
        with tarfile.open(fileobj=io.BytesIO(await lease.archive("tree/run"))) as archive:
            assert archive.getnames() == ["run"]
        await expect_error(SlotFileNotFoundError, lease.archive("absent"))
        await expect_error(FileTooLargeError, lease.archive("tree", limit=100_000))


async def check_hostile_archives_are_refused(backend: Backend) -> None:
    """Names and links that lead out, devices, bombs and rubbish: ArchiveError, nothing written."""
    link, hard = tarfile.SYMTYPE, tarfile.LNKTYPE
    hostile = {
        "up": _tar(_entry("ok"), _entry("../out")),
        "inner up": _tar(_entry("a/../../out")),
        "absolute": _tar(_entry("/tmp/out")),
        "absolute link": _tar(_entry("l", link, "/tmp"), _entry("l/out")),
        "link up": _tar(_entry("l", link, "../.."), _entry("l/out")),
        "hard link up": _tar(_entry("l", hard, "../secret")),
        "device": _tar(_entry("null", tarfile.CHRTYPE)),
        "block device": _tar(_entry("disk", tarfile.BLKTYPE)),
        "pipe": _tar(_entry("pipe", tarfile.FIFOTYPE)),
        "long": _tar(_entry("n" * 300)),
        "deep": _tar(_entry("d/" * 3000 + "f")),
        "rubbish": b"not a tar archive" * 100,
        "cut": _tar(_entry("whole"), data=b"x" * 5000)[:2000],
        "cut gzip": gzip.compress(_tar(_entry("whole")))[:40],
        "bomb": _bomb(),
    }
    async with await backend.lease() as lease:
        await lease.write_file("secret", b"kept")
        for name, data in hostile.items():
            await expect_error(ArchiveError, lease.extract(data, "target"))
            assert await lease.read_file("secret") == b"kept", name
            assert (await lease.exec(["ls", "-A"])).stdout in (b"secret\n", b"secret\ntarget\n")
            assert (await lease.exec(["sh", "-c", "ls target /tmp/out"])).stdout.strip() in (
                b"",
                b"target:",
            ), name


def _bomb() -> bytes:
    """Return a few kilobytes that claim to unpack to four gigabytes."""
    entry = _entry("zeros")
    entry.size = 4 << 30
    return gzip.compress(entry.tobuf() + bytes(64 << 20), 6)


async def check_planted_links_do_not_lead_an_archive_out(backend: Backend) -> None:
    """A link that a command left, or swaps meanwhile, isn't followed; modes are squashed."""
    async with await backend.lease() as lease:
        await lease.exec(["sh", "-c", "mkdir target outside; ln -s ../outside target/d"])
        await lease.exec(["sh", "-c", "ln -s ../outside/file target/f"])
        with contextlib.suppress(SandboxError):
            await lease.extract(_tar(_entry("d/file")), "target")
        assert await lease.extract(_tar(_entry("f", mode=0o6777)), "target") == 1
        assert (await lease.exec(["ls", "outside"])).stdout == b""
        mode = (await lease.exec(["stat", "-c", "%a", "target/f"])).stdout
        assert mode == b"755\n", mode
        swap = "while :; do ln -sfn ../outside target/s; rm -f target/s; mkdir -p target/s; "
        swapping = await lease.start(["sh", "-c", f"{swap} rm -rf target/s; done"])
        data = _tar(*(_entry(f"s/{number}") for number in range(20)))
        await asyncio.gather(
            *(lease.extract(data, "target") for _ in range(20)), return_exceptions=True
        )
        await swapping.kill()
        assert (await lease.exec(["ls", "outside"])).stdout == b""


CHECKS = (
    check_archives_go_out_and_in,
    check_hostile_archives_are_refused,
    check_planted_links_do_not_lead_an_archive_out,
)
