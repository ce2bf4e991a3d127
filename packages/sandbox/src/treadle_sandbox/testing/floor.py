"""Checks that other projects' suites have and the other modules here don't: sizes, permissions,
users.
"""

from treadle_sandbox.backend import Backend, Lease
from treadle_sandbox.errors import SlotFileError, UnsupportedError
from treadle_sandbox.records import Isolation, Privilege
from treadle_sandbox.testing.expectations import expect_error

_LARGE = 20 << 20
_ARGUMENT, _ARGUMENTS = "x" * (64 << 10), 16


async def check_large_files_and_input_come_through(backend: Backend) -> None:
    """20 MB as a file and as standard input, and a megabyte of arguments."""
    data = b"\xc3" * _LARGE
    async with await backend.lease() as lease:
        await lease.write_file("large", data)
        assert await lease.read_file("large", limit=_LARGE) == data
        counted = await lease.exec(["wc", "-c"], stdin=data, timeout=60)
        assert int(counted.stdout) == _LARGE, counted
        argv = ["printf", "%s", *[_ARGUMENT] * _ARGUMENTS]
        printed = await lease.exec(argv, output_limit=4 << 20)
        assert printed.stdout == (_ARGUMENT * _ARGUMENTS).encode(), printed.stderr


async def check_permissions_of_files_hold(backend: Backend) -> None:
    """File calls have the rights of the slot's user, not more."""
    if backend.capabilities.isolation is Isolation.PROCESS:
        return  # there they have the rights of this user, who may be root
    async with await backend.lease() as lease:
        await lease.write_file("file", b"kept")
        await lease.exec(["chmod", "a-r", "file"])
        error = await expect_error(SlotFileError, lease.read_file("file"))
        assert isinstance(error, OSError)
        assert "ermission" in str(error), error
        await lease.exec(["chmod", "a=r", "file"])
        await expect_error(SlotFileError, lease.write_file("file", b"lost"))
        assert await lease.read_file("file") == b"kept"


async def check_privileges_are_as_promised(backend: Backend) -> None:
    """Every command runs as who the capabilities say it can, or is refused by name."""
    found = backend.capabilities
    can = {Privilege.VERIFIER: found.verifier_user, Privilege.ROOT: found.root_inside}
    async with await backend.lease() as lease:
        ids = {Privilege.USER: await _id(lease, Privilege.USER)}
        for privilege, offered in can.items():
            if not offered:
                work = lease.exec(["id", "-u"], privilege=privilege)
                await expect_error(UnsupportedError, work)
                continue
            ids[privilege] = await _id(lease, privilege)
        assert len(set(ids.values())) == len(ids), ids
        if found.root_inside:
            assert ids[Privilege.ROOT] == 0, ids


async def _id(lease: Lease, privilege: Privilege) -> int:
    return int((await lease.exec(["id", "-u"], privilege=privilege)).stdout)


CHECKS = (
    check_large_files_and_input_come_through,
    check_permissions_of_files_hold,
    check_privileges_are_as_promised,
)
