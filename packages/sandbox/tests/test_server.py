"""What a server demands and promises, over real connections to real processes."""

import asyncio
import contextlib
import json
import os
import signal
import sys
import tempfile
import urllib.parse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from treadle_sandbox import LocalBackend, errors
from treadle_sandbox.errors import ConfigError
from treadle_sandbox.remote import RemoteBackend
from treadle_sandbox.server import Server, ServerOptions
from treadle_sandbox.testing import FakeBackend
from treadle_sandbox.testing.server import ServerProcess


@dataclass(frozen=True, slots=True)
class Got:
    status: int
    head: str
    body: bytes

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def error(self):
        return self.json["error"]["type"]


async def exchange(address: str, request: bytes) -> Got:
    """Send bytes on a new connection and read the answer and nothing else."""
    host, _, port = address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        writer.write(request)
        return await read_answer(reader)
    finally:
        writer.close()


async def read_answer(reader: asyncio.StreamReader) -> Got:
    async with asyncio.timeout(30):
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        length = [line for line in head.lower().splitlines() if line.startswith("content-length:")]
        body = await reader.readexactly(int(length[0].split(":")[1])) if length else b""
        return Got(int(head.split()[1]), head, body)


def request(method, path, body=b"", *, token=None, **headers) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "host: x", f"content-length: {len(body)}"]
    if token is not None:
        lines.append(f"authorization: Bearer {token}")
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + body


@dataclass(frozen=True, slots=True)
class Place:
    runner: asyncio.Runner
    server: ServerProcess

    async def ask(self, method, path, body=b"", *, token="", **headers) -> Got:
        if isinstance(body, dict | list):
            body = json.dumps(body).encode()
            headers.setdefault("content_type", "application/json")
        held = self.server.token if token == "" else token
        return await exchange(
            self.server.address, request(method, path, body, token=held, **headers)
        )

    async def lease(self, name, **wish) -> dict:
        got = await self.ask("PUT", f"/v1/leases/{name}", {"heartbeat": 60, **wish})
        assert got.status == 201, got
        return got.json


@pytest.fixture(scope="module")
def place() -> Iterator[Place]:
    with asyncio.Runner() as runner:
        server = ServerProcess("--min-isolation", "auto", slots=4)
        runner.run(server.__aenter__())
        try:
            yield Place(runner, server)
        finally:
            runner.run(server.stop())


async def until(true, seconds=10.0):
    async with asyncio.timeout(seconds):
        while True:
            found = true()
            if await found if asyncio.iscoroutine(found) else found:
                return
            await asyncio.sleep(0.02)


SHELL = b'{"script":"echo out; echo err >&2; exit 3"}'


def test_each_route_wants_its_token(place):
    async def run():
        first, second = await place.lease("token-first"), await place.lease("token-second")
        for path in ("/v1/leases/token-first/shell", "/v1/leases/token-first/jobs"):
            assert (await place.ask("POST", path, SHELL, token=None)).status == 401
            for token in ("wrong", second["token"], f"{first['token']}x", "\xff\xfe"):
                got = await place.ask("POST", path, SHELL, token=token)
                assert (got.status, got.error) == (403, "UnauthorizedError")
        for method, path in [
            ("GET", "/v1/leases"),
            ("POST", "/v1/leases"),
            ("PUT", "/v1/leases/token-third"),
            ("GET", "/v1/capabilities"),
            ("POST", "/v1/drain"),
            ("GET", "/metrics"),
            ("POST", "/execute"),
            ("GET", "/slots"),
            ("DELETE", "/v1/leases/nobody-has-this"),
            ("GET", "/nowhere"),
        ]:
            assert (await place.ask(method, path, token=None)).status == 401, path
            assert (await place.ask(method, path, token=first["token"])).status == 403, path
        assert (await place.ask("GET", "/health", token=None)).status == 200
        path = "/v1/leases/token-first/shell"
        assert (await place.ask("POST", path, SHELL, token=first["token"])).status == 200
        assert (await place.ask("POST", path, SHELL)).status == 200
        for name in ("token-first", "token-second"):
            assert (await place.ask("DELETE", f"/v1/leases/{name}")).status == 204

    place.runner.run(run())


def test_leases_that_are_not_there_are_told_from_those_that_ended(place):
    async def run():
        lease = await place.lease("ended-lease")
        await place.ask("DELETE", "/v1/leases/ended-lease")
        for name in ("ended-lease", "never-was-here"):
            got = await place.ask("POST", f"/v1/leases/{name}/shell", SHELL, token=lease["token"])
            assert (got.status, got.error) == (404, "LeaseClosedError")
        got = await place.ask("PUT", "/v1/leases/ended-lease", {})
        assert got.error == "LeaseClosedError"

    place.runner.run(run())


def test_a_lease_asked_for_twice_is_one(place):
    async def run():
        first, second = await asyncio.gather(place.lease("same-name"), place.lease("same-name"))
        assert first == second
        assert (await place.ask("GET", "/health")).json["leased"] == 1
        await place.ask("DELETE", "/v1/leases/same-name")

    place.runner.run(run())


def test_a_stale_epoch_is_a_conflict(place):
    async def run():
        await place.lease("epoch-lease")
        await place.ask("POST", "/v1/leases/epoch-lease/attach")
        path = "/v1/leases/epoch-lease/shell"
        got = await place.ask("POST", path, SHELL, treadle_epoch=1)
        assert (got.status, got.error) == (409, "LeaseExpiredError")
        assert (await place.ask("POST", path, SHELL, treadle_epoch=2)).status == 200
        assert (await place.ask("POST", path, SHELL, treadle_epoch="x")).status == 400
        await place.ask("DELETE", "/v1/leases/epoch-lease")

    place.runner.run(run())


def test_a_request_id_runs_once(place):
    async def run():
        await place.lease("replay-lease")
        path = "/v1/leases/replay-lease/shell"
        script = b'{"script":"sleep 0.2; echo x >> runs; cat runs"}'
        got = await asyncio.gather(
            *(place.ask("POST", path, script, idempotency_key="k1") for _ in range(5))
        )
        assert len({answer.body for answer in got}) == 1
        assert got[0].body.endswith(b"x\n")
        again = await place.ask("POST", path, script, idempotency_key="k1")
        assert again.body == got[0].body
        other = await place.ask("POST", path, script, idempotency_key="k2")
        assert other.body.endswith(b"x\nx\n")
        file = "/v1/leases/replay-lease/file?path=f"
        await place.ask("PUT", file, b"first", idempotency_key="k3")
        await place.ask("PUT", file, b"second", idempotency_key="k3")
        assert (await place.ask("GET", file)).body == b"first"
        await place.ask("DELETE", "/v1/leases/replay-lease")

    place.runner.run(run())


def test_a_call_that_was_ended_is_refused_when_it_comes(place):
    async def run():
        await place.lease("cancel-lease")
        await place.ask("DELETE", "/v1/leases/cancel-lease/calls/late")
        path = "/v1/leases/cancel-lease/shell"
        script = b'{"script":"touch ran"}'
        got = await place.ask("POST", path, script, idempotency_key="late")
        assert got.status == 409
        assert (await place.ask("GET", "/v1/leases/cancel-lease/files")).json == {"files": []}
        await place.ask("DELETE", "/v1/leases/cancel-lease")

    place.runner.run(run())


def test_results_come_as_bytes_or_as_json(place):
    async def run():
        await place.lease("result-lease")
        path = "/v1/leases/result-lease/shell"
        got = await place.ask("POST", path, SHELL)
        line, _, rest = got.body.partition(b"\n")
        assert json.loads(line)["lengths"] == [4, 4]
        assert rest == b"out\nerr\n"
        plain = (await place.ask("POST", path, SHELL, accept="application/json")).json
        assert (plain["stdout"], plain["stderr"], plain["exit_code"]) == ("out\n", "err\n", 3)
        script = b'{"script":"printf \'\\\\377\'"}'
        coded = (await place.ask("POST", path, script, accept="application/json")).json
        assert (coded["stdout"], coded["encoding"]) == ("/w==", "base64")
        stdin = b'{"script":"cat"}\nin\nput'
        assert (await place.ask("POST", path, stdin)).body.endswith(b"\nin\nput")
        query = await place.ask("POST", f"{path}?", SHELL)
        assert query.body.endswith(b"\nout\nerr\n"), "FastAPI's own route answers the same"
        await place.ask("DELETE", "/v1/leases/result-lease")

    place.runner.run(run())


@pytest.mark.parametrize("policy", ["kill", "finish"])
def test_a_client_that_went_away_is_treated_as_told(policy):
    async def run():
        options = ("--min-isolation", "auto", "--gone-client", policy)
        async with ServerProcess(*options, slots=1) as server:
            place = Place(None, server)
            await place.lease("gone-client")
            script = b'{"script":"touch began; sleep 2; touch ended"}'
            host, _, port = server.address.rpartition(":")
            _, writer = await asyncio.open_connection(host, int(port))
            path = "/v1/leases/gone-client"
            writer.write(request("POST", f"{path}/shell", script, token=server.token))

            async def has(name):
                rows = (await place.ask("GET", f"{path}/files")).json["files"]
                return name in [row[0] for row in rows]

            await until(lambda: has("began"))
            writer.close()
            if policy == "finish":
                await until(lambda: has("ended"))
            else:

                async def idle():
                    return (await place.ask("GET", "/health")).json["executing"] == 0

                await until(idle, 1.8)
                assert not await has("ended")

    asyncio.run(run())


def test_a_client_may_come_back_for_its_call(place):
    async def run():
        await place.lease("come-back")
        script = b'{"script":"sleep 0.6; echo x >> runs; cat runs"}'
        message = request(
            "POST",
            "/v1/leases/come-back/shell",
            script,
            token=place.server.token,
            idempotency_key="again",
        )
        host, _, port = place.server.address.rpartition(":")
        for _ in range(3):
            _, writer = await asyncio.open_connection(host, int(port))
            writer.write(message)
            await writer.drain()
            await until(lambda: running(place))
            writer.close()
        got = await exchange(place.server.address, message)
        assert got.body.endswith(b"\nx\n")
        await place.ask("DELETE", "/v1/leases/come-back")

    place.runner.run(run())


async def running(place):
    return (await place.ask("GET", "/health")).json["executing"] == 1


def test_silent_holders_lose_their_leases_and_it_is_counted(place):
    async def run():
        await place.lease("silent-one", heartbeat=0.3)
        await place.lease("lively-one", heartbeat=0.5)

        async def lost():
            wish = {"leases": {"lively-one": 1, "silent-one": 2}}
            got = await place.ask("POST", "/v1/heartbeat", wish)
            names = [row["id"] for row in (await place.ask("GET", "/v1/leases")).json]
            return names == ["lively-one"] and list(got.json["lost"]) == ["silent-one"]

        await until(lost)
        got = await place.ask("POST", "/v1/leases/silent-one/shell", SHELL)
        assert (got.status, got.error) == (409, "LeaseExpiredError")
        metrics = (await place.ask("GET", "/metrics")).body.decode()
        assert "treadle_sandbox_leases_expired_total 1.0" in metrics
        await place.ask("DELETE", "/v1/leases/lively-one")

    place.runner.run(run())


def test_metrics_are_prometheus_text(place):
    from prometheus_client.parser import text_string_to_metric_families

    async def run():
        return (await place.ask("GET", "/metrics")).body.decode()

    families = {f.name: f for f in text_string_to_metric_families(place.runner.run(run()))}
    assert families["treadle_sandbox_slots"].samples[0].value == 4
    assert families["treadle_sandbox_command_seconds"].type == "histogram"
    assert families["treadle_sandbox_requests"].samples[0].value > 0


def test_the_openapi_page_shows_every_route(place):
    async def run():
        page = (await place.ask("GET", "/openapi.json", token=None)).json
        paths = set(page["paths"])
        assert "/v1/leases/{lease}/exec" in paths
        assert "/execute" in paths
        text = (Path(__file__).parent.parent / "docs/server.md").read_text(encoding="utf-8")
        missing = [path for path in paths if path.removeprefix("/v1/leases/{lease}") not in text]
        assert not missing
        assert (await place.ask("GET", "/docs", token=None)).status == 200

    place.runner.run(run())


def test_a_signal_drains_and_leases_may_end():
    async def run():
        async with ServerProcess("--min-isolation", "auto", slots=2) as server:
            place = Place(None, server)
            await place.lease("drain-one")
            server.send_signal(signal.SIGTERM)

            async def draining():
                return (await place.ask("GET", "/health")).json["status"] == "draining"

            await until(draining)
            got = await place.ask("PUT", "/v1/leases/drain-two", {})
            assert (got.status, got.error) == (503, "BackendStateError")
            path = "/v1/leases/drain-one/shell"
            assert (await place.ask("POST", path, SHELL)).status == 200
            await place.ask("DELETE", "/v1/leases/drain-one")
            assert await server.wait() == 0

    asyncio.run(run())


def test_a_drained_server_stays_and_gives_no_leases():
    async def run():
        async with ServerProcess("--min-isolation", "auto", slots=2) as server:
            place = Place(None, server)
            assert (await place.ask("POST", "/v1/drain")).status == 204
            assert (await place.ask("PUT", "/v1/leases/drain-two", {})).status == 503
            assert (await place.ask("GET", "/health")).json["status"] == "draining"

    asyncio.run(run())


def test_an_idle_server_ends_itself():
    async def run():
        async with ServerProcess("--min-isolation", "auto", "--idle-exit", "0.5") as server:
            place = Place(None, server)
            await place.lease("idle-lease", heartbeat=1.0)
            assert await server.wait() == 0

    asyncio.run(run())


def test_the_token_is_nowhere_to_be_read(place):
    token = place.server.token.encode()
    folder = Path("/proc", str(place.server.pid))
    for name in ("environ", "cmdline"):
        assert token not in (folder / name).read_bytes()


def test_dangerous_addresses_need_a_token():
    for host in ("0.0.0.0", "::", "10.1.2.3", "example.org"):
        with pytest.raises(ConfigError, match="without a token"):
            ServerOptions(host=host)
        ServerOptions(host=host, token="long-enough")
    for host in ("127.0.0.1", "127.8.8.8", "::1", "localhost"):
        ServerOptions(host=host)
    with pytest.raises(ConfigError):
        ServerOptions(token="short")


def test_slots_with_network_need_a_token():
    async def run():
        async with LocalBackend(slots=1, min_isolation="auto", network=True) as backend:
            with pytest.raises(ConfigError, match="network"):
                async with Server(backend, ServerOptions()).listen():
                    pass

    asyncio.run(run())


def test_a_server_without_a_token_answers_no_web_page():
    async def run():
        async with FakeBackend(slots=1) as backend:
            server = Server(backend, ServerOptions())
            async with server.listen():
                got = await exchange(server.address, request("GET", "/slots"))
                assert got.status == 200
                page = request("GET", "/slots", origin="http://evil.example")
                assert (await exchange(server.address, page)).status == 401

    asyncio.run(run())


def test_an_address_in_use_is_a_typed_error():
    async def run():
        async with FakeBackend() as backend:
            server = Server(backend, ServerOptions())
            async with server.listen():
                port = int(server.address.rpartition(":")[2])
                with pytest.raises(errors.ServerStartError, match="can't listen"):
                    async with Server(backend, ServerOptions(port=port)).listen():
                        pass

    asyncio.run(run())


def test_job_output_is_streamed_while_it_is_written(place):
    async def run():
        await place.lease("stream-job")
        base = "/v1/leases/stream-job/jobs"
        job = (await place.ask("POST", base, b'{"argv":["cat"]}')).json["id"]
        host, _, port = place.server.address.rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(request("GET", f"{base}/{job}/follow", token=place.server.token))
        await place.ask("POST", f"{base}/{job}/input", b"first\n")
        async with asyncio.timeout(10):
            await reader.readuntil(b"first\n")
            await place.ask("POST", f"{base}/{job}/input?end=1", b"last\n")
            rest = await reader.readuntil(b"0\r\n\r\n")
            assert b"last\n" in rest
        writer.close()
        chunk = await place.ask("GET", f"{base}/{job}/output?offset=6&limit=3")
        assert chunk.body == b"las"
        assert "treadle-offset: 6" in chunk.head
        await place.ask("DELETE", "/v1/leases/stream-job")

    place.runner.run(run())


def test_archives_go_in_and_out(place):
    async def run():
        await place.lease("tar-lease")
        base = "/v1/leases/tar-lease"
        name = urllib.parse.quote(os.fsencode("a b/ü"))
        await place.ask("PUT", f"{base}/file?path={name}&executable=1", b"content")
        packed = (await place.ask("GET", f"{base}/archive")).body
        assert (await place.ask("POST", f"{base}/reset")).status == 200
        assert (await place.ask("POST", f"{base}/archive", packed)).json == {"files": 1}
        assert (await place.ask("GET", f"{base}/file?path={name}")).body == b"content"
        bad = await place.ask("POST", f"{base}/archive", b"no tar at all" * 100)
        assert (bad.status, bad.error) == (400, "ArchiveError")
        await place.ask("DELETE", base)

    place.runner.run(run())


def test_slots_of_an_image_root_do_not_see_the_token_file(tmp_path):
    async def run():
        with tempfile.NamedTemporaryFile(dir=Path.home(), prefix=".sandbox-token-") as file:
            file.write(b"token-of-a-file")
            file.flush()
            Path(file.name).chmod(0o644)
            words = ("serve", "--port", "0", "--port-file", str(tmp_path / "port"), "--slots", "1")
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "treadle_sandbox", *words),
                *("--root", "image", "--token-file", file.name),
                stderr=asyncio.subprocess.PIPE,
            )
            try:
                ended = asyncio.ensure_future(process.wait())
                await until(lambda: ended.done() or (tmp_path / "port").exists(), 30)
                if ended.done():
                    pytest.skip((await process.stderr.read()).decode()[-300:])
                address = (tmp_path / "port").read_text().strip()
                remote = RemoteBackend(f"http://{address}", token="token-of-a-file")
                async with remote as backend, await backend.lease() as lease:
                    seen = await lease.exec(["cat", file.name])
                    assert b"token-of-a-file" not in seen.stdout
                    root = await lease.exec(["ls", "/"])
                    assert b"usr" in root.stdout, root
            finally:
                with contextlib.suppress(ProcessLookupError):
                    process.terminate()
                await process.wait()

    asyncio.run(run())
