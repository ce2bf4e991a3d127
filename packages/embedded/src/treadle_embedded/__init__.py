"""A small tool-calling demonstration model with an OpenAI-compatible server.

`EmbeddedServer` runs the server as a child process; `EmbeddedModel` is the model in this process;
`treadle_embedded.problems` generates the word problems it was trained on.
"""

from treadle_embedded.child import EmbeddedServer
from treadle_embedded.engine import EngineStatistics, FinishReason
from treadle_embedded.errors import (
    BundleError,
    ContextLengthError,
    EmbeddedError,
    ModelClosedError,
    ModelFailedError,
    RequestError,
    ServerStartError,
    UnknownModelError,
)
from treadle_embedded.location import MODEL_NAME, bundle_path
from treadle_embedded.model import EmbeddedModel
from treadle_embedded.sampling import Candidate, Sampled, Sampling
from treadle_embedded.trained_prompt import TRAINED_SYSTEM, TRAINED_TOOL

__all__ = [
    "MODEL_NAME",
    "TRAINED_SYSTEM",
    "TRAINED_TOOL",
    "BundleError",
    "Candidate",
    "ContextLengthError",
    "EmbeddedError",
    "EmbeddedModel",
    "EmbeddedServer",
    "EngineStatistics",
    "FinishReason",
    "ModelClosedError",
    "ModelFailedError",
    "RequestError",
    "Sampled",
    "Sampling",
    "ServerStartError",
    "UnknownModelError",
    "bundle_path",
]
