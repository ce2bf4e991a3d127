"""The predecessor's endpoints and tools, over real slots."""

import asyncio
import base64
import hashlib
import io
import json
import tarfile
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest

from treadle_sandbox.testing.server import ServerProcess


@pytest.fixture(scope="module")
def server() -> Iterator[ServerProcess]:
    with asyncio.Runner() as runner:
        process = ServerProcess("--min-isolation", "auto", slots=3)
        runner.run(process.__aenter__())
        try:
            yield process
        finally:
            runner.run(process.stop())


def ask(server, path, body=None, *, status=200):
    data = None if body is None else json.dumps(body).encode()
    headers = {"Authorization": f"Bearer {server.token}", "Content-Type": "application/json"}
    request = urllib.request.Request(server.url + path, data, headers)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            got, text = answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            got, text = error.code, error.read()
    assert got == status, text
    return json.loads(text)


def execute(server, tool, slot="slot_0", **args):
    return ask(server, "/execute", {"slot_id": slot, "tool": tool, "args": args})


def test_a_slot_keeps_its_files_until_it_is_reset(server):
    done = execute(server, "bash", command="echo hi > file; cat file; echo no >&2; exit 3")
    assert done["success"] is False
    assert done["output"] == "hi\n\n[stderr]\nno\n"
    assert done["error"] == "Exit code 3"
    assert done["metadata"]["exit_code"] == 3
    assert done["execution_id"]
    assert execute(server, "bash", command="cat file")["output"] == "hi\n"
    assert "file" not in execute(server, "bash", "slot_1", command="ls")["output"]
    assert ask(server, "/reset", {"slot_id": "slot_0"})["success"] is True
    assert execute(server, "bash", command="ls")["output"] == ""


def test_a_stateful_shell_keeps_its_state(server):
    execute(server, "bash_stateful", command="cd /tmp; x=7")
    done = execute(server, "bash_stateful", command="pwd; echo $x")
    assert (done["success"], done["output"]) == (True, "/tmp\n7\n")


def test_a_timeout_keeps_the_output_and_says_so(server):
    body = {
        "slot_id": "slot_0",
        "tool": "bash",
        "args": {"command": "echo before; sleep 60"},
        "timeout": 0.5,
    }
    done = ask(server, "/execute", body)
    assert done["output"] == "before\n"
    assert done["metadata"]["exit_code"] == -1
    assert done["metadata"]["timeout"] is True


def test_files_are_written_and_read(server):
    done = execute(server, "write_file", path="a/b.txt", content="text ü")
    assert done["metadata"]["size"] == 7
    assert execute(server, "read_file", path="a/b.txt")["output"] == "text ü"
    assert execute(server, "read_file", path="nowhere")["success"] is False
    assert execute(server, "write_file", path="big", content="x" * 100_001)["success"] is False


@pytest.mark.parametrize(
    ("tool", "args", "slot"),
    [
        ("nothing", {}, "slot_0"),
        ("tmux", {"action": "start"}, "slot_0"),
        ("bash", {}, "slot_0"),
        ("bash", {"command": 5}, "slot_0"),
        ("bash", {"command": "true"}, "slot_3"),
        ("bash", {"command": "true"}, "slot_x"),
        ("bash", {"command": "true"}, "slot_01"),
        ("bash", {"command": "true"}, "../slot_0"),
    ],
)
def test_what_can_not_be_done_is_told_in_the_reply(server, tool, args, slot):
    done = ask(server, "/execute", {"slot_id": slot, "tool": tool, "args": args})
    assert done["success"] is False
    assert done["error"]
    assert ask(server, "/execute", {"tool": tool}, status=400)["error"]["message"]


def test_a_batch_is_answered_in_order(server):
    body = [
        {"slot_id": f"slot_{n % 3}", "tool": "bash", "args": {"command": f"echo {n}"}}
        for n in range(9)
    ]
    done = ask(server, "/batch", body)
    assert [row["output"] for row in done] == [f"{n}\n" for n in range(9)]
    assert ask(server, "/batch", {"no": "list"}, status=400)


def test_an_execution_id_runs_once(server):
    body = {
        "slot_id": "slot_2",
        "tool": "bash",
        "args": {"command": "echo x >> runs; cat runs"},
        "execution_id": "once",
    }
    first, second = ask(server, "/execute", body), ask(server, "/execute", body)
    assert first == second
    assert first["output"] == "x\n"
    assert first["execution_id"] == "once"


def test_slots_and_health_are_shown(server):
    execute(server, "bash", command="true")
    rows = ask(server, "/slots")
    assert [row["slot_id"] for row in rows] == ["slot_0", "slot_1", "slot_2"]
    assert rows[0]["state"] == "available"
    assert rows[0]["workspace_dir"]
    health = ask(server, "/health")
    assert health["slots"] == 3
    assert {"available", "executing"} <= set(health)


def test_artifacts_are_read_listed_and_packed(server):
    ask(server, "/reset", {"slot_id": "slot_1"})
    for path, content in (("a.json", "{}"), ("d/b.txt", "bb"), ("d/e/c", "ccc")):
        execute(server, "write_file", "slot_1", path=path, content=content)
    wish = {"slot_id": "slot_1", "path": "d/b.txt", "include_sha256": True, "max_bytes": 1}
    got = ask(server, "/artifacts/read", wish)
    assert (got["content"], got["truncated"], got["bytes"], got["file_size"]) == ("b", True, 1, 2)
    assert got["sha256"] == hashlib.sha256(b"b").hexdigest()
    got = ask(server, "/artifacts/read", {**wish, "path": "a.json", "encoding": "base64"})
    assert (got["mime"], base64.b64decode(got["content"])) == ("application/json", b"{")
    ask(server, "/artifacts/read", {**wish, "path": "nope"}, status=404)
    ask(server, "/artifacts/read", {**wish, "slot_id": "slot_9"}, status=404)
    ask(server, "/artifacts/read", {**wish, "path": "d"}, status=400)

    got = ask(server, "/artifacts/list", {"slot_id": "slot_1"})
    assert [(row["path"], row["is_dir"]) for row in got["entries"]] == [
        ("a.json", False),
        ("d", True),
    ]
    got = ask(server, "/artifacts/list", {"slot_id": "slot_1", "recursive": True})
    assert [row["path"] for row in got["entries"]] == ["a.json", "d", "d/b.txt", "d/e", "d/e/c"]
    assert got["truncated"] is False

    got = ask(server, "/artifacts/archive", {"slot_id": "slot_1", "path": "d"})
    with tarfile.open(fileobj=io.BytesIO(base64.b64decode(got["content"]))) as tar:
        names = {member.name.removeprefix("./") for member in tar if member.isfile()}
    assert {name.removeprefix("d/") for name in names} == {"b.txt", "e/c"}
    assert got["entry_count"] == 2
    wish = {"slot_id": "slot_1", "max_bytes": 10}
    ask(server, "/artifacts/archive", wish, status=413)


def test_a_policy_that_can_not_be_kept_is_refused():
    async def run():
        options = ("--min-isolation", "auto", "--network", "all")
        async with ServerProcess(*options, slots=1) as server:
            args = {"command": "true", "allow_network": False}
            body = {"slot_id": "slot_0", "tool": "bash", "args": args}
            done = await asyncio.to_thread(ask, server, "/execute", body)
            assert done["success"] is False
            assert "Network" in done["error"]

    asyncio.run(run())
