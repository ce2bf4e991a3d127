"""The local backend: slots on this machine, isolated by the strongest means it has."""

from treadle_sandbox.local.backend import LocalBackend

__all__ = ["LocalBackend"]
