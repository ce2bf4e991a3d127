"""Why a connection of a slot isn't made, as a value."""

from dataclasses import dataclass
from enum import StrEnum


class Reason(StrEnum):
    """What was wrong; also the key of the counters."""

    HOST = "host"
    """No rule names the host and port."""
    ADDRESS = "address"
    """The name leads to an address that only an address rule opens."""
    HOST_HEADER = "host_header"
    """The Host header isn't the host of the request's target."""
    SERVER_NAME = "server_name"
    """The TLS greeting names another server, or none."""
    HIDDEN_NAME = "hidden_name"
    """The TLS greeting holds an encrypted second one (ECH)."""
    NOT_TLS = "not_tls"
    """A tunnel to a name began with something else than TLS."""
    MALFORMED = "malformed"
    TOO_LARGE = "too_large"
    SLOW = "slow"
    """The request, or the TLS greeting, didn't arrive in time."""
    UNREACHABLE = "unreachable"
    """It is allowed, but doesn't resolve or answer."""


STATUS = {
    Reason.MALFORMED: "400 Bad Request",
    Reason.TOO_LARGE: "413 Content Too Large",
    Reason.SLOW: "408 Request Timeout",
    Reason.UNREACHABLE: "502 Bad Gateway",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """A reason, and the line that tells it to the command."""

    reason: Reason
    line: str

    def response(self) -> bytes:
        """Return it as an HTTP response."""
        status = STATUS.get(self.reason, "403 Forbidden")
        body = f"sandbox network policy: {self.line}\n".encode("ascii", "backslashreplace")
        head = f"HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nContent-Length: {len(body)}\r\n"
        return (
            f"{head}X-Treadle-Refused: {self.reason}\r\nConnection: close\r\n\r\n".encode() + body
        )
