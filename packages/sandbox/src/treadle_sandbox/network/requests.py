"""The head of a request to the proxy, read strictly: what two readers could take for two things is
refused (RFC 9112).

Pure: bytes in, values out.
"""

import re
from dataclasses import dataclass

from treadle_sandbox.network.policy import Address, parse_authority
from treadle_sandbox.network.refusal import Reason, Refusal

HEAD_MOST = 32_768
_LINES_MOST = 128
_HTTP_PORT = 80
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")
_TARGET = re.compile(r"http://([^/?#@\s]+)([/?][!-~]*)?", re.IGNORECASE)
_VERSIONS = ("HTTP/1.0", "HTTP/1.1")
_OF_THIS_HOP = frozenset(
    (
        *("connection", "host", "keep-alive", "proxy-authenticate", "proxy-authorization"),
        *("proxy-connection", "te", "trailer", "upgrade", "http2-settings"),
    )
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What the proxy is asked for."""

    tunnel: bool
    """Whether it is a CONNECT."""
    host: str | Address
    port: int
    head: bytes = b""
    """The head to send on, for a request that isn't a tunnel."""
    length: int = 0
    """Bytes of the body; -1 when it comes in chunks."""


def parse_request(head: bytes) -> Request | Refusal:
    """Read a head that ends with an empty line."""
    lines = head.decode("latin-1").removesuffix("\r\n\r\n").split("\r\n")
    words = lines[0].split(" ")
    if len(words) != len(("method", "target", "version")) or words[2] not in _VERSIONS:
        return _malformed("the first line must be METHOD TARGET HTTP/1.1")
    method, target, version = words
    if len(lines) > _LINES_MOST or not _TOKEN.fullmatch(method):
        return _malformed(f"no method, or more than {_LINES_MOST} header lines")
    headers: list[tuple[str, str]] = []
    for line in lines[1:]:
        name, colon, value = line.partition(":")
        if not colon or not _TOKEN.fullmatch(name) or not _VALUE.fullmatch(value):
            return _malformed(f"header line {line[:60]!r}")
        headers.append((name, value.strip(" \t")))
    if method == "CONNECT":
        return _parse_tunnel(target, headers)
    return _parse_plain(method, target, version, headers)


def _parse_tunnel(target: str, headers: list[tuple[str, str]]) -> Request | Refusal:
    authority = parse_authority(target)
    if authority is None:
        return _malformed(f"CONNECT to {target[:100]!r}: give host:port")
    host, port = authority
    refusal = _check_host(headers, authority, None)
    return refusal or Request(tunnel=True, host=host, port=port)


def _parse_plain(
    method: str, target: str, version: str, headers: list[tuple[str, str]]
) -> Request | Refusal:
    match = _TARGET.fullmatch(target)
    authority = parse_authority(match[1], _HTTP_PORT) if match else None
    if match is None or authority is None:
        return _malformed(f"target {target[:100]!r}: give http://host/path, or CONNECT for https")
    if version == _VERSIONS[1] and not _values(headers, "host"):
        return _malformed("no Host header")
    refusal = _check_host(headers, authority, _HTTP_PORT)
    if refusal is not None:
        return refusal
    length = _body_length(headers)
    if length is None:
        return _malformed("the length of the body is unclear")
    host, port = authority
    named = f"[{host}]" if ":" in str(host) else str(host)
    path = match[2] or "/"
    out = [f"{method} {path if path[0] == '/' else '/' + path} HTTP/1.1"]
    out.append(f"Host: {named}" if port == _HTTP_PORT else f"Host: {named}:{port}")
    dropped = _OF_THIS_HOP | {
        word.strip().lower()
        for value in _values(headers, "connection")
        for word in value.split(",")
    } - {"content-length", "transfer-encoding"}
    out += [f"{name}: {value}" for name, value in headers if name.lower() not in dropped]
    lines = "\r\n".join([*out, "Connection: close", "", ""])
    return Request(tunnel=False, host=host, port=port, head=lines.encode("latin-1"), length=length)


def _check_host(
    headers: list[tuple[str, str]], authority: tuple[str | Address, int], default: int | None
) -> Refusal | None:
    for value in _values(headers, "host"):
        # Some clients leave the port out of a CONNECT's Host header.
        if parse_authority(value, default or authority[1]) != authority:
            line = f"the Host header {value[:100]!r} isn't the host of the request"
            return Refusal(reason=Reason.HOST_HEADER, line=line)
    if len(_values(headers, "host")) > 1:
        return _malformed("more than one Host header")
    return None


def _body_length(headers: list[tuple[str, str]]) -> int | None:
    """Return the length, -1 for chunks, `None` when the headers contradict each other."""
    lengths = _values(headers, "content-length")
    codings = _values(headers, "transfer-encoding")
    if codings:
        return -1 if not lengths and [coding.lower() for coding in codings] == ["chunked"] else None
    if not lengths:
        return 0
    text = lengths[0]
    plain = len(lengths) == 1 and text.isascii() and text.isdigit() and len(text) < len("1" * 16)
    return int(text) if plain else None


def _values(headers: list[tuple[str, str]], wanted: str) -> list[str]:
    return [value for name, value in headers if name.lower() == wanted]


def _malformed(line: str) -> Refusal:
    return Refusal(reason=Reason.MALFORMED, line=f"not a request this proxy takes: {line}")
