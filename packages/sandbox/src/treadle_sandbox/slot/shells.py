"""One persistent bash and its named pipes.

The pipes lie in a folder that only the slot's user can enter: `bash` brings the commands and gives
the shell its name in messages, `s` takes the status; outputs are numbered, because a pipe that a
background process still holds is replaced.
"""

# pathlib would double the start-up time of a slot.
# ruff: noqa: PTH102, PTH108, PTH112

import marshal
import os
from itertools import count
from typing import Any

from treadle_sandbox.slot import frames
from treadle_sandbox.slot.files import Refused, remove_tree
from treadle_sandbox.slot.supervisors import Supervisor

_numbers = count(1)
_TOLD_MOST = 4096
_BOTH = os.O_RDWR | os.O_NONBLOCK
_ARGV = ["bash", "--norc", "--noprofile", "bash"]


def quote(text: bytes) -> bytes:
    """Return text as one word of a shell command."""
    return b"'" + text.replace(b"'", b"'\\''") + b"'"


class Shell:
    """A running bash."""

    def __init__(self, request: "dict[str, Any]", setting: "dict[str, Any]") -> None:
        """Start it.

        Raises: Refused: the slot has no bash. OSError: no room for its pipes, or no process.
        """
        environment: dict[str, str] = request["env"]
        if not _is_on_path("bash", environment.get("PATH", os.defpath)):
            raise Refused(frames.NO_SHELL, "no bash in the slot")
        root = setting["root"]
        base = "/dev/shm/.slot" if root == "/" else f"{root}/run"
        self.folder = f"{base}/{next(_numbers)}"
        self.call: Any = None
        self.killed = False
        self._heard = b""
        self._places = count()
        for folder in (base, self.folder):
            if not os.path.isdir(folder):
                os.mkdir(folder, 0o700)
        self.commands = self._open("bash")
        self.status = self._open("s")
        self.outputs = [self._make(), self._make()]
        self._set_frame()
        command = marshal.dumps((_ARGV, environment, self.folder))
        null = os.open(os.devnull, os.O_RDONLY)
        try:
            self.supervisor = Supervisor(command, setting, user="user", source=null, alone=True)
        finally:
            os.close(null)
        workdir = quote(os.fsencode(request["workdir"]))
        self.pending = bytearray(b"builtin cd -- %s;builtin unset OLDPWD\n" % workdir)

    def _open(self, name: str) -> int:
        path = f"{self.folder}/{name}"
        os.mkfifo(path, 0o600)
        return os.open(path, _BOTH)

    def _make(self) -> str:
        path = f"{self.folder}/{next(self._places)}"
        os.mkfifo(path, 0o600)
        return path

    def renew(self, place: int) -> None:
        """Replace an output pipe that somebody still holds."""
        if not os.path.isdir(self.folder):
            return
        old, self.outputs[place] = self.outputs[place], self._make()
        os.unlink(old)
        self._set_frame()

    def _set_frame(self) -> None:
        output, errors, status = (
            quote(os.fsencode(path)) for path in (*self.outputs, f"{self.folder}/s")
        )
        self._middle = b" >|%s 2>|%s;if (( $? @" % (output, errors)
        self._end = b" )) 2>|%s;then :;fi\n" % status

    def frame(self, script: bytes, mark: bytes) -> bytes:
        """Return the line that runs text and then tells `mark` and the status.

        Told by an error message of `((`: unlike any builtin, a keyword can't be redefined,
        disabled or missed on PATH.
        """
        return b"builtin eval " + quote(script) + self._middle + mark + self._end

    def read_status(self, mark: bytes) -> "int | None":
        """Take in what the shell told; return the status that came with `mark`, if it came."""
        try:
            self._heard += os.read(self.status, _TOLD_MOST)
        except BlockingIOError:
            return None
        before, found, _ = self._heard.partition(b" @" + mark)
        if not self._heard.endswith(b"\n"):
            self._heard = self._heard[-_TOLD_MOST:]
            return None
        self._heard = b""
        code = before.rpartition(b" ")[2]
        return int(code) & 0xFF if found and code.isdigit() else None

    def send(self) -> bool:
        """Write what is pending; return whether all of it went out."""
        try:
            while self.pending:
                del self.pending[: os.write(self.commands, self.pending[:65_536])]
        except BlockingIOError:
            return False
        return True

    def remove(self) -> None:
        """Delete its folder."""
        self.supervisor.close()
        try:
            remove_tree(self.folder)
        except OSError:
            return


def _is_on_path(program: str, path: str) -> bool:
    return any(os.access(f"{folder}/{program}", os.X_OK) for folder in path.split(":"))
