"""Attacks by what a command leaves in its files: names, modes, sizes, hard links, swaps."""

import asyncio
import contextlib
import os
import tempfile
from pathlib import Path

from treadle_sandbox.backend import Backend, Lease
from treadle_sandbox.errors import FileTooLargeError, SlotFileError, SlotFileNotFoundError
from treadle_sandbox.testing.expectations import expect_error, run_python

_SWAPS = 300
_SWAP = (
    "mkdir -p a/d; printf inside > a/d/file; ln -s {target} l; "
    "while :; do mv a/d x; mv l a/d; mv a/d l; mv x a/d; done"
)


async def check_strange_names_come_through(backend: Backend) -> None:
    """Names that aren't UTF-8, or look like options or paths, are listed and downloaded as they
    are.
    """
    code = "import os\nfor n in (b'\\xff\\xfe', b'-rf', b'a\\nb', b' ', b'%2e%2e', b'~'):\n"
    code += " open(n, 'wb').write(n)"
    async with await backend.lease() as lease:
        await run_python(lease, code)
        names = {os.fsencode(entry.path) for entry in await lease.list_files()}
        assert names == {b"\xff\xfe", b"-rf", b"a\nb", b" ", b"%2e%2e", b"~"}, names
        for name in names:
            assert await lease.read_file(os.fsdecode(name)) == name, name
        with tempfile.TemporaryDirectory() as folder:
            assert await lease.download(".", Path(folder) / "out") == len(names)
            assert {os.fsencode(p.name) for p in (Path(folder) / "out").iterdir()} == names


async def check_doubled_and_climbing_paths_stay_inside(backend: Backend) -> None:
    """`//`, `/./` and more `..` than there are folders name files of the slot alone."""
    async with await backend.lease() as lease:
        await lease.write_file("file", b"inside")
        for path in (
            f"/{lease.workdir}//file",
            f"{lease.workdir}/./././file",
            "x/../file",
            "../" * 50 + lease.workdir[1:] + "/file",
        ):
            with contextlib.suppress(SlotFileError, SlotFileNotFoundError):
                assert await lease.read_file(path) == b"inside", path
        with contextlib.suppress(OSError):
            await lease.write_file("../" * 50 + "etc/treadle-planted", b"x")
        assert not Path("/etc/treadle-planted").exists()


async def check_special_bits_are_dropped_on_the_way_out(backend: Backend) -> None:
    """A file that is setuid, setgid or sticky in the slot is a plain file of this user outside."""
    async with await backend.lease() as lease:
        await lease.exec(["sh", "-c", "echo x > tool; chmod 7777 tool; mkdir d; cp -p tool d/"])
        with tempfile.TemporaryDirectory() as folder:
            await lease.download(".", Path(folder) / "out")
            for path in ("tool", "d/tool"):
                found = (Path(folder) / "out" / path).stat()
                assert found.st_mode & 0o7022 == 0, (path, oct(found.st_mode))
                assert found.st_uid == os.geteuid(), path


async def check_sparse_giants_meet_the_limit(backend: Backend) -> None:
    """A file that claims far more than it holds ends a read or download with a limit error."""
    size = backend.capabilities.limits.file_bytes
    async with await backend.lease() as lease:
        await run_python(lease, f"import os; os.truncate(os.open('giant', 66), {size})")
        await expect_error(FileTooLargeError, lease.read_file("giant", limit=1_000_000))
        with tempfile.TemporaryDirectory() as folder:
            target = Path(folder) / "out"
            await expect_error(FileTooLargeError, lease.download(".", target, limit=1_000_000))
            assert not (target / "giant").exists()
        assert (await lease.exec(["true"])).exit_code == 0


async def check_folders_swapped_during_transfers_stay_inside(backend: Backend) -> None:
    """A folder that is swapped for a link to the host while folders move in and out."""
    with tempfile.TemporaryDirectory() as name:
        secret, source = Path(name).resolve() / "host", Path(name).resolve() / "in"
        for folder in (secret, source):
            folder.mkdir()
        (secret / "file").write_bytes(b"host secret")
        (source / "file").write_bytes(b"inside")
        async with await backend.lease() as lease:
            script = _SWAP.format(target=secret)
            swapping = asyncio.create_task(lease.exec(["sh", "-c", script], timeout=120))
            for turn in range(_SWAPS // 10):
                await _move(lease, source, Path(name) / f"out-{turn}")
            swapping.cancel()
            await asyncio.gather(swapping, return_exceptions=True)
        assert [path.name for path in secret.iterdir()] == ["file"]
        assert (secret / "file").read_bytes() == b"host secret"


async def _move(lease: Lease, source: Path, target: Path) -> None:
    for work in (lease.upload(source, "a/d"), lease.download("a", target)):
        try:
            await work
        except OSError:
            continue
    for path in target.rglob("*"):
        if path.is_file():
            assert path.read_bytes() != b"host secret", path


CHECKS = (
    check_strange_names_come_through,
    check_doubled_and_climbing_paths_stay_inside,
    check_special_bits_are_dropped_on_the_way_out,
    check_sparse_giants_meet_the_limit,
    check_folders_swapped_during_transfers_stay_inside,
)
