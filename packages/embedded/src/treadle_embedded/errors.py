"""Errors of the embedded model and its server.

EmbeddedError
|- BundleError (ValueError)              the bundle can't be used
|- ContextLengthError (ValueError)       a prompt and its answer don't fit into the context
|- RequestError (ValueError)             a request the server can't carry out
|- UnknownModelError (LookupError)       a request for a model that isn't served
|- ModelFailedError (RuntimeError)       the network raised while it ran
|- ModelClosedError (RuntimeError)       the model was closed before or during a request
`- ServerStartError (RuntimeError)       the server's process didn't come up
"""


class EmbeddedError(Exception):
    """Root of this package's errors."""


class BundleError(EmbeddedError, ValueError):
    """The bundle folder lacks a file or holds something else."""


class ContextLengthError(EmbeddedError, ValueError):
    """A prompt, or a prompt with the tokens asked for, is longer than the context."""


class RequestError(EmbeddedError, ValueError):
    """A request that asks for what the server doesn't do."""

    def __init__(self, message: str, *, param: str | None = None) -> None:
        super().__init__(message)
        self.param = param
        """The field of the request that is at fault."""


class UnknownModelError(EmbeddedError, LookupError):
    """A request names a model that isn't served."""


class ModelFailedError(EmbeddedError, RuntimeError):
    """The network raised while it ran."""


class ModelClosedError(EmbeddedError, RuntimeError):
    """The model was closed before or during a request."""


class ServerStartError(EmbeddedError, RuntimeError):
    """The server's process ended or stayed silent instead of listening."""
