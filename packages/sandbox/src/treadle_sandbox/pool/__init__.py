"""Pools: many sandbox servers behind one backend."""

from treadle_sandbox.pool.command import TOKEN_VARIABLE, server_options
from treadle_sandbox.pool.provider import Provider, ServerAddress

__all__ = ["TOKEN_VARIABLE", "Provider", "ServerAddress", "server_options"]
