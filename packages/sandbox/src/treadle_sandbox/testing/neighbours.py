"""Attacks on another slot: nothing of it can be seen, read, signalled, traced or shared."""

import contextlib

from treadle_sandbox.backend import Backend, Lease
from treadle_sandbox.testing.expectations import run_python

_LIBC = "import ctypes, errno, os\nlibc = ctypes.CDLL(None, use_errno=True)\n"
_SHARED_MEMORY = 0x54524541
_SHM = f"{_LIBC}print(libc.shmget({_SHARED_MEMORY}, 4096, {{flags}}) >= 0)"
_QUEUE = f"{_LIBC}print(libc.msgget({_SHARED_MEMORY}, {{flags}}) >= 0)"
_CREATE, _OPEN = 0o1666, 0o666
_POSIX_QUEUE = f"{_LIBC}print(libc.mq_open(b'/treadle', {{flags}}, 0o666, None) >= 0)"
_ABSTRACT = """
import socket
s = socket.socket(socket.AF_UNIX)
try:
    s.{call}("\\0treadle-neighbour")
except OSError:
    print(False)
else:
    print(True)
    if "{call}" == "bind":
        s.listen(); open("up", "w").close()
        import time; time.sleep(60)
"""
_FOREIGN = f"""{_LIBC}
import sys
me, found = os.getpid(), []
for process in range(2, 4_000_000 if len(sys.argv) > 1 else 300):
    if process == me or process == os.getppid():
        continue
    for name, arguments in (
        ("kill", (process, 0)),
        ("ptrace", (16, process, 0, 0)),
    ):
        if getattr(libc, name)(*arguments) == 0:
            found.append((name, process))
print(found)
"""


async def _says(lease: Lease, code: str) -> str:
    result = await run_python(lease, code)
    return result.stdout.decode().strip() or result.stderr.decode()[-300:]


async def check_a_neighbour_has_other_files(backend: Backend) -> None:
    """The same path is another file in every slot, in every folder that can be written."""
    async with await backend.lease() as lease, await backend.lease() as other:
        for folder in (lease.workdir, "/tmp", "/dev/shm"):
            await other.exec(["sh", "-c", f"echo theirs > {folder}/neighbour"])
            seen = await lease.exec(["cat", f"{folder}/neighbour"])
            assert seen.exit_code != 0, (folder, seen)
            await lease.exec(["sh", "-c", f"echo ours > {folder}/neighbour"])
            kept = await other.exec(["cat", f"{folder}/neighbour"])
            assert kept.stdout == b"theirs\n", (folder, kept)


async def check_system_folders_are_nobody_elses(backend: Backend) -> None:
    """A write to /usr, /etc or /opt is refused, or stays in the slot that made it."""
    async with await backend.lease() as lease, await backend.lease() as other:
        for folder in ("/usr", "/usr/bin", "/etc", "/opt", "/var", "/root", "/"):
            await lease.exec(["sh", "-c", f"echo planted > {folder}/planted"])
            seen = await other.exec(["cat", f"{folder}/planted"])
            assert seen.exit_code != 0, (folder, seen)
        await lease.reset()
        left = await lease.exec(["sh", "-c", "ls /usr/planted /usr/bin/planted /etc/planted"])
        assert left.stdout == b"", left


async def check_kernel_objects_are_not_shared(backend: Backend) -> None:
    """SysV shared memory and queues, POSIX queues and abstract sockets end at the slot."""
    async with await backend.lease() as lease, await backend.lease() as other:
        for code in (_SHM, _QUEUE):
            assert await _says(other, code.format(flags=_CREATE)) == "True", code
            assert await _says(lease, code.format(flags=_OPEN)) == "False", code
        assert await _says(lease, _POSIX_QUEUE.format(flags=0)) == "False"
        job = await other.start(["python3", "-I", "-S", "-c", _ABSTRACT.format(call="bind")])
        await other.exec(["sh", "-c", "until test -e up; do :; done"], timeout=20)
        assert await _says(lease, _ABSTRACT.format(call="connect")) == "False"
        await job.kill()


async def check_foreign_processes_are_out_of_reach(backend: Backend) -> None:
    """No process of another slot or of the host can be signalled or traced, by any number."""
    async with await backend.lease() as lease, await backend.lease() as other:
        job = await other.start(["sleep", "60"])
        assert await _says(lease, _FOREIGN) == "[]"
        state = await job.state()
        assert state.running, state
        await job.kill()


async def check_another_terminal_can_not_be_fed(backend: Backend) -> None:
    """TIOCSTI, which types into a terminal, is refused on a pseudo-terminal of one's own."""
    code = """
import errno, fcntl, os, pty, termios
_, inner = pty.openpty()
try:
    fcntl.ioctl(inner, termios.TIOCSTI, b"x")
except OSError as error:
    print(errno.errorcode[error.errno])
"""
    async with await backend.lease() as lease:
        assert await _says(lease, code) in ("EPERM", "EIO"), "TIOCSTI went through"


async def check_memory_of_others_can_not_be_read(backend: Backend) -> None:
    """process_vm_readv, pidfd_getfd and /proc/PID/mem of the slot's first process are refused."""
    code = f"""{_LIBC}
buffer = ctypes.create_string_buffer(16)
class Vector(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("length", ctypes.c_size_t)]
here = Vector(ctypes.addressof(buffer), 16)
there = Vector(0x400000, 16)
one = libc.process_vm_readv(1, ctypes.byref(here), 1, ctypes.byref(there), 1, 0)
first = errno.errorcode[ctypes.get_errno()] if one < 0 else "read"
handle = libc.syscall(434, 1, 0)
taken = libc.syscall(438, handle, 0, 0)
second = errno.errorcode[ctypes.get_errno()] if taken < 0 else "taken"
print(first, second)
"""
    async with await backend.lease() as lease:
        words = (await _says(lease, code)).split()
        assert len(words) == 2, words
        assert set(words) <= {"EPERM", "ESRCH", "EBADF", "EACCES"}, words


async def check_hard_links_give_nothing_new(backend: Backend) -> None:
    """A hard link to a system file can't be made, or can't be written through."""
    async with await backend.lease() as lease, await backend.lease() as other:
        before = (await other.exec(["cat", "/etc/passwd"])).stdout
        await lease.exec(["sh", "-c", "ln /etc/passwd linked && echo planted >> linked"])
        with contextlib.suppress(OSError):
            await lease.write_file("linked", b"planted")
        assert (await other.exec(["cat", "/etc/passwd"])).stdout == before


CHECKS = (
    check_a_neighbour_has_other_files,
    check_system_folders_are_nobody_elses,
    check_kernel_objects_are_not_shared,
    check_foreign_processes_are_out_of_reach,
    check_another_terminal_can_not_be_fed,
    check_memory_of_others_can_not_be_read,
    check_hard_links_give_nothing_new,
)
