"""Public fakes for tests: they speak the real protocols, so nothing needs to be patched.

`ScriptedModel` is a `ModelClient` that answers from a list. `HostWorkspace` is a `Workspace` in a
temporary folder with real processes and no isolation: for tests only.
"""

from treadle_agent_loop.testing.scripted import ScriptedModel, ScriptedTurn, call
from treadle_agent_loop.testing.workspace import HostWorkspace

__all__ = ["HostWorkspace", "ScriptedModel", "ScriptedTurn", "call"]
