"""The keeper: one warm process that forks slots, keeps their volumes, and ends with the host.

It is the first process of a process namespace, so that every slot ends with it, and it ends as
soon as the host closes its socket. One thread; whatever takes long is done by a fork. Slots share
its memory until they write to it. Requests are `start`, `snapshot` and `discard`; each is answered
by a note with its `id`, and `error` where it failed.
"""

# pathlib would double the start-up time of a slot.

import gc
import os
import resource
import select
import signal
import socket
from typing import Any

from treadle_sandbox.slot import archives, birth, linux, notes, seccomp, template, volume
from treadle_sandbox.slot.layer import Copy
from treadle_sandbox.slot.shelf import Shelf
from treadle_sandbox.slot.users import UserNamespaces

_LAZY_BYTES, _LAZY_FILES = 4 << 20, 2000
_INLINE_BYTES, _INLINE_FILES = 256 << 10, 200
_TOLD, _KILLED = 1, 2


class Keeper:
    """Serves one host until it is gone."""

    def __init__(self, config: "dict[str, Any]") -> None:
        self._config = config
        self._host = socket.socket(fileno=config["control"])
        self._shelf = Shelf(config["snapshot_bytes"])
        self._slots: dict[int, int] = {}
        self._copies: dict[int, tuple[int, int]] = {}
        self._users = UserNamespaces(config)
        self._filter = seccomp.build_filter(os.uname().machine)

    def run(self) -> None:
        """Prepare what slots share, tell the host, serve."""
        _prepare_process()
        if self._config["allow_root"]:
            template.make_skeleton(self._config, volume.SKELETON)
        self._template = _make_template(self._config)
        rights_held = self._config["rights"]
        self._layered = rights_held == "single" or self._users.can_map(volume.STORE)
        self._layered = self._layered and (rights_held == "root" or _can_mark())
        wake, waker = os.pipe()
        for end in (wake, waker):
            os.set_blocking(end, False)
        signal.set_wakeup_fd(waker, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, _ignore)
        bases = {base for _, _, base, _, _ in self._config["trees"] if base}
        self._mapped = all(map(self._users.can_map, bases))
        features = {"layered": self._layered, "mapped": self._mapped}
        archives.preload()
        gc.collect()
        gc.freeze()
        notes.send(self._host, {"id": 0, **features})
        self._loop(wake)

    def _loop(self, wake: int) -> None:
        poll = select.poll()
        poll.register(self._host, select.POLLIN)
        poll.register(wake, select.POLLIN)
        while True:
            for descriptor, _ in poll.poll():
                if descriptor == wake:
                    os.read(wake, 4096)
                    self._reap()
                elif not self._serve():
                    return

    def _serve(self) -> bool:
        received = notes.receive(self._host)
        if received is None:
            return False
        request, descriptors = received
        try:
            if request["op"] == "start":
                self._start(request, descriptors)
            elif request["op"] == "snapshot":
                self._snapshot(request)
            else:
                self._drop(self._shelf.discard(request["snapshot"]))
                self._tell(request, {})
        except (OSError, LookupError) as error:
            self._fail(request, error)
        finally:
            for descriptor in descriptors:
                os.close(descriptor)
        return True

    def _tell(self, request: "dict[str, Any]", note: "dict[str, Any]", *descriptors: int) -> None:
        notes.send(self._host, {"id": request["id"], **note}, *descriptors)

    def _fail(self, request: "dict[str, Any]", error: Exception) -> None:
        number = getattr(error, "errno", None) or 0
        self._tell(request, {"error": number, "message": str(error)[:2000]})

    def _start(self, request: "dict[str, Any]", descriptors: "list[int]") -> None:
        chain = self._shelf.chain(request["snapshot"]) if request["snapshot"] else ()
        users, number = self._users.get(request["index"]), self._shelf.number()
        linux.unshare(linux.CLONE_NEWPID)
        try:
            first = os.fork()
            if first == 0:
                self._become(request, descriptors, users, number, chain)
        finally:
            linux.join(self._users.own_processes, linux.CLONE_NEWPID)
        self._slots[first] = number
        self._shelf.open(number, chain if self._layered else ())
        handle = os.pidfd_open(first)
        try:
            self._tell(request, {"slot": number}, handle)
        finally:
            os.close(handle)

    def _become(
        self,
        request: "dict[str, Any]",
        descriptors: "list[int]",
        users: int,
        number: int,
        chain: "tuple[int, ...]",
    ) -> None:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        config = {
            **self._config,
            "level": "namespaces",
            "user_namespace": users,
            "slot_ids": self._users.first(request["index"]),
            "shift": self._users.shift(request["index"]),
            "mapped": self._mapped,
            "volume": number,
            "chain": chain,
            "layered": self._layered,
            "id": request["id"],
            "port": request["port"],
            "filter": self._filter,
        }
        birth.run(config, self._host, self._template, descriptors)

    def _snapshot(self, request: "dict[str, Any]") -> None:
        source = request["slot"]
        chain = self._shelf.chain(source)[1:]
        if len(chain) > volume.LAYERS_MOST:
            raise OSError(40, f"more than {volume.LAYERS_MOST} snapshots of snapshots")
        number = self._shelf.number()
        room = self._shelf.room()
        if not room:
            raise OSError(28, "no room for another snapshot; discard one")
        volume.make(number, room, self._config["files_count"] + 1000)
        self._shelf.open(number, chain if self._layered else (), snapshot=True)
        shift = -self._users.shift(request["index"])
        if volume.is_small(source, _INLINE_BYTES, _INLINE_FILES):
            if not self._copy(request, source, number, shift):
                self._drop(self._shelf.discard(number))
            return
        worker = os.fork()
        if worker == 0:
            status = _KILLED
            try:
                status = 0 if self._copy(request, source, number, shift) else _TOLD
            finally:
                os._exit(status)
        self._copies[worker] = (request["id"], number)

    def _copy(self, request: "dict[str, Any]", source: int, number: int, shift: int) -> bool:
        """Fill a snapshot's volume and tell the host; return whether it was filled."""
        try:
            copy = Copy(f"{volume.path(number)}/top", shift=shift)
            copy.run(f"{volume.path(source)}/top")
        except OSError as error:
            self._fail(request, error)
            return False
        self._tell(request, {"snapshot": number, "bytes": copy.bytes, "files": copy.files})
        return True

    def _reap(self) -> None:
        while True:
            try:
                process, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if not process:
                return
            if process in self._slots:
                self._drop(self._shelf.discard(self._slots.pop(process)))
            elif process in self._copies:
                request, number = self._copies.pop(process)
                if status:
                    self._drop(self._shelf.discard(number))
                if status and os.waitstatus_to_exitcode(status) != _TOLD:
                    note = {"id": request, "error": 5, "message": "the copy was killed"}
                    notes.send(self._host, note)

    def _drop(self, volumes: "list[int]") -> None:
        """Delete volumes, large ones in a fork: freeing memory takes time."""
        for number in volumes:
            if _is_large(number) and os.fork() == 0:
                try:
                    volume.remove(number)
                finally:
                    os._exit(0)
            elif not _is_large(number):
                volume.remove(number)


def _prepare_process() -> None:
    linux.prctl(linux.PR_SET_DUMPABLE, 1)
    linux.set_hostname("sandbox")
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    volume.make_store()
    linux.mount("proc", "/proc", "proc", 0)


def _is_large(number: int) -> bool:
    try:
        return not volume.is_small(number, _LAZY_BYTES, _LAZY_FILES)
    except OSError:
        return False


def _ignore(number: int, frame: object) -> None:
    """Stand for a handler, so that the signal wakes the poll."""


def _can_mark() -> bool:
    """Whether this kernel lets an overlay without root's rights mark folders in memory."""
    place = volume.make(0, 1 << 20, 16)
    try:
        os.setxattr(f"{place}/top", "user.overlay.opaque", b"y")
    except OSError:
        return False
    finally:
        volume.remove(0)
    return True


def _make_template(config: "dict[str, Any]") -> int:
    """Return the mount namespace that slots copy."""
    ready, go = os.pipe()
    maker = os.fork()
    if maker == 0:
        try:
            linux.unshare(linux.CLONE_NEWNS)
            template.build(config)
            os.write(go, b"!")
            signal.pause()
        except OSError as error:
            os.write(go, str(error).encode())
        finally:
            os._exit(0)
    os.close(go)
    try:
        answer = os.read(ready, 4096)
        if answer != b"!":
            raise OSError(1, answer.decode("utf-8", "replace"))
        return os.open(f"/proc/{maker}/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
    finally:
        os.close(ready)
        os.kill(maker, signal.SIGKILL)
        os.waitpid(maker, 0)
