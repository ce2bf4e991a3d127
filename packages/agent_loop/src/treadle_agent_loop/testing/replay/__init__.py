"""Record the model calls of real runs to a file, and replay them exactly, without the model."""

from treadle_agent_loop.testing.replay.recording import RecordingClient
from treadle_agent_loop.testing.replay.replaying import ReplayClient

__all__ = ["RecordingClient", "ReplayClient"]
