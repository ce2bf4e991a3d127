"""Bad input, slow and countless clients: refused or cut off, and the server goes on."""

import asyncio
import contextlib
import json
import resource
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from treadle_sandbox.server import Server, ServerOptions
from treadle_sandbox.testing import FakeBackend

TOKEN = "the-server-token"


def over(**options):
    """Run an async function with the address of a server over a fake backend."""

    def run(work):
        async def main():
            async with FakeBackend(slots=4) as backend:
                server = Server(backend, ServerOptions(token=TOKEN, **options))
                async with server.listen():
                    await work(server.address)
                    await alive(server.address)

        asyncio.run(main())

    return run


async def connect(address):
    host, _, port = address.rpartition(":")
    return await asyncio.open_connection(host, int(port))


async def talk(address, data, *, end=False):
    """Send bytes; return all that comes until the server closes."""
    reader, writer = await connect(address)
    try:
        with contextlib.suppress(ConnectionError):
            writer.write(data)
            await writer.drain()
            if end:
                writer.write_eof()
        async with asyncio.timeout(20):
            try:
                return await reader.read()
            except ConnectionError:
                return b""
    finally:
        writer.close()


def post(path, body, *, length=None, close=True):
    count = len(body) if length is None else length
    more = "connection: close\r\n" if close else ""
    head = f"POST {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {TOKEN}\r\n{more}"
    return f"{head}content-length: {count}\r\n\r\n".encode() + body


async def alive(address):
    got = await talk(address, b"GET /health HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
    assert got.startswith(b"HTTP/1.1 200"), got


async def take_lease(address):
    body = json.dumps({"heartbeat": 60}).encode()
    head = f"PUT /v1/leases/some-lease HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {TOKEN}\r\n"
    head += "content-type: application/json\r\nconnection: close\r\n"
    got = await talk(address, f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)
    assert got.startswith(b"HTTP/1.1 201"), got


SHELL = "/v1/leases/some-lease/shell"


@pytest.mark.parametrize(
    "data",
    [
        b"\x16\x03\x01\x02\x00\x01\x00",
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost x\r\n\r\n",
        b"POST / HTTP/1.1\r\ncontent-length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab",
        b"POST /x HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
        b"GET / HTTP/1.1\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ],
)
def test_what_is_no_http_is_refused(data):
    async def run(address):
        got = await talk(address, data, end=True)
        assert got == b"" or got.startswith(b"HTTP/1.1 4"), got

    over()(run)


@settings(max_examples=30, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.lists(st.binary(max_size=120), max_size=4))
def test_any_bytes_leave_the_server_well(pieces):
    async def run(address):
        _, writer = await connect(address)
        with contextlib.suppress(ConnectionError):
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
        writer.close()

    over()(run)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"no json",
        b"[1, 2]",
        b'{"script": 5}',
        b'{"script": "true", "timeout": "soon"}',
        b'{"script": "true", "env": {"A": 1}}',
        b'{"script": "true", "unknown": 1}',
        b'{"script": "true", "privilege": "king"}',
        b'{"script": "true", "output_limit": 1.5}',
        b"[" * 200_000,
        b'{"script":' * 100_000,
        b'{"script": "\xff\xfe"}',
        b"1" * 6000,
    ],
    ids=lambda body: repr(body[:30]),
)
def test_bad_commands_are_typed_errors(body):
    async def run(address):
        await take_lease(address)
        for path in (SHELL, "/v1/leases/some-lease/jobs"):
            got = await talk(address, post(path, body))
            assert got.startswith(b"HTTP/1.1 400"), got
            assert b'"InvalidCommandError"' in got

    over()(run)


@pytest.mark.parametrize(
    "body", [b"[" * 200_000, b'{"a":' * 100_000, b"\xff", b"{}", b'{"leases": {"x": "y"}}']
)
def test_bad_json_of_the_control_plane_is_a_typed_error(body):
    async def run(address):
        data = post("/v1/heartbeat", body).replace(
            b"host: x", b"host: x\r\ncontent-type: application/json"
        )
        got = await talk(address, data)
        assert got.startswith(b"HTTP/1.1 4"), got
        assert b'"InvalidCommandError"' in got

    over()(run)


def test_bodies_above_the_limit_are_refused():
    async def run(address):
        await take_lease(address)
        for path in (SHELL, "/v1/leases/some-lease/archive", "/execute"):
            got = await talk(address, post(path, b"", length=1 << 30))
            assert got.startswith(b"HTTP/1.1 413"), got
            head = f"POST {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {TOKEN}\r\n"
            chunk = b"8000\r\n" + b"x" * 0x8000 + b"\r\n"
            data = f"{head}transfer-encoding: chunked\r\n\r\n".encode() + chunk * 8
            got = await talk(address, data)
            assert got.startswith(b"HTTP/1.1 413"), got[:200]

    over(body_limit=100_000)(run)


def test_without_a_token_a_large_body_is_not_even_read():
    async def run(address):
        reader, writer = await connect(address)
        writer.write(b"POST /execute HTTP/1.1\r\nhost: x\r\ncontent-length: 100000000\r\n\r\n")
        async with asyncio.timeout(10):
            assert (await reader.read(12)) == b"HTTP/1.1 401"
        writer.close()

    over()(run)


def test_heads_above_the_limit_are_refused():
    async def run(address):
        got = await talk(address, b"GET /health HTTP/1.1\r\n" + b"a: " + b"b" * 300_000)
        assert got == b"" or got.startswith(b"HTTP/1.1 431"), got[:100]
        got = await talk(address, b"GET /" + b"a" * 300_000)
        assert got == b"" or got.startswith(b"HTTP/1.1 431"), got[:100]

    over()(run)


def test_slow_clients_are_cut_off():
    async def run(address):
        begun = time.monotonic()
        silent, head, body, late = [await connect(address) for _ in range(4)]
        head[1].write(b"GET /health HT")
        body[1].write(post(SHELL, b"{", length=100))
        late[1].write(b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n")
        async with asyncio.timeout(15):
            for reader, writer in (silent, head, body, late):
                with contextlib.suppress(ConnectionError):
                    await reader.read()
                writer.close()
        assert time.monotonic() - begun >= 0.5

    over(head_timeout=0.5, body_timeout=1.0, idle_timeout=1.0)(run)


def test_a_drip_of_bytes_does_not_prolong_a_head():
    async def run(address):
        reader, writer = await connect(address)
        done = asyncio.ensure_future(reader.read())
        try:
            async with asyncio.timeout(10):
                for byte in b"GET /" + b"a" * 1000:
                    writer.write(bytes([byte]))
                    await asyncio.wait({done}, timeout=0.1)
                    if done.done():
                        break
        finally:
            writer.close()
            await asyncio.gather(done, return_exceptions=True)
        assert done.done()

    over(head_timeout=0.5)(run)


def test_connections_above_the_limit_are_refused_and_the_others_served():
    async def run(address):
        held = [await connect(address) for _ in range(20)]
        got = await talk(address, b"")
        assert got.startswith(b"HTTP/1.1 503"), got
        held[0][1].write(b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n")
        assert (await held[0][0].readline()).startswith(b"HTTP/1.1 200")
        for _, writer in held:
            writer.close()
        async with asyncio.timeout(10):
            while not (await talk(address, HEALTH)).startswith(b"HTTP/1.1 200"):
                pass

    over(connections=20)(run)


HEALTH = b"GET /health HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"


def test_thousands_of_idle_connections_do_not_stop_a_call():
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    count = min(2000, (most - 200) // 2)

    async def run(address):
        held = [await connect(address) for _ in range(count)]
        await take_lease(address)
        got = await talk(address, post(SHELL, b'{"script":"true"}'))
        assert got.startswith(b"HTTP/1.1 200")
        for _, writer in held:
            writer.close()

    over()(run)


def test_pipelined_requests_are_refused():
    async def run(address):
        await take_lease(address)
        one = post(SHELL, b'{"script":"true"}', close=False)
        got = await talk(address, one + one)
        assert b"HTTP/1.1 400" in got
        assert got.count(b"HTTP/1.1") <= 2

    over()(run)


def test_many_requests_follow_each_other_on_one_connection():
    async def run(address):
        await take_lease(address)
        reader, writer = await connect(address)
        hot = post(SHELL, b'{"script":"true"}', close=False)
        cold = b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n"
        for data in (hot, cold, hot, hot, cold, cold, hot):
            for byte in range(0, len(data), 7):
                writer.write(data[byte : byte + 7])
                await writer.drain()
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            assert head.startswith(b"http/1.1 200")
            length = int(head.partition(b"content-length:")[2].split()[0])
            await reader.readexactly(length)
        writer.close()

    over()(run)


def test_chunked_and_aborted_bodies_are_borne():
    async def run(address):
        await take_lease(address)
        head = f"POST {SHELL} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {TOKEN}\r\n"
        head += "transfer-encoding: chunked\r\n\r\n"
        body = b'8\r\n{"script\r\n9\r\n":"true"}\r\n0\r\n\r\n'
        reader, writer = await connect(address)
        writer.write(head.encode() + body)
        assert (await reader.readline()).startswith(b"HTTP/1.1 200")
        writer.close()
        for cut in range(1, len(body) - 1, 5):
            _, writer = await connect(address)
            writer.write(head.encode() + body[:cut])
            await writer.drain()
            writer.transport.abort()

    over()(run)
