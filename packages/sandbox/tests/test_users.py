"""Who commands run as, in slots that have an id range of their own."""

import asyncio
import os
from pathlib import Path

import pytest

from treadle_sandbox import (
    Isolation,
    IsolationUnavailableError,
    Lease,
    LocalBackend,
    Privilege,
    UnsupportedError,
)
from treadle_sandbox.testing import backend_at


def open_backend(**options) -> LocalBackend:
    return backend_at(Isolation.NAMESPACES, slots=2, **options)


async def sh(lease: Lease, script: str, privilege: Privilege = Privilege.USER) -> str:
    result = await lease.exec(["bash", "-c", script], privilege=privilege)
    return (result.stdout + result.stderr).decode()


def run(main, **options) -> None:
    async def inside():
        try:
            backend = await open_backend(**options).__aenter__()
        except IsolationUnavailableError as error:
            pytest.skip(str(error))
        async with asyncio.timeout(60):
            try:
                if not backend.capabilities.verifier_user:
                    pytest.skip("no id ranges here")
                async with await backend.lease() as lease:
                    await main(backend, lease)
            finally:
                await backend.aclose()

    asyncio.run(inside())


def test_the_verifier_reads_and_writes_every_file_of_the_user():
    async def main(backend, lease):
        await sh(lease, "umask 077; mkdir d; echo secret > d/f; chmod 000 d d/f")
        assert await sh(
            lease, "id -u; cat d/f; echo more >> d/f; echo x > d/g", Privilege.VERIFIER
        ) == ("1001\nsecret\n")
        assert await sh(lease, "chmod 700 d; chmod 600 d/f; cat d/f d/g") == "secret\nmore\nx\n"

    run(main)


def test_the_user_can_not_reach_a_process_of_the_verifier():
    reach = (
        'p=$(pgrep -u 1001 -f marker); test -n "$p" || exit 9; for n in mem fd/1 environ maps cwd;'
        "do cat /proc/$p/$n 2>&1 | tail -c 18; done; kill -9 $p; ls /proc/$p/fd; exit 0"
    )

    async def main(backend, lease):
        script = "import time; open('/tmp/up', 'w'); time.sleep(30); 'marker'"
        running = asyncio.create_task(
            lease.exec(["python3", "-I", "-S", "-c", script], privilege=Privilege.VERIFIER)
        )
        seen = await sh(lease, f"until test -e /tmp/up; do :; done; {reach}")
        assert seen.count("ermission denied") == 6, seen
        assert "Operation not permitted" in seen
        assert not running.done()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        assert await sh(lease, "pgrep -u 1001 || echo none") == "none\n"

    run(main)


def test_the_verifier_has_no_right_beyond_files():
    async def main(backend, lease):
        status = await sh(lease, "grep Cap /proc/self/status", Privilege.VERIFIER)
        sets = dict(line.split(":\t") for line in status.splitlines())
        assert sets["CapEff"] == sets["CapPrm"] == f"{1 << 1:016x}"
        for command in ("chown 1000 /tmp", "mount -t tmpfs none /tmp", "kill -9 1", "touch /usr/x"):
            denied = await sh(lease, command, Privilege.VERIFIER)
            words = ("not permitted", "denied", "Read-only", "superuser")
            assert any(word in denied for word in words), denied
        own = await sh(lease, "cat /proc/1/environ; ls /proc/1/fd", Privilege.VERIFIER)
        assert own.count("denied") == 2, own

    run(main)


def test_root_is_refused_unless_the_backend_allows_it():
    async def main(backend, lease):
        assert not backend.capabilities.root_inside
        with pytest.raises(UnsupportedError, match="root"):
            await lease.exec(["id"], privilege=Privilege.ROOT)

    run(main)


def test_root_installs_into_its_own_slot_alone():
    install = (
        "set -e; id -u; printf '#!/bin/sh\\necho hi\\n' > /usr/local/bin/hi-treadle;"
        "chmod 755 /usr/local/bin/hi-treadle; echo line >> /etc/passwd; rm /usr/bin/tac;"
        "mkdir -p /var/lib/x /opt/y; install -o 1000 -m 600 /dev/null /opt/y/z;"
        "mv /usr/share/doc /usr/share/papers"
    )
    look = "hi-treadle; tail -1 /etc/passwd; ls /usr/bin/tac; ls -ln /opt/y/z | cut -c1-18;"
    look += "ls -d /usr/share/doc"

    async def main(backend, lease):
        assert backend.capabilities.root_inside
        assert await sh(lease, install, Privilege.ROOT) == "0\n"
        seen = await sh(lease, look)
        assert seen.startswith("hi\nline\n"), seen
        assert seen.count("No such file") == 2
        assert "-rw------- 1 1000 " in seen
        async with await backend.lease() as other:
            assert "hi\n" not in await sh(other, look)
        assert not Path("/usr/local/bin/hi-treadle").exists()
        assert Path("/usr/bin/tac").exists()
        snapshot = await lease.snapshot()
        await lease.reset()
        assert "hi-treadle: command not found" in await sh(lease, look)
        await lease.restore(snapshot)
        assert await sh(lease, look) == seen

    run(main, allow_root=True)


def test_root_of_a_slot_is_nobody_outside():
    async def main(backend, lease):
        for command in (
            "mount -t tmpfs none /tmp",
            "mknod /tmp/n b 8 0",
            "unshare -m true",
            "unshare -U true",
            "chroot / true",
            "hostname x",
            "echo 1 > /proc/sys/kernel/core_pattern",
            "echo c > /proc/sysrq-trigger",
            "cat /proc/1/environ",
            "ls /proc/1/fd",
            "nsenter -t 1 -m true",
            "date -s @0",
            "echo -1000 > /proc/self/oom_score_adj",
            "touch /x",
            "touch /dev/x",
        ):
            result = await lease.exec(["bash", "-c", command], privilege=Privilege.ROOT)
            assert result.exit_code != 0, (command, result)
        assert "0000000000000000" in await sh(lease, "grep CapEff /proc/self/status")
        assert "No such file" in await sh(lease, "cat /etc/shadow", Privilege.ROOT)
        await sh(lease, "cp /bin/bash /tmp/b; chmod 4755 /tmp/b", Privilege.ROOT)
        assert await sh(lease, "/tmp/b -p -c 'id -u'") == "1000\n"

    run(main, allow_root=True)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to look at slots from outside")
def test_slots_have_separate_ids_on_the_host():
    async def main(backend, lease):
        def owners() -> set[int]:
            found = set()
            for entry in Path("/proc").iterdir():
                if entry.name.isdigit() and _reads(entry / "cmdline", b"unlikely-mark"):
                    found.add((entry / "environ").stat().st_uid)
            return found

        async with await backend.lease() as other:
            tasks = [
                asyncio.create_task(one.exec(["bash", "-c", "touch up; sleep 30; : unlikely-mark"]))
                for one in (lease, other)
            ]
            for one in (lease, other):
                await sh(one, "until test -e up; do :; done")
            seen = owners()
            assert len(seen) == 2
            assert min(seen) >= 600_000_000
            assert abs(max(seen) - min(seen)) >= 65_536
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    run(main)


def _reads(path: Path, part: bytes) -> bool:
    try:
        return part in path.read_bytes()
    except OSError:
        return False
