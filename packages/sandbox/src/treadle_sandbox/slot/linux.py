"""Linux system calls that the standard library doesn't offer.

Thin wrappers over libc that raise `OSError` with the path or the name of the call. Import this
module on Linux only.
"""

import ctypes
import fcntl
import os
import struct

MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC = 1, 2, 4, 8
MS_REMOUNT, MS_NOATIME, MS_NODIRATIME, MS_BIND, MS_REC = 32, 1024, 2048, 4096, 16384
MS_PRIVATE, MS_RELATIME = 1 << 18, 1 << 21
MNT_DETACH = 2
CLONE_NEWNS, CLONE_NEWCGROUP, CLONE_NEWUTS = 0x20000, 0x2000000, 0x4000000
CLONE_NEWIPC, CLONE_NEWUSER, CLONE_NEWPID = 0x8000000, 0x10000000, 0x20000000
CLONE_NEWNET = 0x40000000
MS_SLAVE = 1 << 19

PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_SECCOMP, PR_CAPBSET_DROP = 1, 4, 22, 24
PR_SET_CHILD_SUBREAPER, PR_SET_NO_NEW_PRIVS, PR_CAP_AMBIENT = 36, 38, 47
PR_SET_KEEPCAPS, PR_CAP_AMBIENT_RAISE, PR_CAP_AMBIENT_CLEAR_ALL = 8, 2, 4
_CAPABILITY_VERSION_3 = 0x20080522
_LAST_CAPABILITY = 63

_libc = ctypes.CDLL(None, use_errno=True)


def _check(result: int, what: str) -> None:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), what)


def mount(source: str, target: str, kind: str, flags: int, data: str = "") -> None:
    """Mount a file system, or bind or remount one, as mount(2)."""
    arguments = (source.encode(), target.encode(), kind.encode(), ctypes.c_ulong(flags))
    _check(_libc.mount(*arguments, data.encode() or None), f"mount {target}")


def unmount_lazily(target: str) -> None:
    """Detach the mounts at and below `target`."""
    _check(_libc.umount2(target.encode(), MNT_DETACH), f"umount {target}")


def pivot_root(new_root: str, put_old: str) -> None:
    """Swap the root of the mount namespace, as pivot_root(2)."""
    _check(_libc.pivot_root(new_root.encode(), put_old.encode()), f"pivot_root {new_root}")


def unshare(flags: int) -> None:
    """Leave the namespaces of `flags` for new ones."""
    _check(_libc.unshare(flags), "unshare")


def join(namespace: int, flag: int) -> None:
    """Enter the namespace of a descriptor."""
    _check(_libc.setns(namespace, flag), "setns")


def call_number(number: int, what: str, *arguments: object) -> int:
    """Call a system call that libc has no function for."""
    result: int = _libc.syscall(ctypes.c_long(number), *arguments)
    _check(result, what)
    return result


def set_hostname(name: str) -> None:
    """Name the UTS namespace."""
    _check(_libc.sethostname(name.encode(), len(name)), "sethostname")


def prctl(option: int, value: int = 0, second: int = 0) -> None:
    """Call prctl(2) with up to two values."""
    arguments = [ctypes.c_ulong(number) for number in (value, second, 0, 0)]
    _check(_libc.prctl(option, *arguments), f"prctl {option}")


def set_seccomp(program: bytes) -> None:
    """Install a classic BPF filter of 8-byte instructions for this process and its children."""
    code = ctypes.create_string_buffer(program, len(program))
    header = (len(program) // 8).to_bytes(8, "little") + ctypes.addressof(code).to_bytes(
        8, "little"
    )
    pointer = ctypes.create_string_buffer(header, len(header))
    arguments = (ctypes.c_ulong(2), pointer, ctypes.c_ulong(0), ctypes.c_ulong(0))
    _check(_libc.prctl(PR_SET_SECCOMP, *arguments), "seccomp filter")


def drop_capabilities() -> None:
    """Empty the effective, permitted, inheritable, ambient and bounding sets.

    The bounding set needs a capability that some hosts withhold; `no_new_privs`, set by the caller,
    makes it unreachable in that case too.
    """
    drop_bounding(frozenset())
    _libc.prctl(PR_CAP_AMBIENT, ctypes.c_ulong(PR_CAP_AMBIENT_CLEAR_ALL), 0, 0, 0)
    set_capabilities(0, 0, 0)


def drop_bounding(kept: "frozenset[int]") -> None:
    """Take all capabilities but these from the bounding set, as far as this process may."""
    for capability in range(_LAST_CAPABILITY + 1):
        if capability not in kept:
            _libc.prctl(PR_CAPBSET_DROP, ctypes.c_ulong(capability), 0, 0, 0)


def set_capabilities(effective: int, permitted: int, inheritable: int) -> None:
    """Set this process's capability sets, as capset(2)."""
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    masks = (effective, permitted, inheritable)
    words = [mask >> shift & 0xFFFFFFFF for shift in (0, 32) for mask in masks]
    _check(_libc.capset(header, (ctypes.c_uint32 * 6)(*words)), "capset")


def set_loopback_up() -> None:
    """Bring `lo` up in the present network namespace."""
    af_inet, sock_dgram, siocsifflags, up_and_running = 2, 2, 0x8914, 0x41
    descriptor = _libc.socket(af_inet, sock_dgram, 0)
    _check(descriptor, "socket")
    try:
        fcntl.ioctl(descriptor, siocsifflags, struct.pack("16sh22x", b"lo", up_and_running))
    finally:
        os.close(descriptor)
