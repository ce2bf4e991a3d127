"""Pools: many sandbox servers behind one backend.

`backend_of` makes a pool from a configuration; `Provider` is what a platform must do.
"""

from treadle_sandbox.factory import backend_from_config as backend_of
from treadle_sandbox.pool.command import TOKEN_VARIABLE, server_options
from treadle_sandbox.pool.provider import Provider, ServerAddress

__all__ = ["TOKEN_VARIABLE", "Provider", "ServerAddress", "backend_of", "server_options"]
