# Old Pythons run this, and importing pathlib takes longer than a short call:
# ruff: noqa: PTH103, PTH108, PTH109, PTH110, PTH118, PTH123, UP031, UP041, SIM105, SIM115, BLE001
"""A persistent Python interpreter inside a workspace, and the client that talks to it.

The first argument is always the text of this program, so that it can start itself again.

`client FOLDER SECONDS LIMIT` reads code from standard input, has the interpreter of FOLDER run it
(starting one when there is none) and prints one JSON object: `status` (ok, error, timeout or
died), `output` (both streams as they came, at most LIMIT bytes of head and tail), and `lost`
(whether an earlier interpreter had ended by itself). A run that takes longer than SECONDS ends the
interpreter and its process group.

`serve FOLDER DESCRIPTOR` is the interpreter: it takes one connection after another from the
listening socket, and ends when its folder is gone, or when a client goes before its code is done.
"""

from __future__ import annotations

import json
import os
import socket
import sys

SOCKET, PID, OUTPUT = "socket", "pid", "output"


def main() -> None:
    """Do what the arguments say."""
    program, role, folder = sys.argv[1:4]
    if role == "serve":
        serve(folder, int(sys.argv[4]))
    else:
        client(program, folder, float(sys.argv[4]), int(sys.argv[5]))


def client(program: str, folder: str, seconds: float, limit: int) -> None:
    """Have the code on standard input run, and print what came of it."""
    home = os.getcwd()
    os.makedirs(folder, exist_ok=True)
    os.chdir(folder)
    lost = False
    connection = connect()
    if connection is None:
        lost = os.path.lexists(SOCKET)
        start(program, home)
        connection = connect()
    status = "died" if connection is None else ask(connection, sys.stdin.buffer.read(), seconds)
    if status in ("timeout", "died"):
        end()
    output = excerpt(limit).decode("utf-8", "replace")
    print(json.dumps({"status": status, "output": output, "lost": lost}))


def connect() -> socket.socket | None:
    """Return a connection to the running interpreter, or None."""
    connection = socket.socket(socket.AF_UNIX)
    try:
        connection.connect(SOCKET)
    except OSError:
        connection.close()
        return None
    return connection


def start(program: str, home: str) -> None:
    """Start an interpreter that listens here and works in `home`."""
    for name in (SOCKET, OUTPUT):
        if os.path.lexists(name):
            os.unlink(name)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(SOCKET)
    listener.listen(8)
    folder = os.getcwd()
    child = os.fork()
    if child == 0:
        os.setsid()
        nothing = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(nothing, stream)
        listener.set_inheritable(True)
        os.chdir(home)
        number = str(listener.fileno())
        os.execv(sys.executable, [sys.executable, "-c", program, program, "serve", folder, number])
    listener.close()
    with open(PID, "w") as file:
        file.write(str(child))


def ask(connection: socket.socket, code: bytes, seconds: float) -> str:
    """Send code to the interpreter and return how it went."""
    connection.settimeout(seconds)
    try:
        connection.sendall(code)
        connection.shutdown(socket.SHUT_WR)
        return read_all(connection).decode() or "died"
    except socket.timeout:
        return "timeout"
    except OSError:
        return "died"


def end() -> None:
    """Kill the interpreter and its process group."""
    try:
        with open(PID) as file:
            os.killpg(int(file.read()), 9)
    except (OSError, ValueError):
        pass
    if os.path.lexists(SOCKET):
        os.unlink(SOCKET)


def excerpt(limit: int) -> bytes:
    """Return the output, its middle left out where it has more than `limit` bytes."""
    try:
        with open(OUTPUT, "rb") as file:
            size = file.seek(0, 2)
            file.seek(0)
            if size <= limit:
                return file.read()
            head = file.read(limit * 2 // 3)
            file.seek(size - (limit - len(head)))
            note = b"\n[... %d bytes cut ...]\n" % (size - limit)
            return head + note + file.read(limit - len(head))
    except OSError:
        return b""


def read_all(connection: socket.socket) -> bytes:
    """Read to the end of a connection."""
    parts: list[bytes] = []
    while True:
        part = connection.recv(65536)
        if not part:
            return b"".join(parts)
        parts.append(part)


def serve(folder: str, descriptor: int) -> None:
    """Run the code of one connection after another in one namespace."""
    import types

    listener = socket.socket(fileno=descriptor)
    listener.settimeout(60)
    sockets = [listener]
    # A forked child that lives on must not keep a client waiting.
    os.register_at_fork(after_in_child=lambda: [entry.close() for entry in sockets])
    output = os.open(os.path.join(folder, OUTPUT), os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
    capture(output)
    sys.argv = [""]
    module = sys.modules["__main__"] = types.ModuleType("__main__")
    mine, count = os.getpid(), 0
    while True:
        try:
            connection = listener.accept()[0]
        except socket.timeout:
            if not os.path.exists(os.path.join(folder, SOCKET)):
                return
            continue
        sockets[1:] = [connection]
        connection.settimeout(None)
        code = read_all(connection).decode("utf-8", "replace")
        os.ftruncate(output, 0)
        count += 1
        end_with(connection, True)
        status = run(code, module.__dict__, "<call %d>" % count)
        capture(output)
        if os.getpid() != mine:
            os._exit(0)  # the code forked, and this is the child
        end_with(connection, False)
        try:
            connection.sendall(status.encode())
            connection.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        connection.close()


def end_with(connection: socket.socket, together: bool) -> None:
    """Have the kernel end this process group when the client goes, or no longer.

    Nobody waits for code whose client was killed. SIGIO does it, whose default is to terminate: a
    thread that watches would make every fork in the code a dangerous one.
    """
    import fcntl

    try:
        flags = fcntl.fcntl(connection, fcntl.F_GETFL)
        fcntl.fcntl(connection, fcntl.F_SETOWN, -os.getpgrp())
        flags = flags | os.O_ASYNC if together else flags & ~os.O_ASYNC
        fcntl.fcntl(connection, fcntl.F_SETFL, flags)
    except OSError:
        pass


def capture(output: int) -> None:
    """Point both streams at a file, those of children too.

    Code may have closed them, and the next connection must not take their place. Streams that code
    put in their place stay.
    """
    import faulthandler

    for stream in (1, 2):
        os.dup2(output, stream)
    for number, name in ((1, "stdout"), (2, "stderr")):
        stream = getattr(sys, name)
        if stream is None or stream.closed or stream is getattr(sys, "__%s__" % name):
            text = open(number, "w", 1, encoding="utf-8", errors="backslashreplace", closefd=False)
            setattr(sys, name, text)
    faulthandler.enable(file=2)


def run(code: str, namespace: dict[str, object], name: str) -> str:
    """Run code and print the value of a last expression; return `ok` or `error`."""
    import linecache

    linecache.cache[name] = (len(code), None, code.splitlines(True), name)
    status = "ok"
    try:
        execute(code, namespace, name)
    except SystemExit as error:
        if error.code not in (None, 0):
            status = "error"
            print("SystemExit: %s" % (error.code,))
    except BaseException as error:
        status = "error"
        report(error)
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except Exception:
            pass
    return status


def execute(code: str, namespace: dict[str, object], name: str) -> None:
    """Run code as an interactive session would."""
    import ast

    tree = ast.parse(code, name)
    last = None
    if tree.body and isinstance(tree.body[-1], ast.Expr):
        last = ast.Expression(tree.body[-1].value)
        del tree.body[-1]
    exec(compile(tree, name, "exec"), namespace)
    if last is not None:
        value = eval(compile(last, name, "eval"), namespace)
        if value is not None:
            namespace["_"] = value
            print(repr(value))


def report(error: BaseException) -> None:
    """Print a traceback that begins in the code that was run."""
    import traceback

    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_globals is globals():
        trace = trace.tb_next
    try:
        traceback.print_exception(type(error), error, trace)
    except Exception:
        print("%s (its traceback can't be shown)" % type(error).__name__)


if __name__ == "__main__":
    main()
