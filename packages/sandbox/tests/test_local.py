"""What the local backend promises beyond the conformance suite."""

import asyncio
import contextlib
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

import treadle_sandbox
from treadle_sandbox import (
    BackendStateError,
    Isolation,
    IsolationUnavailableError,
    LocalBackend,
    SlotLostError,
    SlotStartError,
)
from treadle_sandbox.testing import backend_at, other_levels

SOURCE = Path(treadle_sandbox.__file__).parent.parent
IS_ROOT = os.geteuid() == 0
linux_only = pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")


def find_processes(mark: str) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                words = (entry / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if mark.encode() in words:
                found.append(int(entry.name))
    return found


def list_children(process: int) -> list[int]:
    text = Path(f"/proc/{process}/task/{process}/children").read_text()
    return [int(child) for child in text.split()]


def wait_until_gone(mark: str) -> bool:
    """Poll by waiting on each process itself, at most ten seconds a process."""
    for process in find_processes(mark):
        try:
            descriptor = os.pidfd_open(process)
        except ProcessLookupError:
            continue
        with os.fdopen(descriptor):
            select.select([descriptor], [], [], 10)
    return not find_processes(mark)


def run_program(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    base = {"PATH": os.environ["PATH"], "PYTHONPATH": str(SOURCE)}
    command = [sys.executable, "-c", code]
    return subprocess.run(
        command, env=base | environment, capture_output=True, text=True, timeout=60, check=False
    )


LEVEL_OF_AUTO = """
import asyncio, sys
from treadle_sandbox import LocalBackend, SandboxError
async def main():
    async with LocalBackend(slots=1, min_isolation="auto") as backend:
        print(backend.capabilities.isolation)
try:
    asyncio.run(main())
except SandboxError as error:
    print(type(error).__name__, error)
"""


def test_auto_takes_namespaces_which_need_no_program_on_path(tmp_path):
    done = run_program(LEVEL_OF_AUTO, PATH=str(tmp_path))
    if done.stdout.strip() == "process":
        pytest.skip("no namespaces here")
    assert done.stdout.strip() == "namespaces", done.stderr


def test_auto_falls_back_level_by_level(tmp_path):
    code = LEVEL_OF_AUTO.replace("slots=1", "slots=1, exclude=['namespaces']")
    done = run_program(code, PATH=str(tmp_path))
    assert done.stdout.strip() == "process", done.stderr
    if shutil.which("bwrap") is not None:
        (tmp_path / "bwrap").symlink_to(shutil.which("bwrap"))
        done = run_program(code, PATH=str(tmp_path))
        assert done.stdout.strip() in ("bubblewrap", "process"), done.stderr


def test_anything_below_namespaces_is_refused_by_default():
    async def main():
        backend = LocalBackend(exclude=["bubblewrap", "namespaces"])
        with pytest.raises(IsolationUnavailableError, match="min_isolation='process'"):
            await backend.__aenter__()

    asyncio.run(main())


def test_a_missing_program_is_named_in_the_refusal(tmp_path):
    code = LEVEL_OF_AUTO.replace('"auto"', '"bubblewrap"')
    done = run_program(code, PATH=str(tmp_path))
    assert done.stdout.startswith("IsolationUnavailableError"), done.stderr
    assert "'bwrap'" in done.stdout


def test_a_level_that_stops_working_is_not_replaced_by_a_weaker_one(tmp_path, monkeypatch):
    if shutil.which("bwrap") is None:
        pytest.skip("no bwrap here")
    (tmp_path / "bwrap").symlink_to(shutil.which("bwrap"))
    monkeypatch.setenv("PATH", str(tmp_path))

    async def main():
        options = {"min_isolation": "auto", "exclude": ["namespaces"]}
        async with LocalBackend(slots=1, **options) as backend:
            if backend.capabilities.isolation is Isolation.PROCESS:
                pytest.skip("no bubblewrap slots here")
            (tmp_path / "bwrap").unlink()
            with pytest.raises(SlotStartError):
                await backend.lease()
            state = backend.statistics()
            assert (state.leased, dict(state.failures)) == (0, {"SlotStartError": 1})

    asyncio.run(main())


LEAVING = """
import asyncio, sys
from treadle_sandbox import LocalBackend, Isolation
async def main(level, mark):
    exclude = [other for other in Isolation if other != level]
    async with LocalBackend(slots=2, min_isolation="auto", exclude=exclude) as backend:
        leases = [await backend.lease(), await backend.lease()]
        script = "import os, sys, time; os.fork(); os.setsid(); time.sleep(300)"
        argv = ["python3", "-I", "-S", "-c", script, mark]
        await leases[0].exec(["sh", "-c", '"$@" > /dev/null 2>&1 &', "sh", *argv])
        print("ready", flush=True)
        await leases[1].exec(argv, timeout=300)
asyncio.run(main(*sys.argv[1:]))
"""


@linux_only
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL, signal.SIGINT])
def test_a_killed_host_leaves_no_process_and_no_folder(level, number, tmp_path):
    mark = f"mark-{uuid.uuid4().hex}"
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(SOURCE), "TMPDIR": str(tmp_path)}
    command = [sys.executable, "-c", LEAVING, level, mark]
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as host:
        assert host.stdout.readline() == b"ready\n"
        host.send_signal(number)
        host.wait(20)
    assert wait_until_gone(mark)
    assert [path.name for path in tmp_path.iterdir()] == [] or wait_for_empty(tmp_path)


def wait_for_empty(folder: Path) -> bool:
    """Wait for the slots' first processes, which remove their folders last."""
    for path in folder.iterdir():
        wait_until_gone(str(path))
    with subprocess.Popen(
        ["sh", "-c", f"until [ -z \"$(ls -A '{folder}')\" ]; do :; done"]
    ) as wait:
        return wait.wait(20) == 0


@linux_only
def test_cancelling_a_rollout_leaves_no_process_and_no_folder(level, tmp_path, monkeypatch):
    mark = f"mark-{uuid.uuid4().hex}"
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    async def use(backend: LocalBackend, ready: asyncio.Event) -> None:
        async with await backend.lease() as lease:
            script = f"python3 -I -S -c 'import time; time.sleep(99)' {mark} & touch up; wait"
            running = asyncio.create_task(lease.exec(["sh", "-c", script], timeout=99))
            await lease.exec(["sh", "-c", "until test -e up; do :; done"])
            ready.set()
            await running

    async def main():
        async with backend_at(level, slots=2) as backend:
            ready = asyncio.Event()
            task = asyncio.create_task(use(backend, ready))
            await ready.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert backend.statistics().leased == 0
            assert wait_until_gone(mark)
            assert list(tmp_path.iterdir()) == []

    asyncio.run(main())


@linux_only
def test_cancelling_a_command_while_it_starts_leaves_no_process(level):
    mark = f"mark-{uuid.uuid4().hex}"

    async def main():
        async with backend_at(level) as backend, await backend.lease() as lease:
            for attempt in range(60):  # the moment that matters is short: the supervisor is forking
                argv = ["python3", "-I", "-S", "-c", "import time; time.sleep(99)", mark]
                running = asyncio.create_task(lease.exec(argv, timeout=99))
                await asyncio.sleep(0.0005 * (attempt % 4))
                running.cancel()
                await asyncio.wait([running])
                await lease.exec(["true"])
                assert wait_until_gone(mark), attempt

    asyncio.run(main())


@linux_only
def test_leases_leave_no_descriptor_process_or_folder(level, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    def count() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    async def main():
        async with backend_at(level, slots=4) as backend:
            async with await backend.lease() as lease:
                await lease.exec(["true"])
            children = list_children(os.getpid())  # the keeper, and those of other tests
            before = count()
            for _ in range(5):
                leases = await asyncio.gather(*(backend.lease() for _ in range(4)))
                await asyncio.gather(*(lease.exec(["true"]) for lease in leases))
                await asyncio.gather(*(lease.aclose() for lease in leases))
            assert count() == before
            assert list_children(os.getpid()) == children
            mounts = Path("/proc/self/mountinfo").read_text().splitlines()
            assert not [row for row in mounts if " treadle " in row or "/workspace " in row]
        assert list(tmp_path.iterdir()) == []

    asyncio.run(main())


@linux_only
def test_a_slot_killed_from_outside_is_lost_and_the_backend_goes_on(level):
    async def main():
        async with backend_at(level, slots=1) as backend:
            lease = await backend.lease()
            children = list_children(os.getpid())
            children += [inner for child in children for inner in list_children(child)]
            running = asyncio.create_task(lease.exec(["sleep", "60"], timeout=60))
            await asyncio.wait({running}, timeout=0.1)
            for child in children:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(child, signal.SIGKILL)
            with pytest.raises(SlotLostError):
                await running
            with pytest.raises(SlotLostError):
                await lease.exec(["true"])
            await lease.aclose()
            assert backend.statistics().failures["SlotLostError"] == 1
            assert backend.statistics().quarantined == 0
            async with await backend.lease() as lease:
                assert (await lease.exec(["true"])).exit_code == 0

    asyncio.run(main())


@pytest.mark.skipif(not IS_ROOT, reason="needs root, to make a folder that can't be removed")
@linux_only
def test_a_slot_that_can_not_be_emptied_is_quarantined():
    async def main():
        async with backend_at(Isolation.PROCESS, slots=1) as backend:
            lease = await backend.lease()
            stuck = f"{lease.workdir}/stuck"
            mounted = await lease.exec(["sh", "-c", "mkdir stuck && mount -t tmpfs none stuck"])
            if mounted.exit_code:
                pytest.skip(f"can't mount here: {mounted.stderr!r}")
            try:
                waiting = asyncio.create_task(backend.lease())
                await asyncio.wait({waiting}, timeout=0.01)
                await lease.aclose()
                assert backend.statistics().quarantined == 1
                with pytest.raises(BackendStateError, match="quarantine"):
                    await waiting
                with pytest.raises(BackendStateError, match="quarantine"):
                    await backend.lease()
            finally:
                await asyncio.to_thread(subprocess.run, ["umount", stuck], check=True)
                shutil.rmtree(Path(stuck).parent.parent)

    asyncio.run(main())


def test_network_is_shared_only_when_asked_for(level):
    async def main():
        with socket.create_server(("127.0.0.1", 0)) as server:
            code = (
                f"import socket; socket.create_connection(('127.0.0.1', {server.getsockname()[1]}))"
            )
            async with backend_at(level, slots=1, network=True) as backend:
                assert backend.capabilities.network
                async with await backend.lease() as lease:
                    result = await lease.exec(["python3", "-I", "-S", "-c", code])
                    assert result.exit_code == 0, result

    asyncio.run(main())


def test_read_only_paths_and_variables_reach_the_commands(level, tmp_path):
    (tmp_path / "data").write_text("given")
    tmp_path.chmod(0o755)

    async def main():
        options = {"slots": 1, "read_only": [tmp_path], "env": {"GIVEN": "yes"}}
        async with (
            backend_at(level, **options) as backend,
            await backend.lease() as lease,
        ):
            script = f"cat {tmp_path}/data; echo $GIVEN"
            assert (await lease.exec(["sh", "-c", script])).stdout == b"givenyes\n"
            if level >= Isolation.NAMESPACES:
                denied = await lease.exec(["sh", "-c", f"echo x > {tmp_path}/data"])
                assert denied.exit_code != 0
        assert (tmp_path / "data").read_text() == "given"

    asyncio.run(main())


@pytest.mark.skipif(not Path("/usr/bin/python3").exists(), reason="no system Python")
def test_another_interpreter_can_serve_the_slots(level):
    async def main():
        async with (
            backend_at(level, slots=1, python=Path("/usr/bin/python3")) as backend,
            await backend.lease() as lease,
        ):
            result = await lease.exec(["python3", "-c", "import sys; print(sys.base_prefix)"])
            assert result.stdout == b"/usr\n", result

    asyncio.run(main())


AS_USER = """
import asyncio, sys
from treadle_sandbox import Isolation, LocalBackend, Limits
from treadle_sandbox.testing import CHECKS, ISOLATION_CHECKS, run_check
async def main(level):
    exclude = [other for other in Isolation if other != level]
    limits = Limits(memory_bytes=1 << 30, disk_bytes=32 << 20, processes=64)
    options = {"min_isolation": "auto", "exclude": exclude, "limits": limits}
    async with LocalBackend(slots=2, **options) as backend:
        assert not backend.capabilities.separate_user
        for check in (*CHECKS[:8], *ISOLATION_CHECKS):
            if level != "process" or check in CHECKS:
                await run_check(check, backend)
    print("conforms")
asyncio.run(main(sys.argv[1]))
"""


@pytest.mark.skipif(not IS_ROOT, reason="the other tests run as an ordinary user already")
@pytest.mark.skipif(shutil.which("setpriv") is None, reason="no setpriv to become a user with")
def test_an_ordinary_user_gets_the_same_isolation(level):
    python = Path("/usr/bin/python3")
    probe = "import sys; sys.exit(sys.version_info < (3, 11))"
    if not python.exists() or subprocess.run([python, "-c", probe], check=False).returncode:
        pytest.skip("no Python 3.11 that every user may run")
    user = ["setpriv", "--reuid=54321", "--regid=54321", "--clear-groups", "--bounding-set=-all"]
    environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(SOURCE)}
    done = subprocess.run(
        [*user, python, "-B", "-c", AS_USER, level],
        env=environment,
        cwd="/",
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    if "Permission denied" in done.stderr and "treadle_sandbox" in done.stderr:
        pytest.skip("the source folder isn't readable for every user")
    assert done.stdout == "conforms\n", done.stderr[-3000:]


def test_levels_can_be_excluded_one_by_one(level):
    async def main():
        backend = LocalBackend(slots=1, min_isolation=level, exclude=other_levels(level))
        with pytest.raises(BackendStateError, match="async with"):
            _ = backend.capabilities
        async with backend:
            assert backend.capabilities.isolation is level
            assert backend.capabilities.backend == "local"
            assert ("disk_bytes" in backend.capabilities.unlimited) == (level == "process")
        with pytest.raises(BackendStateError, match="closed"):
            await backend.lease()
        with pytest.raises(BackendStateError, match="once"):
            await backend.__aenter__()
        await backend.aclose()

    asyncio.run(main())


def test_a_backend_closes_its_leases_and_refuses_who_waits(level):
    async def main():
        backend = backend_at(level, slots=1)
        async with backend:
            lease = await backend.lease()
            waiting = asyncio.create_task(backend.lease())
            await asyncio.wait({waiting}, timeout=0.01)
        with pytest.raises(BackendStateError, match="closed"):
            await waiting
        assert backend.statistics().leased == 0
        await lease.aclose()

    asyncio.run(main())


def test_impossible_options_are_refused():
    with pytest.raises(ValueError, match="at least one"):
        LocalBackend(slots=0)
    with pytest.raises(ValueError, match="nonsense"):
        LocalBackend(min_isolation="nonsense")
