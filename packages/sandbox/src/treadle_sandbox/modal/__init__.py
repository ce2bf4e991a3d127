"""Modal as a platform: sandboxes that run our server, or whole sandboxes as slots.

`ModalProvider` starts sandbox servers for a pool and reaches them through tunnels.
`ModalExecBackend` is a backend of its own: each lease is one Modal sandbox, commands are run by
Modal itself, and the image needs no Python. Both speak to Modal through its own client, with its
asynchronous calls, and need the extra `modal`.
"""

try:
    import modal as _client
except ImportError as error:  # pragma: no cover - the extra is there in tests
    raise ImportError(
        "the Modal backend needs the Modal client: pip install 'treadle-sandbox[modal]'"
    ) from error

from treadle_sandbox.modal.backend import ModalExecBackend
from treadle_sandbox.modal.lease import ModalLease
from treadle_sandbox.modal.profiles import load_profiles
from treadle_sandbox.modal.provider import ModalProvider

del _client

__all__ = ["ModalExecBackend", "ModalLease", "ModalProvider", "load_profiles"]
