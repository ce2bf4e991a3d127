"""Lets stock SGLang start on a machine without a GPU, for tests; put this folder on PYTHONPATH.

SGLang's wheel imports `sgl_kernel` (CUDA, or its CPU kernels built from source) and `torchvision`
while it loads, and falls back to plain torch where the kernels aren't there. Here these two are
empty names for SGLang alone, so that the fallback is reached: its HTTP server, scheduler, cache and
sampler run as they are, on torch's own operators.
"""

import builtins
from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import Any

_ABSENT = frozenset({"sgl_kernel", "torchvision"})
_import = builtins.__import__


class _Names(type):
    def __getattr__(cls, name: str) -> Any:
        return _stand_in(name)


class _StandIn(metaclass=_Names):
    """Whatever is asked of it; none of it is ever used on a CPU."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        pass

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        return self

    def __getattr__(self, name: str) -> Any:
        return _stand_in(name)


class _Module(ModuleType):
    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and name != "__version__":
            raise AttributeError(name)
        return _Names(name, (_StandIn,), {})


def _stand_in(name: str) -> Any:
    if name.startswith("__"):
        raise AttributeError(name)
    return _StandIn()


def _import_or_stand_in(
    name: str,
    globals: Mapping[str, Any] | None = None,  # noqa: A002
    locals: Mapping[str, Any] | None = None,  # noqa: A002
    fromlist: Sequence[str] = (),
    level: int = 0,
) -> ModuleType:
    importer = str((globals or {}).get("__name__", ""))
    if level == 0 and name.partition(".")[0] in _ABSENT and importer.startswith("sglang"):
        return _Module(name)
    return _import(name, globals, locals, fromlist, level)


builtins.__import__ = _import_or_stand_in
