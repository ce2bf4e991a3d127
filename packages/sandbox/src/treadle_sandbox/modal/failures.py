"""What Modal's client raises, as the errors of this package, each with advice."""

from collections.abc import Generator
from contextlib import contextmanager

from modal import exception

from treadle_sandbox.errors import (
    ConfigError,
    SandboxError,
    ServerError,
    ServerStartError,
    SlotLostError,
    UnauthorizedError,
)

_TOKEN_ADVICE = (
    "run `modal token new`, set MODAL_TOKEN_ID and MODAL_TOKEN_SECRET, or give token_id and "
    "token_secret"
)

GONE = (
    exception.NotFoundError,
    exception.ConflictError,
    exception.SandboxTerminatedError,
    exception.SandboxTimeoutError,
    exception.ClientClosed,
)
"""What says that a sandbox isn't there any more."""


@contextmanager
def account_boundary(doing: str) -> Generator[None]:
    """Translate what goes wrong with the account, the app, an image or a creation."""
    try:
        yield
    except (exception.AuthError, exception.PermissionDeniedError) as error:
        raise UnauthorizedError(f"Modal refused {doing}: {error}; {_TOKEN_ADVICE}") from error
    except exception.ResourceExhaustedError as error:
        raise ServerStartError(
            f"Modal limits {doing}: {error}; lower creations_per_second or max_containers"
        ) from error
    except exception.NotFoundError as error:
        raise ConfigError(
            f"Modal doesn't know something that {doing} needs: {error}; check app_name, "
            "environment, image and secrets"
        ) from error
    except exception.AlreadyExistsError:
        raise
    except exception.RemoteError as error:
        raise ServerStartError(f"{doing} failed at Modal: {error}") from error
    except exception.InvalidError as error:
        raise ConfigError(f"Modal doesn't accept {doing}: {error}") from error
    except (TimeoutError, exception.Error, OSError) as error:
        raise ServerError(
            f"Modal can't be reached for {doing}: {error or type(error).__name__}"
        ) from error


@contextmanager
def slot_boundary(name: str) -> Generator[None]:
    """Translate what goes wrong while a sandbox is used."""
    try:
        yield
    except SandboxError:
        raise
    except GONE as error:
        raise SlotLostError(
            f"Modal ended sandbox {name}: {error or type(error).__name__}; it was terminated, idle "
            "for longer than idle_timeout, or older than max_lifetime"
        ) from error
    except (exception.AuthError, exception.PermissionDeniedError) as error:
        raise UnauthorizedError(f"Modal refused {name}: {error}; {_TOKEN_ADVICE}") from error
    except (TimeoutError, exception.Error, OSError) as error:
        raise SlotLostError(
            f"Modal sandbox {name} doesn't answer: {error or type(error).__name__}"
        ) from error
