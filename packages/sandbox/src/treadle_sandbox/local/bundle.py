"""The in-slot program as bytes: a one-line bootstrap, and the modules it receives through its
standard input.

A slot so needs no file of this package, and the interpreter's own byte code is used when its
version is ours.
"""

import importlib.util
import marshal
from functools import cache
from importlib import resources

from treadle_sandbox.slot import frames

_MODULES = (
    *("linux", "seccomp", "frames", "output", "streams", "files", "processes", "confine"),
    *("grants", "rights", "loop", "supervisors", "commands", "shells", "sessions"),
    *("jobs", "background", "archives", "workers", "wayout", "agent", "main"),
    *("mounts", "notes", "layer", "template", "volume", "shelf", "users", "birth", "keeper"),
    "guard",
)
_PACKAGE = "treadle_sandbox.slot"
_OF_KEEPER = _MODULES[_MODULES.index("mounts") :]

_TEXT = """\
import marshal, os, sys
from _frozen_importlib_external import MAGIC_NUMBER
def take():
    size = int.from_bytes(take_exactly(4), "big")
    return marshal.loads(take_exactly(size))
def take_exactly(size):
    data = bytearray()
    while len(data) < size:
        piece = os.read(0, size - len(data))
        if not piece:
            os._exit(0)
        data += piece
    return bytes(data)
magic, modules = take()
config = take()
for package in ("treadle_sandbox", "treadle_sandbox.slot"):
    sys.modules[package] = type(sys)(package)
    sys.modules[package].__path__ = []
slot = sys.modules["treadle_sandbox"].slot = sys.modules["treadle_sandbox.slot"]
for name, source, code in modules:
    if sys.platform != "linux" and name in ("linux", "seccomp", "confine", "rights"):
        continue
    if config["level"] == "process" and name in ("seccomp", "confine", "rights"):
        continue
    if config["level"] != "keeper" and name in OF_KEEPER:
        continue
    module = type(sys)("treadle_sandbox.slot." + name)
    sys.modules[module.__name__] = module
    setattr(slot, name, module)
    if magic == MAGIC_NUMBER:
        exec(marshal.loads(code), module.__dict__)
    else:
        exec(compile(source, name, "exec"), module.__dict__)
slot.main.run(config)
"""
BOOTSTRAP = _TEXT.replace("OF_KEEPER", repr(_OF_KEEPER))
"""Program text for `python -I -S -c`."""


@cache
def build_bundle() -> bytes:
    """Return the modules of `treadle_sandbox.slot` as the first request of a slot."""
    modules: list[tuple[str, str, bytes]] = []
    for name in _MODULES:
        source = (resources.files(_PACKAGE) / f"{name}.py").read_text(encoding="utf-8")
        code = compile(source, f"<{_PACKAGE}.{name}>", "exec", dont_inherit=True)
        modules.append((name, source, marshal.dumps(code)))
    body = marshal.dumps((importlib.util.MAGIC_NUMBER, modules))
    return frames.LENGTH.pack(len(body)) + body
