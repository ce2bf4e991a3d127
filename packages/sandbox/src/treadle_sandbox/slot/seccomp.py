"""The system call filter of a slot: what no workspace command needs and a sandbox must not offer.

Refused with EPERM: new user namespaces, joining namespaces, kernel key rings, BPF, perf, io_uring,
userfaultfd, kexec, modules, opening files by handle, feeding input to a terminal, and sockets of
families that a network namespace doesn't contain (vsock reaches the hypervisor) or that only widen
the kernel's attack surface. `clone3` answers ENOSYS, because a filter can't read its flags and libc
falls back to `clone`. System calls of a foreign architecture answer ENOSYS. Numbers: the kernel's
syscall tables.
"""

import struct

_LOAD, _EQUAL, _GREATER_EQUAL, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_ALLOW, _EPERM, _ENOSYS = 0x7FFF0000, 0x00050001, 0x00050026
_NUMBER, _ARCHITECTURE, _ARGUMENT_0, _ARGUMENT_1 = 0, 4, 16, 24
_CLONE_NEWUSER = 0x10000000
_TIOCSTI, _TIOCLINUX = 0x5412, 0x541C
_SOCKET_FAMILIES = (1, 2, 10, 16)
_CLONE3 = 435
_X32_BIT = 0x40000000

_NEWER = (425, 426, 427, 428, 429, 430, 431, 432, 433, 438, 442)
_X86_64_OLDER = (155, 161, 163, 165, 166, 167, 168, 169, 175, 176, 246, 248, 249, 250, 298, 303)
_X86_64_REFUSED = (*_X86_64_OLDER, 304, 308, 313, 320, 321, 323, *_NEWER)
_GENERIC_OLDER = (39, 40, 41, 51, 89, 104, 105, 106, 142, 217, 218, 219, 224, 225, 241, 264, 265)
_GENERIC_REFUSED = (*_GENERIC_OLDER, 268, 273, 280, 282, 294, *_NEWER)


class _Table:
    """The numbers of one machine that the filter names."""

    def __init__(
        self,
        audit: int,
        refused: "tuple[int, ...]",
        *,
        clone: int,
        unshare: int,
        ioctl: int,
        socket: int,
    ) -> None:
        self.audit, self.refused = audit, refused
        self.clone, self.unshare, self.ioctl, self.socket = clone, unshare, ioctl, socket


_X86_64 = _Table(0xC000003E, _X86_64_REFUSED, clone=56, unshare=272, ioctl=16, socket=41)
_AARCH64 = _Table(0xC00000B7, _GENERIC_REFUSED, clone=220, unshare=97, ioctl=29, socket=198)
_RISCV64 = _Table(0xC00000F3, _GENERIC_REFUSED, clone=220, unshare=97, ioctl=29, socket=198)
_TABLES = {"x86_64": _X86_64, "aarch64": _AARCH64, "riscv64": _RISCV64}


class UnsupportedMachineError(OSError):
    """No system call table for this machine: a namespaced slot can't be built here."""


def _step(code: int, value: int, when_true: int = 0, when_false: int = 0) -> bytes:
    return struct.pack("<HBBI", code, when_true, when_false, value)


def _one_of(
    offset: int, number: int, values: "tuple[int, ...]", inside: int, outside: int
) -> bytes:
    """Return steps that end the call `number` by whether an argument is among `values`."""
    tests = [_step(_EQUAL, value, len(values) - i, 0) for i, value in enumerate(values)]
    body = b"".join([_step(_LOAD, offset), *tests, _step(_RETURN, outside), _step(_RETURN, inside)])
    return _step(_EQUAL, number, 0, len(body) // 8) + body


def _without_new_user(number: int) -> bytes:
    body = [_step(_LOAD, _ARGUMENT_0), _step(_ANY_BIT, _CLONE_NEWUSER, 0, 1)]
    body += [_step(_RETURN, _EPERM), _step(_RETURN, _ALLOW)]
    return _step(_EQUAL, number, 0, len(body)) + b"".join(body)


def build_filter(machine: str) -> bytes:
    """Return the BPF program for a machine name of `os.uname()`.

    Raises:
        UnsupportedMachineError: the numbers of this machine aren't known.
    """
    table = _TABLES.get(machine)
    if table is None:
        raise UnsupportedMachineError(38, f"no system call table for {machine!r}")
    steps = [_step(_LOAD, _ARCHITECTURE), _step(_EQUAL, table.audit, 1, 0), _step(_RETURN, _ENOSYS)]
    steps += [_step(_LOAD, _NUMBER), _step(_GREATER_EQUAL, _X32_BIT, 0, 1), _step(_RETURN, _ENOSYS)]
    steps += [_step(_EQUAL, _CLONE3, 0, 1), _step(_RETURN, _ENOSYS)]
    for number in table.refused:
        steps += [_step(_EQUAL, number, 0, 1), _step(_RETURN, _EPERM)]
    steps += [_without_new_user(table.clone), _without_new_user(table.unshare)]
    steps.append(_one_of(_ARGUMENT_1, table.ioctl, (_TIOCSTI, _TIOCLINUX), _EPERM, _ALLOW))
    steps.append(_one_of(_ARGUMENT_0, table.socket, _SOCKET_FAMILIES, _ALLOW, _EPERM))
    return b"".join([*steps, _step(_RETURN, _ALLOW)])
