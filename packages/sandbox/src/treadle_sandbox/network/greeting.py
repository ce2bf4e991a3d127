"""The first message of a TLS client: which server it names (RFC 8446, 6066; RFC 9849 for ECH).

Pure: bytes in, values out. The message may lie in several records.
"""

from dataclasses import dataclass

GREETING_MOST = 65_536
ACCESS_DENIED = bytes((21, 3, 3, 0, 2, 2, 49))
"""A fatal alert, as a client sees it that may not connect."""
_HANDSHAKE, _CLIENT_HELLO = 22, 1
_SERVER_NAME, _ENCRYPTED = 0, 0xFE0D
_RECORD_HEAD, _RECORD_MOST = 5, 16_384


@dataclass(frozen=True, slots=True, kw_only=True)
class Greeting:
    """What a client says before anything is encrypted."""

    name: str | None
    """The server it names; `None` when it names none."""
    encrypted: bool
    """Whether it holds a second, encrypted greeting, or something that looks like one."""


def parse_greeting(data: bytes) -> Greeting | None:
    """Return the greeting; `None` when more bytes are needed.

    Raises:
        ValueError: this isn't the beginning of a TLS connection.
    """
    message, place = b"", 0
    while len(message) < 4 or len(message) < 4 + int.from_bytes(message[1:4], "big"):
        record = data[place : place + _RECORD_HEAD]
        if record[:1] not in (b"", bytes((_HANDSHAKE,))) or record[1:2] not in (b"", b"\3"):
            raise ValueError("no TLS record")
        size = int.from_bytes(record[3:5], "big")
        if len(record) == _RECORD_HEAD and not 0 < size <= _RECORD_MOST:
            raise ValueError("a TLS record of a wrong size")
        if len(record) < _RECORD_HEAD or len(data) < place + _RECORD_HEAD + size:
            return None
        message += data[place + _RECORD_HEAD : place + _RECORD_HEAD + size]
        place += _RECORD_HEAD + size
        if message[0] != _CLIENT_HELLO:
            raise ValueError("a TLS message that isn't a client's greeting")
    return _read_hello(message[4 : 4 + int.from_bytes(message[1:4], "big")])


def _read_hello(body: bytes) -> Greeting:
    rest = body[2 + 32 :]
    for width in (1, 2, 1):
        _, rest = _take(rest, width)
    name, encrypted = None, False
    if rest:
        extensions, rest = _take(rest, 2)
        seen: set[int] = set()
        while extensions:
            kind = int.from_bytes(extensions[:2], "big")
            value, extensions = _take(extensions[2:], 2)
            if kind in seen:
                raise ValueError("an extension stands twice")
            seen.add(kind)
            if kind == _SERVER_NAME:
                name = _read_name(value)
            encrypted = encrypted or kind == _ENCRYPTED
    if rest:
        raise ValueError("bytes after the extensions")
    return Greeting(name=name, encrypted=encrypted)


def _read_name(value: bytes) -> str:
    names, rest = _take(value, 2)
    name, more = _take(names[1:], 2)
    if rest or more or names[:1] != b"\0":
        raise ValueError("not exactly one server name")
    return name.decode("ascii")


def _take(data: bytes, width: int) -> tuple[bytes, bytes]:
    """Return a field with its length before it, and what follows."""
    end = width + int.from_bytes(data[:width], "big")
    if len(data) < end:
        raise ValueError("a field is longer than its message")
    return data[width:end], data[end:]
