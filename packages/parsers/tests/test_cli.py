"""The command line: real processes where a pipe matters, `main` elsewhere."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from treadle_parsers import get_parser, list_parsers
from treadle_parsers.cli import main

ROOT = Path(__file__).parents[1]
TEXT = (
    "<think>\nA sum.\n</think>\n\nI add.\n"
    '<tool_call>\n{"name": "add", "arguments": {"a": 2, "b": 3}}\n</tool_call>'
)
BAD = '<tool_call>\n{"name": "add", "arguments": {"a": 2,, }}\n</tool_call>\n' + TEXT
PARAMETERS = {
    "type": "object",
    "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}},
    "required": ["a", "b"],
}
TOOLS = [{"type": "function", "function": {"name": "add", "parameters": PARAMETERS}}]


@pytest.fixture
def reply(tmp_path):
    path = tmp_path / "reply.txt"
    path.write_bytes(TEXT.encode())
    return str(path)


@pytest.fixture
def tools(tmp_path):
    path = tmp_path / "tools.json"
    path.write_text(json.dumps(TOOLS), encoding="utf-8")
    return str(path)


def run(*argv, data=b"", environment=None):
    return subprocess.run(
        [sys.executable, "-m", "treadle_parsers", *argv],
        input=data,
        capture_output=True,
        env={**os.environ, "PYTHONWARNINGS": "error", **(environment or {})},
        timeout=60,
        check=False,
    )


def refused(capsys, *argv):
    """Run what can't work; return its one line."""
    assert main(argv) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("treadle-parse: ")
    assert said.err.count("\n") == 1
    return said.err


def test_a_file_becomes_one_json_object(capsys, reply):
    assert main(["--format", "hermes", reply]) == 0
    record = json.loads(capsys.readouterr().out)
    message = get_parser("hermes").parse(TEXT)
    call = message.tool_calls[0]
    assert (record["format"], record["candidates"]) == ("hermes", ["hermes"])
    assert (record["content"], record["reasoning"]) == (message.content, message.reasoning)
    assert record["tool_calls"] == [
        {
            "index": 0,
            "id": call.id,
            "name": "add",
            "arguments": '{"a": 2, "b": 3}',
            "status": "ok",
            "reason": "",
            "start": call.span.start,
            "end": call.span.end,
            "raw": call.raw,
        }
    ]
    assert [one["kind"] for one in record["segments"]] == [one.kind for one in message.segments]
    assert record["segments"][-1]["end"] == len(TEXT)


def test_standard_input_is_read_byte_by_byte_as_it_is():
    data = "one\r\ntwo \u00e9 \U0001f600\r".encode()
    for argv in (("--format", "hermes"), ("--format", "hermes", "-")):
        done = run(*argv, data=data, environment={"PYTHONIOENCODING": "ascii"})
        assert (done.returncode, done.stderr) == (0, b"")
        assert json.loads(done.stdout)["content"] == data.decode()


def test_the_script_and_the_module_are_the_same_command(reply):
    script = Path(sys.executable).with_name("treadle-parse")
    if not script.exists():
        pytest.skip("the package is not installed with its scripts")
    done = subprocess.run(
        [script, "--format", "hermes", reply], capture_output=True, timeout=60, check=True
    )
    assert done.stdout == run("--format", "hermes", reply).stdout


def test_tools_type_the_values_and_the_prefix_opens_the_thinking(capsys, tmp_path, tools):
    path = tmp_path / "reply.txt"
    path.write_text(
        "hm</think><tool_call>\n<function=add>\n<parameter=a>\n2\n</parameter>\n"
        "<parameter=b>\n3\n</parameter>\n</function>\n</tool_call>",
        encoding="utf-8",
    )
    argv = ["--format", "qwen3_coder", "--tools", tools, "--prefix", "<think>\n", str(path)]
    assert main(argv) == 0
    record = json.loads(capsys.readouterr().out)
    assert record["reasoning"] == "hm"
    assert record["tool_calls"][0]["arguments"] == '{"a": 2, "b": 3}'


def test_the_finish_reason_makes_an_unclosed_call_truncated(capsys, tmp_path):
    path = tmp_path / "reply.txt"
    path.write_text(TEXT.removesuffix("\n</tool_call>"), encoding="utf-8")
    for argv, status in (([], "ok"), (["--finish-reason", "length"], "truncated")):
        assert main(["--format", "hermes", *argv, str(path)]) == 0
        assert json.loads(capsys.readouterr().out)["tool_calls"][0]["status"] == status


@pytest.mark.parametrize("size", ["1", "7", "0"])
def test_a_stream_prints_events_that_add_up_to_its_last_line(capsys, reply, size):
    assert main(["--format", "hermes", "--stream", size, reply]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    last = lines.pop()
    assert last.pop("event") == "message"
    assert main(["--format", "hermes", reply]) == 0
    assert last == json.loads(capsys.readouterr().out)

    def joined(kind):
        return "".join(line["text"] for line in lines if line["event"] == kind)

    assert joined("content") == last["content"]
    assert joined("reasoning") == last["reasoning"]
    assert joined("arguments") == last["tool_calls"][0]["arguments"]
    assert [line["event"] for line in lines if "call" in line["event"]] == [
        "call_start",
        "call_end",
    ]


def test_events_come_while_the_pipe_is_still_open():
    command = [sys.executable, "-m", "treadle_parsers", "--format", "hermes", "--stream", "0"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(b"Hello \xc3")
        process.stdin.flush()
        assert json.loads(process.stdout.readline()) == {"event": "content", "text": "Hello "}
        process.stdin.write(b"\xa9!")
        process.stdin.flush()
        assert json.loads(process.stdout.readline()) == {"event": "content", "text": "\u00e9!"}
        process.stdin.close()
        assert json.loads(process.stdout.read())["content"] == "Hello \u00e9!"
    assert process.returncode == 0


def test_openai_shapes_are_printed_on_request(capsys, reply):
    assert main(["--format", "hermes", "--openai", reply]) == 0
    message = json.loads(capsys.readouterr().out)
    assert message["role"] == "assistant"
    assert message["tool_calls"][0]["function"]["arguments"] == '{"a": 2, "b": 3}'
    assert main(["--format", "hermes", "--openai", "--stream", "9", reply]) == 0
    deltas = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    told = [delta["tool_calls"][0]["function"] for delta in deltas if "tool_calls" in delta]
    assert "".join(one["arguments"] for one in told) == '{"a": 2, "b": 3}'


def test_check_is_about_the_calls(capsys, tmp_path, reply):
    bad = tmp_path / "bad.txt"
    bad.write_text(BAD, encoding="utf-8")
    assert main(["--format", "hermes", "--check", reply]) == 0
    assert main(["--format", "hermes", str(bad)]) == 0
    capsys.readouterr()
    assert main(["--format", "hermes", "--check", str(bad)]) == 1
    record = json.loads(capsys.readouterr().out)
    assert [call["status"] for call in record["tool_calls"]] == ["invalid_json", "ok"]
    assert "character" in record["tool_calls"][0]["reason"]
    assert main(["--format", "hermes", "--check", "--stream", "3", str(bad)]) == 1


def test_auto_reads_what_all_candidates_read_alike(capsys, reply):
    assert main([reply]) == 0
    record = json.loads(capsys.readouterr().out)
    assert record["format"] is None
    assert "hermes" in record["candidates"]
    assert record["tool_calls"][0]["status"] == "ok"
    assert main(["--model-id", "Qwen/Qwen3-8B", reply]) == 0
    assert json.loads(capsys.readouterr().out)["format"] == "hermes"


def test_auto_refuses_what_its_candidates_read_differently(capsys, tmp_path, tools):
    text = get_parser("muse").parse  # the two Muse formats differ in the types of bare text
    path = tmp_path / "reply.txt"
    written = (
        '<|start|>assistant to=add<|message|><atem:function_calls>\n<atem:invoke name="add">\n'
        '<atem:parameter name="a">2</atem:parameter>\n</atem:invoke>\n</atem:function_calls>'
    )
    assert text(written).tool_calls[0].arguments == '{"a": "2"}'
    path.write_text(written, encoding="utf-8")
    said = refused(capsys, str(path))
    assert "ambiguous" in said
    assert "muse, muse_glimmer" in said
    assert main(["--tools", tools, str(path)]) == 0


def test_auto_refuses_a_text_without_calls(capsys, tmp_path):
    path = tmp_path / "reply.txt"
    path.write_text("Hello.", encoding="utf-8")
    assert "--format" in refused(capsys, str(path))


def test_detect_prints_the_evidence(capsys, tmp_path, reply):
    template = tmp_path / "template.jinja"
    template.write_text("{{ '<|tool_calls_section_begin|><|tool_call_begin|>' }}", encoding="utf-8")
    argv = ["--detect", "--chat-template", str(template), "--model-id", "moonshotai/Kimi-K2"]
    assert main(argv) == 0
    name, *evidence = capsys.readouterr().out.splitlines()
    assert name == "kimi_k2"
    assert any("<|tool_call_begin|>" in line for line in evidence)
    assert any("moonshotai/Kimi-K2" in line for line in evidence)
    assert main(["--detect", "--json", reply]) == 1
    found = json.loads(capsys.readouterr().out)
    assert found["format"] is None
    assert "hermes" in found["candidates"]
    assert main(["--detect", "--model-id", "nobody/nothing"]) == 1
    assert capsys.readouterr().out == "no format fits\n"


def test_explain_tells_every_part_without_colour(capsys, tmp_path, tools, monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    path = tmp_path / "reply.txt"
    escape = "\x1b[2J \u202e"
    text = BAD.replace("I add.", f"I add {escape}" + "and so on " * 12) + "<tool_call>\n{"
    path.write_text(text, encoding="utf-8")
    assert main(["--format", "hermes", "--tools", tools, "--explain", str(path)]) == 0
    shown = capsys.readouterr().out
    assert "\x1b" not in shown
    assert "\u202e" not in shown
    assert r"\x1b[2J \u202e" in shown
    assert max(map(len, shown.splitlines()[3:])) <= 60
    for word in ("legend:", "content", "reasoning", "framing", "call 0", "call 1", "call 2"):
        assert word in shown
    assert "3 calls (1 invalid_json, 1 ok, 1 truncated)" in shown
    assert '= ok: add {"a": 2, "b": 3}' in shown
    assert "= why: the text ends before the call does" in shown
    margin = 19
    kept = [line[margin:] for line in shown.splitlines()[3:] if not line[margin:].startswith("= ")]
    assert all(part in "".join(kept) for part in ("<think>", "A sum.", "</think>", "{"))


def test_colour_is_for_terminals_and_on_request(reply):
    argv = ("--format", "hermes", "--explain", reply)
    assert b"\x1b" not in run(*argv).stdout
    assert b"\x1b[32m" in run(*argv, "--color", "always").stdout
    assert b"\x1b[32m" in run(*argv, "--color", "always", environment={"NO_COLOR": "1"}).stdout
    assert b"\x1b" not in run(*argv, "--color", "never").stdout


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo terminal")
@pytest.mark.parametrize(("no_color", "coloured"), [("", True), ("1", False)])
def test_a_terminal_gets_colour_unless_no_color_is_set(reply, no_color, coloured):
    import pty

    leader, follower = pty.openpty()
    environment = {**os.environ, "NO_COLOR": no_color, "TERM": "xterm"}
    command = [sys.executable, "-m", "treadle_parsers", "--format", "hermes", "--explain", reply]
    subprocess.run(command, stdout=follower, env=environment, timeout=60, check=True)
    os.close(follower)
    shown = os.read(leader, 65536)
    os.close(leader)
    assert (b"\x1b[32m" in shown) is coloured


def test_ascii_output_stays_readable(reply, tmp_path):
    path = tmp_path / "reply.txt"
    path.write_text("caf\u00e9 \n", encoding="utf-8")
    argv = ("--format", "hermes", "--explain", str(path))
    done = run(*argv, environment={"PYTHONIOENCODING": "ascii"})
    assert (done.returncode, done.stderr) == (0, b"")
    assert rb"caf\xe9\x20\n" in done.stdout


def test_list_names_every_parser(capsys):
    assert main(["--list", "--json"]) == 0
    forms = json.loads(capsys.readouterr().out)
    names = [name for form in forms for name in (form["name"], *form["aliases"])]
    assert sorted(names) == sorted(list_parsers())
    needs = {form["name"]: form["needs_schema"] for form in forms}
    assert (needs["qwen3_coder"], needs["hermes"], needs["kimi_k3"]) == (True, False, False)
    assert main(["--list"]) == 0
    shown = capsys.readouterr().out
    assert "hermes (qwen, qwen25" in shown
    assert all(form["models"] in shown and form["summary"] in shown for form in forms)


def test_a_record_is_rendered_in_another_format(capsysbinary, tmp_path, reply):
    assert main(["--format", "hermes", reply]) == 0
    record = tmp_path / "record.json"
    record.write_bytes(capsysbinary.readouterr().out)
    assert main(["--render", "--format", "glm45", str(record)]) == 0
    message = get_parser("glm45").parse(capsysbinary.readouterr().out.decode())
    assert (message.reasoning, message.tool_calls[0].name) == ("A sum.", "add")


@pytest.mark.parametrize(
    "written",
    [
        [{"name": "f", "arguments": {"x": "\u00e9"}}],
        {"name": "f", "arguments": '{"x": "\u00e9"}'},
        {"tool_calls": [{"function": {"name": "f", "arguments": '{"x": "\u00e9"}'}}]},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"name": "f", "arguments": {"x": "\u00e9"}}],
        },
    ],
)
def test_calls_are_rendered_from_every_shape(capsysbinary, tmp_path, written):
    path = tmp_path / "calls.json"
    path.write_text(json.dumps(written), encoding="utf-8-sig")
    assert main(["--render", "--format", "hermes", str(path)]) == 0
    text = capsysbinary.readouterr().out.decode()
    assert text == '<tool_call>\n{"name": "f", "arguments": {"x": "\u00e9"}}\n</tool_call>'


def test_grammars_are_printed(capsys, tools):
    assert main(["--grammar", "gbnf", "--format", "hermes", "--tools", tools]) == 0
    assert capsys.readouterr().out.rstrip("\n") == get_parser("hermes").gbnf(TOOLS).rstrip("\n")
    argv = ["--grammar", "structural-tag", "--model-id", "zai-org/GLM-4.7", "--tools", tools]
    for choice in ("auto", "required"):
        assert main([*argv, "--tool-choice", choice]) == 0
        tag = json.loads(capsys.readouterr().out)
        assert tag == get_parser("glm47").structural_tag(TOOLS, choice=choice)


def test_a_dialect_is_rendered_and_constrained(capsysbinary, tmp_path, tools):
    calls = tmp_path / "calls.json"
    calls.write_text('[{"name": "add", "arguments": {"a": 1, "b": 2}}]', encoding="utf-8")
    for dialect in ("default", "v3"):
        argv = ["--format", "mistral", "--dialect", dialect]
        assert main(["--render", *argv, str(calls)]) == 0
        text = capsysbinary.readouterr().out.decode()
        assert ('"name"' in text) is (dialect == "v3")
        assert main(["--grammar", "gbnf", *argv, "--tools", tools]) == 0
        assert (b"name" in capsysbinary.readouterr().out) is (dialect == "v3")


def test_an_unknown_dialect_ends_in_one_line(capsys, tmp_path):
    calls = tmp_path / "calls.json"
    calls.write_text("[]", encoding="utf-8")
    argv = ("--render", "--format", "mistral", "--dialect", "v0", str(calls))
    assert "'v3'" in refused(capsys, *argv)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"nonsense", "is not JSON"),
        (b'{"type": "function"}', "no JSON list"),
        (b"[3]", "entry 0 is no tool"),
        (b'[{"type": "function", "function": {"name": "f"}}, {}]', "entry 1 is no tool"),
        (b'[{"function": {"name": "f", "parameters": "x"}}]', "entry 0 is no tool"),
        (b'["\xff"]', "not UTF-8: byte 0xff at 2"),
        (b"[" * 100_000, "nested too deeply"),
    ],
)
def test_tools_that_are_none_end_in_one_line(capsys, tmp_path, reply, content, message):
    path = tmp_path / "tools.json"
    path.write_bytes(content)
    assert message in refused(capsys, "--format", "hermes", "--tools", str(path), reply)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"3", "holds no calls"),
        (b"[3]", "call 0 has no name"),
        (b'[{"name": "f", "arguments": "[1]"}]', "not a JSON object"),
        (b'{"content": [1], "tool_calls": []}', "the content is [1], not a string"),
        (b'[{"name": "f", "arguments": "{\\"x\\": \\"\\ud800\\"}"}]', "half of a character"),
    ],
)
def test_calls_that_cannot_be_rendered_end_in_one_line(capsys, tmp_path, content, message):
    path = tmp_path / "calls.json"
    path.write_bytes(content)
    assert message in refused(capsys, "--render", "--format", "hermes", str(path))


def test_bad_input_ends_in_one_line(capsys, tmp_path, reply, tools):
    missing = str(tmp_path / "missing.txt")
    assert "No such file" in refused(capsys, "--format", "hermes", missing)
    assert "can't be read" in refused(capsys, "--format", "hermes", str(tmp_path))
    assert "'hermes'" in refused(capsys, "--format", "hermse", reply)
    assert "--format" in refused(capsys, "--render", reply)
    assert "--tools" in refused(capsys, "--grammar", "gbnf", "--format", "hermes")
    empty = tmp_path / "empty.json"
    empty.write_text("[]", encoding="utf-8")
    argv = ("--grammar", "gbnf", "--format", "hermes", "--tools", str(empty))
    assert "at least one tool" in refused(capsys, *argv)
    binary = tmp_path / "binary"
    binary.write_bytes(b"ab" * 40_000 + b"\xc3(")
    assert "byte 0xc3 at 80000" in refused(capsys, "--format", "hermes", str(binary))
    binary.write_bytes(b"ab\xc3")
    assert "byte 0xc3 at 2" in refused(capsys, "--format", "hermes", str(binary))


@pytest.mark.parametrize("argv", [["--stream", "-1"], ["--stream", "x"], ["--list", "--detect"]])
def test_bad_usage_exits_with_2(capsys, argv):
    with pytest.raises(SystemExit, match="2"):
        main(argv)
    assert "treadle-parse: error:" in capsys.readouterr().err


def test_a_reader_that_goes_away_ends_it_quietly():
    command = [sys.executable, "-m", "treadle_parsers", "--format", "hermes", "--stream", "1"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdin.write(b"one ")
        process.stdin.flush()
        assert process.stdout.readline()
        process.stdout.close()
        process.stdin.write(b"two three")
        process.stdin.close()
        assert process.stderr.read() == b""
    assert process.returncode == 141


def test_a_lone_surrogate_in_a_name_is_printed_as_json():
    text = b'<tool_call>{"name": "\\ud800", "arguments": {}}</tool_call>'
    done = run("--format", "hermes", data=text)
    assert (done.returncode, done.stderr) == (0, b"")
    assert json.loads(done.stdout)["tool_calls"][0]["name"] == "\ud800"


def test_importing_the_package_loads_no_command_line():
    code = (
        "import sys, treadle_parsers; treadle_parsers.get_parser('hermes');"
        "print([name for name in sys.modules if name == 'argparse' or 'treadle_parsers.cli' in name"
        " or name == 'importlib.metadata'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.strip() == "[]"


@pytest.mark.skipif(sys.platform == "win32", reason="the sessions are written for a shell")
def test_the_sessions_of_the_page_print_what_it_shows(tmp_path):
    page = (ROOT / "docs" / "command-line.md").read_text(encoding="utf-8")
    (reply,) = re.findall(r"^```text\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
    (tools,) = re.findall(r"^```json\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
    (tmp_path / "reply.txt").write_text(reply, encoding="utf-8")
    (tmp_path / "tools.json").write_text(tools, encoding="utf-8")
    command = f'treadle-parse() {{ "{sys.executable}" -m treadle_parsers "$@"; }}\n'
    sessions = re.findall(r"^```console\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
    steps = [step for session in sessions for step in session.removeprefix("$ ").split("\n$ ")]
    assert len(steps) >= 8
    environment = {**os.environ, "COLUMNS": "80", "PYTHONUTF8": "1"}
    for step in steps:
        line, _, shown = step.partition("\n")
        done = subprocess.run(
            ["bash", "-c", command + line],
            cwd=tmp_path,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=60,
            check=False,
        )
        assert done.stdout.decode().rstrip("\n") == shown.rstrip("\n"), line
