"""Control groups on this machine, on made-up texts, and on folders that play the kernel's part."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from treadle_sandbox import IsolationUnavailableError, cgroups
from treadle_sandbox.cgroups import Bounds, Controller, DriverKind, find_driver
from treadle_sandbox.cgroups.driver import Driver
from treadle_sandbox.cgroups.legacy import LegacyTree
from treadle_sandbox.cgroups.owner import Owner, parse
from treadle_sandbox.cgroups.places import Place, find_places
from treadle_sandbox.cgroups.unified import UnifiedTree

MOUNTS = """\
31 23 0:28 / /sys/fs/cgroup ro,nosuid - tmpfs tmpfs ro,mode=755
32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:9 - cgroup cgroup rw,cpu,cpuacct
35 31 0:32 /docker/ab /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
36 31 0:33 / /sys/fs/cgroup/devices rw,relatime - cgroup cgroup rw,devices
37 31 0:34 / /sys/fs/cgroup/free\\040zer rw,relatime - cgroup cgroup rw,freezer
40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,name=systemd
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
"""
GROUPS = """\
9:name=systemd:/user
6:freezer:/a b
5:devices:/
4:memory:/docker/ab/child
1:cpu,cpuacct:/
0::/user.slice
"""


@pytest.fixture
def driver():
    found = find_driver()
    if found.kind is DriverKind.NONE:
        pytest.skip("; ".join(found.reasons))
    yield found
    assert found.close()


def need(driver, *controllers):
    missing = set(controllers) - driver.controllers
    if missing:
        pytest.skip(f"no controller {missing}: {driver.reasons}")


def run_in(group, code, *, timeout=30.0):
    """Run Python text that begins when it is in the group."""
    argv = [sys.executable, "-I", "-S", "-c", "input()\n" + code]
    with subprocess.Popen(
        argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        group.add(process.pid)
        try:
            output = process.communicate("\n", timeout)[0]
        finally:
            process.kill()
    return process.returncode, output


def ended(process):
    return process.wait(10.0)


def test_the_public_names_are_these():
    assert cgroups.__all__ == [
        "Bounds",
        "Controller",
        "Driver",
        "DriverKind",
        "Group",
        "find_driver",
    ]


def test_places_are_those_of_the_own_group():
    found = {str(place.folder): place for place in find_places(MOUNTS, GROUPS)}
    assert set(found) == {
        "/sys/fs/cgroup/cpu,cpuacct",
        "/sys/fs/cgroup/memory/child",
        "/sys/fs/cgroup/free zer/a b",
        "/sys/fs/cgroup/unified/user.slice",
    }
    assert found["/sys/fs/cgroup/cpu,cpuacct"].controllers == {"cpu"}
    assert found["/sys/fs/cgroup/unified/user.slice"].unified


def test_a_mount_that_does_not_show_the_own_group_is_left_out():
    row = "41 31 0:38 /elsewhere /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"
    assert find_places(row, "0::/here\n") == ()
    assert find_places(row, "0::/elsewhere/../other\n") == ()
    assert find_places(row, "") == ()


@given(st.text(st.characters(exclude_characters="\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029")))
def test_no_path_of_a_group_leads_above_the_mount(path):
    row = "41 31 0:38 / /mnt rw - cgroup2 cgroup2 rw\n"
    for place in find_places(row, f"0::/{path}\n"):
        assert Path("/mnt") in (place.folder, *place.folder.parents)
        assert ".." not in place.folder.parts


def test_an_owner_is_dead_only_when_that_is_certain():
    own = Owner.of(os.getpid())
    assert parse(own.name()) == own
    assert not own.is_dead()
    with subprocess.Popen(["/bin/sh", "-c", "exit 0"]) as process:
        child = Owner.of(process.pid)
    assert child.is_dead()
    elsewhere = Owner(
        boot=own.boot, namespace=own.namespace + 1, process=child.process, started=child.started
    )
    assert not elsewhere.is_dead(), "another namespace's process can't be judged from here"
    again = Owner(
        boot=own.boot, namespace=own.namespace, process=own.process, started=own.started + 1
    )
    assert again.is_dead(), "its number belongs to another process now"
    for name in ("treadle-host", "treadle-x", "other", own.name() + "x", "treadle-1-2-3-4-5"):
        assert parse(name) is None


def test_a_memory_bomb_is_killed_and_counted(driver):
    need(driver, Controller.MEMORY)
    group = driver.make("bomb", Bounds(memory_bytes=64 << 20))
    assert group.out_of_memory_kills() == 0
    code, _ = run_in(group, "x = bytearray(200 << 20)\nfor i in range(0, len(x), 4096): x[i] = 1")
    assert code == -signal.SIGKILL
    assert group.out_of_memory_kills() == 1
    assert run_in(group, "print('still works')") == (0, "still works\n")
    assert group.end()


def test_files_in_memory_are_charged(driver, tmp_path):
    need(driver, Controller.MEMORY)
    folder = Path("/dev/shm")
    if not os.access(folder, os.W_OK):
        pytest.skip("no writable /dev/shm")
    group = driver.make("files", Bounds(memory_bytes=64 << 20))
    name = folder / f"treadle-test-{os.getpid()}"
    try:
        code, _ = run_in(group, f"open({str(name)!r}, 'wb').write(bytes(200 << 20))")
    finally:
        name.unlink(missing_ok=True)
    assert code == -signal.SIGKILL
    assert group.out_of_memory_kills() == 1
    assert group.end()


def test_a_fork_bomb_gets_eagain_and_dies_with_its_group(driver):
    need(driver, Controller.PIDS)
    group = driver.make("forks", Bounds(processes=20))
    code = """
import os, signal, errno
for number in (1, 2, 15): signal.signal(number, signal.SIG_IGN)
count = 0
while True:
    try:
        if os.fork() == 0:
            os.setsid()
            while True: signal.pause()
    except OSError as error:
        print(count, errno.errorcode[error.errno], flush=True); break
    count += 1
signal.pause()
"""
    with subprocess.Popen(
        [sys.executable, "-I", "-c", "input()\n" + code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        group.add(process.pid)
        process.stdin.write("\n")
        process.stdin.flush()
        assert process.stdout.readline() == "19 EAGAIN\n"
        assert len(group.processes()) == 20
        group.kill()
        assert ended(process) == -signal.SIGKILL
    assert group.end()


def test_a_group_that_keeps_forking_is_emptied_without_the_order_of_version_2(driver):
    need(driver, Controller.PIDS)
    legacy = [tree for tree in driver._trees if isinstance(tree, LegacyTree)]
    if not legacy:
        pytest.skip("this machine has version 2 alone")
    name = Owner.of(os.getpid()).name()
    for tree in legacy:
        tree.prepare(tree.folder / name)
    only = Driver(legacy, name, ())
    assert only.kind is DriverKind.V1
    group = only.make("forks", Bounds(processes=40))
    code = """
import os
while True:
    try:
        if os.fork(): os._exit(0)
        os.setsid(); print(flush=True)
    except OSError: pass
"""
    with subprocess.Popen(
        [sys.executable, "-I", "-c", "input()\n" + code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        group.add(process.pid)
        process.stdin.write("\n")
        process.stdin.flush()
        process.stdout.readline()
        assert group.end()
        process.stdout.read()
    assert group.processes() == ()
    assert only.close()


def test_a_processor_quota_holds(driver):
    need(driver, Controller.CPU)
    group = driver.make("spin", Bounds(cpus=0.2))
    code = """
import time
end = time.monotonic() + 1.5
while time.monotonic() < end: pass
print(time.process_time())
"""
    _, output = run_in(group, code)
    assert float(output) < 0.6 * 1.5, "without a quota it is about 1.5"
    assert group.end()


def test_limits_of_one_group_do_not_reach_the_next(driver):
    need(driver, Controller.MEMORY, Controller.PIDS)
    first = driver.make("one", Bounds(memory_bytes=32 << 20, processes=3))
    assert first.end()
    second = driver.make("one", Bounds())
    assert second.out_of_memory_kills() == 0
    assert run_in(second, "x = bytes(100 << 20); print(len(x))")[0] == 0
    assert second.end()


def test_groups_of_a_killed_owner_are_reclaimed_with_what_runs_in_them(driver):
    program = """
import subprocess, sys
from treadle_sandbox.cgroups import Bounds, find_driver
group = find_driver().make("left", Bounds())
child = subprocess.Popen(["/bin/sh", "-c", "echo; read line"], stdin=subprocess.PIPE)
group.add(child.pid)
print(child.pid, flush=True)
input()
"""
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        lines = {process.stdout.readline().strip(), process.stdout.readline().strip()}
        assert driver.reclaim() == 0, "its owner lives"
        left = int(max(lines))
        watched = os.pidfd_open(left)
        process.kill()
    try:
        assert driver.reclaim() >= 1
        signal.pidfd_send_signal(watched, 0)
    except ProcessLookupError:
        pass
    finally:
        os.close(watched)
    assert driver.reclaim() == 0


def test_making_and_ending_leaves_nothing(driver):
    before = set(Path("/proc/self/fd").iterdir())
    began = time.monotonic()
    for number in range(200):
        group = driver.make(f"slot-{number}", Bounds())
        group.kill()
        assert group.end()
    assert set(Path("/proc/self/fd").iterdir()) == before
    assert time.monotonic() - began < 20
    for tree in driver._trees:
        assert list((tree.folder / driver._name).glob("slot-*")) == []


def test_bounds_that_would_not_hold_are_refused():
    nothing = Driver((), "", ("/sys/fs/cgroup is read-only",))
    assert nothing.kind is DriverKind.NONE
    nothing.check(Bounds())
    with pytest.raises(IsolationUnavailableError, match=r"slot_memory_bytes.*read-only"):
        nothing.check(Bounds(memory_bytes=1 << 30))
    with pytest.raises(IsolationUnavailableError, match="slot_cpus"):
        nothing.check(Bounds(cpus=0.5))
    group = nothing.make("slot", Bounds())
    group.add(os.getpid())
    assert group.out_of_memory_kills() == 0
    assert group.processes() == ()
    assert group.remove()
    assert nothing.reclaim() == 0
    assert nothing.close()


@pytest.mark.parametrize(("cpus", "text"), [(0.5, "50000 100000"), (2.0, "200000 100000")])
def test_version_2_is_written_as_the_kernel_reads_it(tmp_path, cpus, text):
    (tmp_path / "cgroup.controllers").write_text("cpuset cpu io memory hugetlb pids\n")
    (tmp_path / "cgroup.subtree_control").write_text("cpu memory pids\n")
    tree = UnifiedTree.open(Place(folder=tmp_path, unified=True, controllers=frozenset()))
    assert tree.controllers == set(Controller)
    assert not tree.enabled
    group = tmp_path / "group"
    group.mkdir()
    for name in ("memory.max", "memory.swap.max", "pids.max", "cpu.max"):
        (group / name).touch()
    tree.bound(group, Bounds(memory_bytes=1 << 20, processes=7, cpus=cpus))
    written = {path.name: path.read_text() for path in group.iterdir()}
    assert written == {
        "memory.max": "1048576",
        "memory.swap.max": "0",
        "pids.max": "7",
        "cpu.max": text,
    }
