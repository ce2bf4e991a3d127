"""The allow-list: its rules, its readers, and its proxy between real clients and real servers."""

import asyncio
import contextlib
import shutil
import socket
import ssl
import subprocess
import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from treadle_sandbox import Isolation, IsolationUnavailableError, network
from treadle_sandbox.errors import ConfigError
from treadle_sandbox.network import AllowListProxy, Policy, ProxyLimits, Reason, SystemResolver
from treadle_sandbox.network.greeting import parse_greeting
from treadle_sandbox.network.policy import is_public, parse_authority, parse_host
from treadle_sandbox.network.refusal import Refusal
from treadle_sandbox.network.requests import Request, parse_request
from treadle_sandbox.testing import backend_at, egress, run_check

NAMES = {
    "good.test": ("127.0.0.1",),
    "other.test": ("127.0.0.1",),
    "sub.good.test": ("127.0.0.1",),
    "rebound.test": ("169.254.169.254", "10.0.0.1", "::1", "fd00::1"),
    "mixed.test": ("10.0.0.1", "127.0.0.1"),
}


def test_the_public_names_are_these():
    assert network.__all__ == [
        "PROXY_PORT",
        "AllowListProxy",
        "Policy",
        "ProxyLimits",
        "ProxyStatistics",
        "Reason",
        "SystemResolver",
        "proxy_environment",
    ]


@pytest.mark.parametrize(
    "rule",
    [
        *("", "host", ":443", "host:", "host:0", "host:65536", "host:x", "host:44३", "*:443"),
        *("https://host:443", "host:443/path", "ho st:443", "a..b:443", "-a:443", "a*.b:443"),
        *("*.1.2.3.4:443", "127.1:443", "0x7f000001:80", "1.2.3:80", "::1:443", "[::1]", "[a]:1"),
        *("[127.0.0.1]:80", "10.0.0.1/8:80", "10.0.0.0/33:80", "[fe80::1%eth0]:80", "é.test:443"),
    ],
)
def test_what_is_no_rule_is_refused(rule):
    with pytest.raises(ConfigError, match="network rule"):
        Policy([rule])


def test_rules_match_whole_names_and_ports():
    policy = Policy(["PyPI.org:443", "*.pythonhosted.org:443", "x.test.:80"])
    assert policy.allows_name("pypi.org", 443)
    assert policy.allows_name("files.pythonhosted.org", 443)
    assert policy.allows_name("a.b.pythonhosted.org", 443)
    assert policy.allows_name("x.test", 80)
    for name, port in (
        ("pypi.org", 80),
        ("evilpypi.org", 443),
        ("pypi.org.evil.test", 443),
        ("pythonhosted.org", 443),
        ("evilpythonhosted.org", 443),
        ("", 443),
    ):
        assert not policy.allows_name(name, port), name


def test_address_rules_match_addresses_of_their_version():
    policy = Policy(["10.0.0.0/8:80", "[2001:db8::/32]:443", "192.0.2.7:22"])
    assert policy.lists_address(ip_address("10.9.8.7"), 80)
    assert policy.lists_address(ip_address("2001:db8::7"), 443)
    assert policy.lists_address(ip_address("192.0.2.7"), 22)
    assert not policy.lists_address(ip_address("10.9.8.7"), 81)
    assert not policy.lists_address(ip_address("::10.9.8.7"), 80)
    assert not policy.lists_address(ip_address("192.0.2.8"), 22)


@pytest.mark.parametrize(
    ("text", "host"),
    [
        ("Example.ORG.", "example.org"),
        ("xn--bcher-kva.example", "xn--bcher-kva.example"),
        ("127.0.0.1", ip_address("127.0.0.1")),
        ("[::1]", ip_address("::1")),
        ("[::ffff:127.0.0.1]", ip_address("127.0.0.1")),
        *((text, None) for text in ("127.1", "2130706433", "0x7f.1", "0177.0.0.1", "a.0x7f000001")),
        *((text, None) for text in ("127.0.0.1.", "[127.0.0.1]", "::1", "[fe80::1%lo]", "a b")),
        *((text, None) for text in ("", ".", "a..b", "bücher.example", "a" * 64, "a\0b", "a%2eb")),
    ],
)
def test_hosts_have_one_reading(text, host):
    assert parse_host(text) == host


@pytest.mark.parametrize(
    "text",
    [
        *("127.0.0.1", "10.1.1.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "0.0.0.0"),
        *("100.100.100.200", "168.63.129.16", "192.0.0.192", "224.0.0.1", "255.255.255.255"),
        *("::", "::1", "fe80::1", "fd00:ec2::254", "ff02::1", "::ffff:10.0.0.1", "fec0::1"),
        *("64:ff9b::7f00:1", "2002:7f00:1::", "2001:0:7f00:1::", "198.18.0.1", "240.0.0.1"),
    ],
)
def test_special_addresses_are_not_public(text):
    assert not is_public(ip_address(text))


@pytest.mark.parametrize("text", ["1.1.1.1", "2606:4700::1111", "64:ff9b::101:101", "8.8.8.8"])
def test_addresses_of_the_internet_are_public(text):
    assert is_public(ip_address(text))


@given(st.ip_addresses(network=str(ip_network("10.0.0.0/8"))))
def test_no_private_address_becomes_public_by_wrapping(address):
    for prefix in ("::ffff:", "64:ff9b::"):
        assert not is_public(ip_address(f"{prefix}{address}"))


def head(*lines):
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def test_a_plain_request_is_sent_on_in_its_own_words():
    request = parse_request(
        head(
            "POST http://Good.test:8080?q=1 HTTP/1.1",
            "Host: good.test:8080",
            "Proxy-Authorization: Basic c2VjcmV0",
            "Connection: keep-alive, X-Hop",
            "X-Hop: 1",
            "Upgrade: websocket",
            "Content-Length: 3",
            "X-Kept: ä",
        )
    )
    assert isinstance(request, Request)
    assert (request.host, request.port, request.length) == ("good.test", 8080, 3)
    assert request.head == head(
        "POST /?q=1 HTTP/1.1",
        "Host: good.test:8080",
        "Content-Length: 3",
        "X-Kept: ä",
        "Connection: close",
    )


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        (["GET / HTTP/1.1", "Host: good.test"], Reason.MALFORMED),
        (["GET https://good.test/ HTTP/1.1", "Host: good.test"], Reason.MALFORMED),
        (["GET http://good.test/ HTTP/1.1"], Reason.MALFORMED),
        (["GET http://good.test/ HTTP/2.0", "Host: good.test"], Reason.MALFORMED),
        (["GET http://u:p@good.test/ HTTP/1.1", "Host: good.test"], Reason.MALFORMED),
        (["GET http://good.test@evil.test/ HTTP/1.1", "Host: evil.test"], Reason.MALFORMED),
        (["GET http://good.test/ HTTP/1.1", "Host: evil.test"], Reason.HOST_HEADER),
        (["GET http://good.test/ HTTP/1.1", "Host: good.test:81"], Reason.HOST_HEADER),
        (["GET http://good.test/ HTTP/1.1", "Host: good.test", "host: evil"], Reason.HOST_HEADER),
        (["GET http://good.test/ HTTP/1.1", *["Host: good.test"] * 2], Reason.MALFORMED),
        (["GET http://good.test/ HTTP/1.1", "Host: good.test", " folded"], Reason.MALFORMED),
        (["GET http://good.test/ HTTP/1.1", "Host: good.test", "A : b"], Reason.MALFORMED),
        (["GET http://good.test/ HTTP/1.1", "Host: good.test", "A: b\nC: d"], Reason.MALFORMED),
        (["GET http://good.test/ HTTP/1.1", "Host: good.test", "A: b\0"], Reason.MALFORMED),
        (["GET http://good.test/ HTTP/1.1", "Host: good.test"] + ["A: b"] * 200, Reason.MALFORMED),
        (["CONNECT good.test HTTP/1.1"], Reason.MALFORMED),
        (["CONNECT good.test:443 HTTP/1.1", "Host: evil.test:443"], Reason.HOST_HEADER),
        (["CONNECT ::1:443 HTTP/1.1"], Reason.MALFORMED),
        (["", ""], Reason.MALFORMED),
        *(
            (["GET http://good.test/ HTTP/1.1", "Host: good.test", *lengths], Reason.MALFORMED)
            for lengths in (
                ["Content-Length: 1", "Content-Length: 1"],
                ["Content-Length: +1"],
                ["Content-Length: 1", "Transfer-Encoding: chunked"],
                ["Transfer-Encoding: gzip, chunked"],
                ["Transfer-Encoding: identity"],
            )
        ),
    ],
)
def test_a_request_with_two_readings_is_refused(lines, reason):
    refusal = parse_request(head(*lines))
    assert isinstance(refusal, Refusal), refusal
    assert refusal.reason == reason
    assert b"\r\n" not in refusal.response().partition(b"\r\n\r\n")[2].rstrip(b"\n")


@given(st.binary(max_size=400))
def test_no_bytes_break_the_readers(data):
    parse_request(data + b"\r\n\r\n")
    with contextlib.suppress(ValueError):
        parse_greeting(data)
    with contextlib.suppress(ValueError):
        parse_greeting(b"\x16\x03\x01" + len(data).to_bytes(2, "big") + data)
    parse_authority(data.decode("latin-1"))


def greeting_of(name):
    """What the real TLS library sends first."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    out = ssl.MemoryBIO()
    client = context.wrap_bio(ssl.MemoryBIO(), out, server_hostname=name)
    with contextlib.suppress(ssl.SSLWantReadError):
        client.do_handshake()
    return out.read()


def with_extension(data, kind, value):
    """Return a one-record greeting with one more extension."""
    body = data[9:]
    place = 34
    place += 1 + body[place]
    place += 2 + int.from_bytes(body[place : place + 2], "big")
    place += 1 + body[place]
    more = kind.to_bytes(2, "big") + len(value).to_bytes(2, "big") + value
    extensions = body[place + 2 :] + more
    body = body[:place] + len(extensions).to_bytes(2, "big") + extensions
    message = b"\x01" + len(body).to_bytes(3, "big") + body
    return b"\x16\x03\x01" + len(message).to_bytes(2, "big") + message


@pytest.mark.parametrize("name", ["good.test", None])
def test_a_real_greeting_is_read_in_every_cut(name):
    data = greeting_of(name)
    for end in range(len(data)):
        assert parse_greeting(data[:end]) is None
    for tail in (b"", b"more"):
        greeting = parse_greeting(data + tail)
        assert greeting is not None
        assert (greeting.name, greeting.encrypted) == (name, False)


def test_a_greeting_in_many_records_is_read():
    message = greeting_of("good.test")[5:]
    records = b"".join(b"\x16\x03\x01\x00\x01" + bytes((byte,)) for byte in message)
    greeting = parse_greeting(records)
    assert greeting is not None
    assert greeting.name == "good.test"


def test_a_hidden_second_greeting_is_seen():
    greeting = parse_greeting(with_extension(greeting_of("good.test"), 0xFE0D, b"secret"))
    assert greeting is not None
    assert greeting.encrypted


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n",
        b"SSH-2.0-x\r\n",
        b"\x80\x2e\x01\x00\x02",
        b"\x16\x03\x01\x00\x00",
        b"\x16\x03\x01\x00\x04\x02\x00\x00\x00",
        with_extension(greeting_of("good.test"), 0, b"\x00\x08\x00\x00\x05other"),
    ],
)
def test_what_is_no_greeting_is_refused(data):
    with pytest.raises(ValueError, match=r".+"):
        parse_greeting(data)


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """Two real servers of this machine."""

    http: int
    https: int
    authority: Path
    seen: list


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        body = b""
        if self.headers.get("Transfer-Encoding") == "chunked":
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        body += self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.seen.append((self.path, self.headers["Host"], body))
        if self.path == "/away":
            self.send_response(302)
            self.send_header("Location", "http://evil.test/")
            self.end_headers()
            return
        answer = f"{self.command} {self.path} {len(body)}\n".encode()
        answer += b"x" * int(self.headers.get("X-Want", 0))
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    do_POST = do_GET

    def log_message(self, *_):
        pass


class Server(ThreadingHTTPServer):
    def handle_error(self, request, client_address):
        """Say nothing: clients leave as they like."""


def make_certificate(folder):
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("no openssl to make a certificate with")
    names = "subjectAltName=DNS:good.test,DNS:other.test,DNS:localhost,IP:127.0.0.1"
    subprocess.run(
        [
            *(openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
            *("-nodes", "-keyout", "key.pem", "-out", "cert.pem", "-days", "2"),
            *("-subj", "/CN=good.test", "-addext", names),
        ],
        cwd=folder,
        check=True,
        capture_output=True,
    )
    return folder / "cert.pem", folder / "key.pem"


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    certificate, key = make_certificate(tmp_path_factory.mktemp("tls"))
    seen = []
    servers = [Server(("127.0.0.1", 0), Handler) for _ in range(2)]
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    plain = servers[1].socket
    servers[1].socket = context.wrap_socket(plain, server_side=True, do_handshake_on_connect=False)
    threads = [threading.Thread(target=server.serve_forever) for server in servers]
    for server, thread in zip(servers, threads, strict=True):
        server.seen = seen
        thread.start()
    ports = [server.server_address[1] for server in servers]
    yield Site(http=ports[0], https=ports[1], authority=certificate, seen=seen)
    for server, thread in zip(servers, threads, strict=True):
        server.shutdown()
        server.server_close()
        thread.join()


async def resolve(name, port):
    if name not in NAMES:
        raise OSError(f"no such name: {name}")
    return tuple(map(ip_address, NAMES[name]))


def serve(rules, act, *, limits=None, resolver=resolve):
    """Run `act(port)` in a thread beside a proxy; return its result and the counters."""

    async def run():
        listener = socket.create_server(("127.0.0.1", 0))
        port = listener.getsockname()[1]
        proxy = AllowListProxy(listener, Policy(rules), resolve=resolver, limits=limits)
        async with proxy:
            result = await asyncio.to_thread(act, port)
        assert listener.fileno() < 0
        return result, proxy.statistics()

    return asyncio.run(run())


def talk(port, data, *, end=False):
    with socket.create_connection(("127.0.0.1", port), 20) as client:
        client.sendall(data)
        if end:
            client.shutdown(socket.SHUT_WR)
        answer = b""
        with contextlib.suppress(ConnectionError):
            while piece := client.recv(65536):
                answer += piece
    return answer


def curl(port, *words):
    tool = shutil.which("curl")
    if tool is None:
        pytest.skip("no curl")
    argv = [tool, "-sS", "-m", "20", "-x", f"http://127.0.0.1:{port}", "--noproxy", "", *words]
    return subprocess.run(argv, capture_output=True, check=False)


def open_rules(site):
    return [
        f"good.test:{site.http}",
        f"good.test:{site.https}",
        f"mixed.test:{site.http}",
        f"127.0.0.1:{site.http}",
        f"127.0.0.1:{site.https}",
    ]


def test_curl_reaches_what_is_listed(site):
    def act(port):
        plain = curl(port, f"http://good.test:{site.http}/a", "-H", "X-Want: 1000000")
        secure = curl(
            port, "--cacert", str(site.authority), f"https://good.test:{site.https}/b", "-d", "body"
        )
        return plain, secure

    (plain, secure), counters = serve(open_rules(site), act)
    assert plain.stdout.startswith(b"GET /a 0\n"), plain
    assert len(plain.stdout) == 1_000_009
    assert secure.stdout == b"POST /b 4\n", secure
    assert (counters.allowed, counters.refused, counters.open) == (2, {}, 0)
    assert counters.received_bytes > 1_000_000


def test_a_body_in_chunks_arrives(site):
    def act(port):
        url = f"http://good.test:{site.http}/c"
        words = ("-H", "Transfer-Encoding: chunked", "-H", "Expect:", "--data-binary", "b" * 70_000)
        return curl(port, url, *words)

    done, _ = serve(open_rules(site), act)
    assert done.stdout == b"POST /c 70000\n", done


@pytest.mark.parametrize(
    "target",
    ["http://evil.test/", "http://good.test:1/", "http://other.test:{http}/", "http://[::1]/"],
)
def test_curl_is_told_in_one_line_what_is_not_listed(site, target):
    def act(port):
        return curl(port, "-w", "%{http_code}", target.format(http=site.http))

    done, counters = serve(open_rules(site), act)
    assert done.stdout.endswith(b"isn't on the list\n403"), done
    assert counters.refused == {"host": 1}


def test_a_redirect_is_a_new_request(site):
    done, counters = serve(
        open_rules(site), lambda port: curl(port, "-L", f"http://good.test:{site.http}/away")
    )
    assert b"evil.test:80 isn't on the list" in done.stdout
    assert counters.refused == {"host": 1}


def test_a_name_that_leads_inside_is_refused():
    rules = ["rebound.test:80", "good.test:80", "localhost:80"]

    def act(port):
        hosts = ("rebound.test", "good.test")
        return [curl(port, f"http://{host}/").stdout for host in hosts]

    answers, counters = serve(rules, act)
    for answer in answers:
        assert answer.endswith(b"not a public address\n"), answer
    assert counters.refused == {"address": 2}
    assert counters.sent_bytes == 0


def test_of_many_addresses_only_an_allowed_one_is_used(site):
    done, _ = serve(open_rules(site), lambda port: curl(port, f"http://mixed.test:{site.http}/m"))
    assert done.stdout == b"GET /m 0\n", done


def test_the_checked_address_is_the_one_connected_to(site):
    calls = []

    async def turning(name, port):
        calls.append(name)
        return (ip_address("127.0.0.1" if len(calls) == 1 else "10.255.255.1"),)

    done, _ = serve(
        open_rules(site),
        lambda port: curl(port, f"http://good.test:{site.http}/once"),
        resolver=turning,
    )
    assert done.stdout == b"GET /once 0\n"
    assert calls == ["good.test"]


def test_this_machine_is_no_way_in_by_its_own_name():
    async def act():
        resolver = SystemResolver()
        try:
            addresses = await resolver("localhost", 80)
        finally:
            resolver.close()
        return addresses

    found = asyncio.run(act())
    assert found
    assert not any(is_public(address) for address in found)


def test_an_address_needs_a_rule_of_its_own(site):
    rules = [f"good.test:{site.http}", "10.0.0.0/8:80"]
    done, counters = serve(rules, lambda port: curl(port, f"http://127.0.0.1:{site.http}/"))
    assert b"isn't on the list" in done.stdout
    assert counters.refused == {"host": 1}


def test_a_second_request_on_the_connection_is_not_sent(site):
    site.seen.clear()
    first = f"GET http://good.test:{site.http}/1 HTTP/1.1\r\nHost: good.test:{site.http}\r\n\r\n"
    second = "GET /2 HTTP/1.1\r\nHost: evil.test\r\n\r\n"
    answer, _ = serve(open_rules(site), lambda port: talk(port, (first + second).encode()))
    assert b"GET /1" in answer
    assert [row[:2] for row in site.seen] == [("/1", f"good.test:{site.http}")]


def connect_head(site, host="good.test"):
    return f"CONNECT {host}:{site.https} HTTP/1.1\r\n\r\n".encode()


@pytest.mark.parametrize(
    ("first", "reason"),
    [
        (lambda: greeting_of("other.test"), "server_name"),
        (lambda: greeting_of("evil.good.test"), "server_name"),
        (lambda: greeting_of(None), "server_name"),
        (lambda: with_extension(greeting_of("good.test"), 0xFE0D, b"x"), "hidden_name"),
        (lambda: b"GET / HTTP/1.1\r\nHost: evil.test\r\n\r\n", "not_tls"),
        (lambda: b"", "not_tls"),
        (lambda: b"\x16\x03\x01\x40\x00\x01\x01\x00\x00" + bytes(16380), "not_tls"),
    ],
)
def test_a_tunnel_to_a_name_carries_tls_for_that_name(site, first, reason):
    def act(port):
        return talk(port, connect_head(site) + first(), end=True)

    answer, counters = serve(open_rules(site), act)
    assert answer.startswith(b"HTTP/1.1 200")
    assert answer.endswith(b"\x15\x03\x03\x00\x02\x02\x31"), "a client sees access_denied"
    assert counters.refused == {reason: 1}
    assert counters.sent_bytes == 0


def test_a_tunnel_to_a_listed_address_carries_anything(site):
    rules = [f"127.0.0.1:{site.http}"]

    def act(port):
        data = f"CONNECT 127.0.0.1:{site.http} HTTP/1.1\r\n\r\n"
        return talk(port, f"{data}GET /raw HTTP/1.0\r\n\r\n".encode())

    answer, _ = serve(rules, act)
    assert b"GET /raw 0\n" in answer


def test_slow_and_endless_requests_end(site):
    limits = ProxyLimits(head_seconds=0.3, idle_seconds=0.5)

    def act(port):
        slow = talk(port, b"GET http://good.test/ HT")
        endless = talk(port, b"GET http://good.test/ HTTP/1.1\r\nA: " + b"x" * 200_000)
        mute = talk(port, connect_head(site))
        return slow, endless, mute

    (slow, endless, mute), counters = serve(open_rules(site), act, limits=limits)
    assert slow.startswith(b"HTTP/1.1 408")
    assert endless.startswith(b"HTTP/1.1 413") or endless == b""
    assert mute.startswith(b"HTTP/1.1 200")
    assert counters.refused == {"slow": 2, "too_large": 1}
    assert counters.open == 0


@pytest.mark.parametrize(
    "body", [b"5\r\nhello", b"zz\r\n", b"5\r\nhelloXX0\r\n\r\n", b"ffffffff\r\n", b"\r\n"]
)
def test_broken_chunks_are_not_passed_on(site, body):
    site.seen.clear()
    first = f"POST http://good.test:{site.http}/x HTTP/1.1\r\nHost: good.test:{site.http}\r\n"
    data = first.encode() + b"Transfer-Encoding: chunked\r\n\r\n" + body
    limits = ProxyLimits(body_bytes=1000, idle_seconds=5)
    answer, _ = serve(open_rules(site), lambda port: talk(port, data, end=True), limits=limits)
    assert b"POST /x" not in answer


def test_a_body_larger_than_its_bound_is_refused(site):
    def act(port):
        return curl(port, f"http://good.test:{site.http}/", "--data-binary", "b" * 5000)

    done, counters = serve(open_rules(site), act, limits=ProxyLimits(body_bytes=4999))
    assert b"longer than it may be" in done.stdout, done
    assert counters.refused == {"too_large": 1}


def test_more_connections_than_allowed_wait_their_turn(site):
    def act(port):
        idle = [socket.create_connection(("127.0.0.1", port)) for _ in range(3)]
        url = f"http://good.test:{site.http}/w"
        argv = ["curl", "-sS", "-m", "20", "-x", f"http://127.0.0.1:{port}", url]
        with subprocess.Popen(argv, stdout=subprocess.PIPE) as waiting:
            with pytest.raises(subprocess.TimeoutExpired):
                waiting.wait(0.3)
            for client in idle:
                client.close()
            return waiting.communicate(timeout=20)[0]

    if shutil.which("curl") is None:
        pytest.skip("no curl")
    answer, _ = serve(open_rules(site), act, limits=ProxyLimits(connections=3))
    assert answer == b"GET /w 0\n"


def test_a_server_that_does_not_answer_is_a_bad_gateway():
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
        done, counters = serve(
            [f"127.0.0.1:{port}", "gone.test:80"],
            lambda proxy: (
                curl(proxy, "-w", "%{http_code}", f"http://127.0.0.1:{port}/").stdout,
                curl(proxy, "-w", "%{http_code}", "http://gone.test/").stdout,
            ),
        )
    assert done[0].endswith(b"502")
    assert done[1].endswith(b"502")
    assert counters.refused == {"unreachable": 2}


@pytest.mark.parametrize("check", egress.CHECKS, ids=lambda check: check.__name__)
def test_a_slot_reaches_nothing_else(level, check):
    if level < Isolation.NAMESPACES:
        pytest.skip("the process level has the host's network, by definition")

    async def run():
        rules = ["listed.invalid:80", "*.listed.invalid:443"]
        async with backend_at(level, slots=2, network=rules) as backend:
            assert backend.capabilities.allowed == tuple(rules)
            assert not backend.capabilities.network
            await run_check(check, backend)

    asyncio.run(run())


def test_programs_of_a_slot_reach_what_is_listed(site, level):
    if level < Isolation.NAMESPACES:
        pytest.skip("the process level has the host's network, by definition")
    if shutil.which("curl") is None:
        pytest.skip("no curl")
    python = f"""
import ssl, urllib.request
context = ssl.create_default_context(cafile="cert.pem")
for url in ("http://127.0.0.1:{site.http}/p", "https://127.0.0.1:{site.https}/s"):
    print(urllib.request.urlopen(url, context=context).read().decode(), end="")
"""

    async def run():
        rules = [f"127.0.0.1:{site.http}", f"127.0.0.1:{site.https}", f"localhost:{site.https}"]
        everything = {"no_proxy": "", "NO_PROXY": ""}
        async with (
            backend_at(level, slots=2, network=rules, env=everything) as backend,
            await backend.lease() as lease,
        ):
            await lease.write_file("cert.pem", site.authority.read_bytes())
            for _ in range(2):
                result = await lease.exec(["python3", "-c", python])
                assert result.stdout == b"GET /p 0\nGET /s 0\n", result
                tls = ["curl", "-sS", "--cacert", "cert.pem", f"https://localhost:{site.https}/n"]
                assert (await lease.exec(tls)).stdout == b"GET /n 0\n"
                other = [*tls[:-1], "--resolve", "other.test:1:127.0.0.1", "https://other.test:1/"]
                refused = await lease.exec(other)
                assert b"403" in refused.stderr, refused
                hidden = ["curl", "-sS", "-k", "--connect-to", f"::localhost:{site.https}"]
                refused = await lease.exec([*hidden, "https://good.test/"])
                assert (refused.exit_code, refused.stdout) != (0, b"GET / 0\n"), refused
                await lease.reset()
                await lease.write_file("cert.pem", site.authority.read_bytes())

    asyncio.run(run())


def test_an_allow_list_needs_a_network_of_its_own():
    async def run():
        async with backend_at(Isolation.PROCESS, network=["a.test:443"]):
            pass

    with pytest.raises(IsolationUnavailableError, match="allow-list"):
        asyncio.run(run())
    with pytest.raises(ConfigError, match="a list of rules"):
        backend_at(Isolation.NAMESPACES, network="a.test:443")
    with pytest.raises(ConfigError, match="no network rule"):
        backend_at(Isolation.NAMESPACES, network=["a.test"])
