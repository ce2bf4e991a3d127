"""Attacks from inside an isolated slot: each must fail, and the slot must stay usable."""

import asyncio
import os
import socket
import tempfile
from pathlib import Path

from treadle_sandbox.backend import Backend, Lease
from treadle_sandbox.testing.expectations import expect_output, run_python

_TRY = """
import ctypes, errno, os, socket
libc = ctypes.CDLL(None, use_errno=True)
def attempt(name, *arguments):
    result = getattr(libc, name)(*arguments)
    return "done" if result >= 0 else errno.errorcode[ctypes.get_errno()]
def opened(path, flags=os.O_RDONLY):
    try:
        os.close(os.open(path, flags))
    except OSError as error:
        return errno.errorcode[error.errno]
    return "opened"
"""


async def check_own_processes_alone_are_visible(backend: Backend) -> None:
    """Process 1 is the slot's own; other slots' and the host's processes don't exist here."""
    async with await backend.lease() as lease, await backend.lease() as other:
        running = asyncio.create_task(other.exec(["sleep", "30"]))
        code = "import os; print(max(map(int, filter(str.isdigit, os.listdir('/proc')))) < 100)"
        await expect_output(lease, code, "True")
        result = await lease.exec(["sh", "-c", "cat /proc/[0-9]*/cmdline | tr '\\0' ' '"])
        assert b"sleep 30" not in result.stdout, result
        assert (await lease.exec(["sh", "-c", "kill -9 -1; echo alive"])).exit_code in (0, 137)
        assert not running.done()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        assert (await lease.exec(["true"])).exit_code == 0


async def check_process_one_can_not_be_harmed_or_read(backend: Backend) -> None:
    """Signals, ptrace, /proc/1 and its descriptors are out of reach of commands."""
    async with await backend.lease() as lease:
        script = "for s in 1 2 3 9 11 15 17 19 20; do kill -$s 1; done; echo sent"
        await lease.exec(["sh", "-c", script])
        ptrace = "print(attempt('ptrace', 16, 1, 0, 0))"
        await expect_output(lease, f"{_TRY}\n{ptrace}", "EPERM")
        for name in ("environ", "mem", "maps", "fd/0", "fd/3", "cwd", "root"):
            result = await run_python(lease, f"{_TRY}\nprint(opened('/proc/1/{name}'))")
            assert result.stdout.strip() in (b"EACCES", b"ENOENT", b"EPERM"), (name, result)
        assert (await lease.exec(["true"])).exit_code == 0


async def check_a_supervisor_can_not_be_forged(backend: Backend) -> None:
    """A command can't reach the process that reports its exit code, by ptrace or /proc."""
    async with await backend.lease() as lease:
        code = "p = os.getppid()\n"
        code += "print(attempt('ptrace', 16, p, 0, 0), opened(f'/proc/{p}/mem', os.O_RDWR))"
        await expect_output(lease, f"{_TRY}\n{code}", "EPERM EACCES")
        code = "print(opened(f'/proc/{os.getppid()}/fd/3', os.O_WRONLY))"
        await expect_output(lease, f"{_TRY}\n{code}", "EACCES")
        killed = await lease.exec(["sh", "-c", "kill -9 $PPID; sleep 30"], timeout=10)
        assert killed.exit_code == 137, killed


async def check_the_file_system_is_minimal(backend: Backend) -> None:
    """System folders are read-only; the host's homes, temporary files and secrets don't exist."""
    with tempfile.TemporaryDirectory() as name:
        secret = Path(name) / "secret"
        secret.write_text("host secret", encoding="ascii")
        secret.chmod(0o644)
        async with await backend.lease() as lease:
            for path in (
                secret,
                Path(os.environ.get("HOME", "/root")) / ".ssh",
                Path("/var"),
                Path("/sys"),
                Path("/etc/shadow"),
            ):
                await expect_output(lease, f"{_TRY}\nprint(opened({str(path)!r}))", "ENOENT")
            for path in ("/usr/x", "/etc/x", "/x", "/dev/x", "/proc/x", "/run/x"):
                result = await run_python(
                    lease, f"{_TRY}\nprint(opened({path!r}, os.O_CREAT | os.O_WRONLY))"
                )
                assert result.stdout.strip() in (b"EROFS", b"EACCES", b"ENOENT"), (path, result)
            listing = await lease.exec(["sh", "-c", "ls /dev; ls -A /tmp"])
            assert b"vda" not in listing.stdout
            assert b"kvm" not in listing.stdout


async def check_the_host_environment_is_absent(backend: Backend) -> None:
    """No variable of the host shows in any environment, command line or mount of the slot."""
    async with await backend.lease() as lease:
        script = "cat /proc/[0-9]*/environ /proc/[0-9]*/cmdline /proc/self/mountinfo; env; :"
        seen = (await lease.exec(["sh", "-c", script])).stdout
        harmless = set(os.environ.get("PATH", "").split(":")) | {os.environ.get("HOME", "")}
        for name, value in os.environ.items():
            if len(value) >= 12 and value not in harmless and not value.startswith("/"):
                assert value.encode() not in seen, name


async def check_descriptors_are_the_standard_three(backend: Backend) -> None:
    """A command inherits 0, 1 and 2 and nothing else, and has no terminal."""
    async with await backend.lease() as lease:
        result = await lease.exec(
            ["sh", "-c", "ls /proc/$$/fd; (: < /dev/tty) 2>/dev/null || echo none"]
        )
        assert result.stdout.split() == [b"0", b"1", b"2", b"none"], result


async def check_privileges_can_not_be_had(backend: Backend) -> None:
    """No capability, no setuid, no new namespace, no mount, no device, no kernel setting."""
    async with await backend.lease() as lease:
        for attempt in (
            "attempt('mount', b'none', b'/tmp', b'tmpfs', 0, 0)",
            "attempt('umount2', b'/proc', 2)",
            "attempt('pivot_root', b'/tmp', b'/tmp')",
            "attempt('chroot', b'/tmp')",
            "attempt('unshare', 0x10000000)",
            "attempt('unshare', 0x10020000)",
            "attempt('setns', 0, 0)",
            "attempt('setuid', 0)",
            "attempt('setgid', 0)",
            "attempt('mknod', b'/tmp/n', 0o60666, 65024)",
            "attempt('sethostname', b'x', 1)",
            "attempt('klogctl', 3, ctypes.create_string_buffer(99), 99)",
        ):
            result = await run_python(lease, f"{_TRY}\nprint({attempt})")
            assert result.stdout.strip() in (b"EPERM", b"EINVAL"), (attempt, result)
        for path in (
            "/proc/sys/kernel/core_pattern",
            "/proc/sysrq-trigger",
            "/proc/sys/vm/drop_caches",
        ):
            result = await run_python(lease, f"{_TRY}\nprint(opened({path!r}, os.O_WRONLY))")
            assert result.stdout.strip() in (b"EACCES", b"EROFS", b"ENOENT", b"EPERM"), (
                path,
                result,
            )
        status = (await lease.exec(["cat", "/proc/self/status"])).stdout.decode()
        facts = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
        assert {facts[name] for name in ("CapEff", "CapPrm", "CapInh", "CapAmb")} == {"0" * 16}, (
            facts
        )
        assert facts["NoNewPrivs"] == "1", facts
        copy = "cp /bin/sh s; chmod 4755 s; ./s -c 'id -u'"
        assert (await lease.exec(["sh", "-c", copy])).stdout.strip() == b"1000"
        score = await lease.exec(["sh", "-c", "echo -1000 > /proc/self/oom_score_adj"])
        assert score.exit_code != 0, score


async def check_the_kernel_surface_is_small(backend: Backend) -> None:
    """bpf, perf, io_uring, userfaultfd, key rings, vsock and raw packet sockets answer EPERM."""
    calls = {
        "x86_64": (321, 298, 425, 323, 248, 246, 304),
        "aarch64": (280, 241, 425, 282, 217, 104, 265),
    }
    numbers = calls.get(os.uname().machine, ())
    async with await backend.lease() as lease:
        for number in numbers:
            await expect_output(
                lease, f"{_TRY}\nprint(attempt('syscall', {number}, 0, 0, 0, 0))", "EPERM"
            )
        for family in (40, 17, 38):
            await expect_output(lease, f"{_TRY}\nprint(attempt('socket', {family}, 1, 0))", "EPERM")


async def check_the_network_is_absent(backend: Backend) -> None:
    """The host's loopback, abstract sockets and any address are out of reach; the slot has its own
    `lo`.
    """
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.socket(socket.AF_UNIX) as abstract,
    ):
        abstract.bind(f"\0treadle-{os.getpid()}")
        abstract.listen()
        async with await backend.lease() as lease:
            connect = (
                "import socket\ntry:\n  socket.create_connection(({!r}, {}), 2); print('in')\n"
            )
            connect += "except OSError: print('out')"
            await expect_output(lease, connect.format("127.0.0.1", server.getsockname()[1]), "out")
            for address in ("169.254.169.254", "192.0.2.1", "::1"):
                await expect_output(lease, connect.format(address, 80), "out")
            code = f"{_TRY}\ns = socket.socket(socket.AF_UNIX)\n"
            code += f"print(s.connect_ex('\\0treadle-{os.getpid()}') == errno.ECONNREFUSED)"
            await expect_output(lease, code, "True")
            code = "import socket; s = socket.create_server(('127.0.0.1', 0))\n"
            code += "socket.create_connection(s.getsockname()); print('own')"
            await expect_output(lease, code, "own")


async def check_bombs_are_bounded(backend: Backend) -> None:
    """Fork bombs end with their command; a full disk is ENOSPC; the next command runs."""
    async with await backend.lease() as lease:
        bomb = "import os, signal\nsignal.signal(15, signal.SIG_IGN)\n"
        bomb += "while True:\n try:\n  os.fork(); os.setsid()\n except OSError: pass"
        result = await run_python(lease, bomb, timeout=2)
        assert result.timed_out, result
        await _expect_few_processes(lease)
        limits = backend.capabilities.limits
        fill = (
            f"dd if=/dev/zero of=a bs=1M count={limits.disk_bytes // (2 << 20)} && cp a b && cp a c"
        )
        full = await lease.exec(["sh", "-c", fill], timeout=60)
        assert b"No space left" in full.stderr, full
        assert (await lease.exec(["sh", "-c", "rm a b c; echo ok > d"])).exit_code == 0


async def _expect_few_processes(lease: Lease) -> None:
    code = "import os; print(sum(map(str.isdigit, os.listdir('/proc'))) < 6)"
    await expect_output(lease, code, "True")


CHECKS = (
    check_own_processes_alone_are_visible,
    check_process_one_can_not_be_harmed_or_read,
    check_a_supervisor_can_not_be_forged,
    check_the_file_system_is_minimal,
    check_the_host_environment_is_absent,
    check_descriptors_are_the_standard_three,
    check_privileges_can_not_be_had,
    check_the_kernel_surface_is_small,
    check_the_network_is_absent,
    check_bombs_are_bounded,
)
