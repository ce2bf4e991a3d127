"""Attacks on the network policy of a slot: what isn't on the allow-list stays unreachable.

For backends whose capabilities have `allowed` rules, none of which may cover what is tried here:
names below `.invalid`, the host's loopback on a free port, the documentation addresses and the
addresses where clouds serve credentials.
"""

import socket

from treadle_sandbox.backend import Backend, Lease
from treadle_sandbox.testing.expectations import run_python

_PROXY = """
import os, socket
from urllib.parse import urlsplit
where = urlsplit(os.environ["http_proxy"])
def ask(data):
    with socket.create_connection((where.hostname, where.port), 20) as client:
        client.sendall(data)
        client.shutdown(socket.SHUT_WR)
        answer = b""
        while piece := client.recv(65536): answer += piece
    return answer
"""
METADATA = ("169.254.169.254", "100.100.100.200", "168.63.129.16", "fd00:ec2::254")
"""Where clouds serve credentials."""


async def ask_proxy(lease: Lease, request: bytes) -> bytes:
    """Send bytes to the slot's way out from inside; return the whole answer."""
    code = f"{_PROXY}\nimport sys\nsys.stdout.buffer.write(ask({request!r}))"
    result = await run_python(lease, code, timeout=60)
    assert result.exit_code == 0, result
    return result.stdout


async def _expect_refused(lease: Lease, request: bytes, *reasons: bytes) -> None:
    answer = await ask_proxy(lease, request)
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith((b"HTTP/1.1 403", b"HTTP/1.1 400")), (request, answer)
    assert body.startswith(b"sandbox network policy: "), answer
    assert body.count(b"\n") == 1, answer
    assert any(reason in body for reason in reasons), (reasons, answer)


async def check_the_proxy_is_the_only_way_out(backend: Backend) -> None:
    """Direct TCP and UDP, names, and other interfaces lead nowhere."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        code = f"""
import socket
def tried(family, kind, address):
    try:
        with socket.socket(family, kind) as s:
            s.settimeout(3)
            s.connect(address)
            if kind == socket.SOCK_DGRAM: s.send(b"x"); s.recv(1)
        return "in"
    except OSError: return "out"
for host in ("127.0.0.1", "10.0.0.1", "192.0.2.1", "169.254.169.254", "8.8.8.8"):
    for number in ({port}, 53, 80):
        print(tried(socket.AF_INET, socket.SOCK_STREAM, (host, number)))
        print(tried(socket.AF_INET, socket.SOCK_DGRAM, (host, number)))
for host in ("::1", "fe80::1", "2001:db8::1"):
    print(tried(socket.AF_INET6, socket.SOCK_STREAM, (host, {port})))
try: print("in", socket.getaddrinfo("example.com", 443))
except OSError: print("out")
try: socket.socket(socket.AF_INET, socket.SOCK_RAW, 1); print("in")
except OSError: print("out")
print([name for _, name in socket.if_nameindex() if name != "lo"] == [] and "out")
"""
        async with await backend.lease() as lease:
            result = await run_python(lease, code, timeout=120)
            assert set(result.stdout.split()) == {b"out"}, result


async def check_what_is_not_listed_is_refused(backend: Backend) -> None:
    """Names, addresses in every writing, other ports and the host's loopback get one clear line."""
    async with await backend.lease() as lease:
        for host in (b"evil.invalid", b"127.0.0.1", b"[::1]", b"[::ffff:127.0.0.1]", b"192.0.2.1"):
            await _expect_refused(lease, b"CONNECT %s:443 HTTP/1.1\r\n\r\n" % host, b"the list")
            plain = b"GET http://%s/ HTTP/1.1\r\nHost: %s\r\n\r\n" % (host, host)
            await _expect_refused(lease, plain, b"the list")
        for odd in (
            b"127.1",
            b"2130706433",
            b"0x7f000001",
            b"0177.0.0.1",
            b"::1",
            b"a..b",
            b"\xc3",
        ):
            await _expect_refused(
                lease, b"CONNECT %s:443 HTTP/1.1\r\n\r\n" % odd, b"give host:port"
            )
        for address in METADATA:
            host = f"[{address}]" if ":" in address else address
            plain = f"GET http://{host}/latest/meta-data/ HTTP/1.1\r\nHost: {host}\r\n\r\n"
            await _expect_refused(lease, plain.encode(), b"the list")


async def check_other_host_headers_are_refused(backend: Backend) -> None:
    """A listed target doesn't cover another Host header; smuggled requests are no requests."""
    rule = next((rule for rule in backend.capabilities.allowed if "/" not in rule), None)
    if rule is None:
        return
    host, _, port = rule.removeprefix("*.").rpartition(":")
    target = f"http://{host}:{port}/"
    async with await backend.lease() as lease:
        for head in (
            f"GET {target} HTTP/1.1\r\nHost: evil.invalid\r\n\r\n",
            f"GET {target} HTTP/1.1\r\nHost: {host}:1\r\n\r\n",
            f"CONNECT {host}:{port} HTTP/1.1\r\nHost: evil.invalid:{port}\r\n\r\n",
        ):
            await _expect_refused(lease, head.encode(), b"Host header")
        for head in (
            f"GET {target} HTTP/1.1\r\n\r\n",
            f"GET {target} HTTP/1.1\r\nHost: {host}:{port}\r\nHost : evil.invalid\r\n\r\n",
            f"GET {target} HTTP/1.1\r\nHost: {host}:{port}\r\n evil.invalid\r\n\r\n",
            f"POST {target} HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Length: 1\r\n"
            "Transfer-Encoding: chunked\r\n\r\n",
            f"GET http://x@{host}:{port}/ HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n",
        ):
            await _expect_refused(lease, head.encode(), b"not a request")


async def check_a_slot_can_not_take_the_way_out_of_another(backend: Backend) -> None:
    """The port can't be bound, the proxy isn't among the slot's files or descriptors, and each slot
    reaches its own.
    """
    code = f"""{_PROXY}
try:
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        s.bind((where.hostname, where.port)); s.listen(); print("taken")
except OSError: print("mine")
print(sorted(os.listdir("/proc/self/fd"))[:3])
"""
    async with await backend.lease() as lease, await backend.lease() as other:
        for each in (lease, other):
            result = await run_python(each, code)
            assert result.stdout.startswith(b"mine\n"), result
        await lease.aclose()
        await _expect_refused(other, b"CONNECT evil.invalid:1 HTTP/1.1\r\n\r\n", b"the list")
        await other.reset()
        await _expect_refused(other, b"CONNECT evil.invalid:1 HTTP/1.1\r\n\r\n", b"the list")


async def check_broken_requests_leave_the_proxy_working(backend: Backend) -> None:
    """Noise, endless heads and connections that say nothing don't stop others."""
    code = f"""{_PROXY}
idle = [socket.create_connection((where.hostname, where.port)) for _ in range(40)]
for noise in (b"", bytes(1000), b"\\r\\n\\r\\n", b"\\x16\\x03\\x01" + bytes(500), b"\\x05\\x01\\0"):
    try: ask(noise)
    except OSError: pass
try: ask(b"GET http://a/ HTTP/1.1\\r\\nA: " + b"a" * 1_000_000)
except OSError: pass
print(ask(b"CONNECT evil.invalid:1 HTTP/1.1\\r\\n\\r\\n").split()[1].decode())
"""
    async with await backend.lease() as lease, await backend.lease() as other:
        result = await run_python(lease, code, timeout=60)
        assert result.stdout == b"403\n", result
        await _expect_refused(other, b"CONNECT evil.invalid:1 HTTP/1.1\r\n\r\n", b"the list")


CHECKS = (
    check_the_proxy_is_the_only_way_out,
    check_what_is_not_listed_is_refused,
    check_other_host_headers_are_refused,
    check_a_slot_can_not_take_the_way_out_of_another,
    check_broken_requests_leave_the_proxy_working,
)
