"""Public fakes for tests: they speak the real protocols, so nothing needs to be patched.

`ScriptedModel` is a `ModelClient` that answers from a list. `HostWorkspace` is a `Workspace` in a
temporary folder with real processes and no isolation: for tests only. `ToyServer` is a real HTTP
server of the shapes of vLLM and OpenAI whose answers come from functions.
`RecordingClient` and `ReplayClient` write real model calls to a file and play them again.
"""

from treadle_agent_loop.testing.faults import Fault
from treadle_agent_loop.testing.replay import RecordingClient, ReplayClient
from treadle_agent_loop.testing.scripted import ScriptedModel, ScriptedTurn, call
from treadle_agent_loop.testing.server import ToyServer, toy_logprob
from treadle_agent_loop.testing.workspace import HostWorkspace

__all__ = [
    "Fault",
    "HostWorkspace",
    "RecordingClient",
    "ReplayClient",
    "ScriptedModel",
    "ScriptedTurn",
    "ToyServer",
    "call",
    "toy_logprob",
]
