"""Who may call what: bearer tokens of the server and of its leases.

The server's token opens everything; a lease's token opens the calls of that lease. Tokens are
compared in constant time, as digests, so that neither their length nor a common beginning shows.
"""

import hmac
from hashlib import sha256

from treadle_sandbox.errors import UnauthorizedError


class Authority:
    """The token of one server. Without one, only the leases' own tokens are checked."""

    def __init__(self, token: str | None) -> None:
        self._digest = None if token is None else sha256(token.encode()).digest()

    @property
    def open(self) -> bool:
        """Whether the server itself demands no token."""
        return self._digest is None

    def admit(self, authorization: bytes | None) -> None:
        """Raise UnauthorizedError unless the header opens the server."""
        if self._digest is None:
            return
        given = sha256(_bearer(authorization)).digest()
        if not hmac.compare_digest(given, self._digest):
            raise UnauthorizedError("the token isn't the server's")

    def admit_to(self, digest: bytes, authorization: bytes | None) -> None:
        """Raise UnauthorizedError unless the header opens the lease with that token digest, or the
        server.
        """
        if authorization is None and self._digest is None:
            return
        given = sha256(_bearer(authorization)).digest()
        if hmac.compare_digest(given, digest):
            return
        if self._digest is None or not hmac.compare_digest(given, self._digest):
            raise UnauthorizedError("the token opens neither this lease nor the server")


def _bearer(authorization: bytes | None) -> bytes:
    if authorization is None:
        raise UnauthorizedError("a token is needed: send `Authorization: Bearer TOKEN`")
    scheme, _, token = authorization.partition(b" ")
    if scheme.lower() != b"bearer" or not token:
        raise UnauthorizedError("the Authorization header isn't `Bearer TOKEN`")
    return token.strip()
