"""Sandboxes of a server elsewhere: the client of `treadle-sandbox serve`. Stands alone."""

from treadle_sandbox.remote.backend import RemoteBackend
from treadle_sandbox.remote.lease import RemoteLease
from treadle_sandbox.remote.running import RemoteJob, RemoteSession
from treadle_sandbox.remote.states import LeaseState, ServerHealth

__all__ = [
    "LeaseState",
    "RemoteBackend",
    "RemoteJob",
    "RemoteLease",
    "RemoteSession",
    "ServerHealth",
]
