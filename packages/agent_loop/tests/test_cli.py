"""The command `treadle-loop`, as a process and in this one."""

import json
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pytest

from treadle_agent_loop.cli import main
from treadle_agent_loop.proof import check_template
from treadle_agent_loop.testing.tokenizers import toy_tokenizer
from treadle_agent_loop.tokens import ChatTokenizer, TokenLedger
from treadle_agent_loop.tokens.ledger import Sample

ASK = {"role": "user", "content": "Hello."}


def record():
    tokenizer = toy_tokenizer()
    ledger = TokenLedger(tokenizer)
    answer = {"role": "assistant", "content": "Hi."}
    ids = tokenizer.encode("Hi.<|im_end|>")
    ledger.commit(
        ledger.plan([ASK]),
        Sample(
            ids=ids,
            logprobs=[-0.5] * len(ids),
            ended_by="<|im_end|>",
            text="Hi.",
            message=answer,
        ),
    )
    return {
        "type": "rollout",
        "rollout_id": "g/0",
        "turns": 1,
        "messages": [ASK, answer],
        "segments": [asdict(segment) for segment in ledger.segments()],
        "ledger": asdict(ledger.report(logprobs="processed")),
        "usage": {"completion_tokens": len(ids)},
    }


def write(path: Path, *records) -> str:
    path.write_text("".join(json.dumps(entry) + "\n" for entry in records))
    return str(path)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tokenizer")
    toy_tokenizer().save(folder)
    return str(folder)


def test_a_good_file_is_proven(tmp_path, folder, capsys):
    failure = {"type": "failure", "rollout_id": "g/1"}
    path = write(tmp_path / "rollouts.jsonl", record(), failure)
    assert main(["verify", path, "--tokenizer", folder]) == 0
    out = capsys.readouterr().out
    assert "1 rollouts (0 without tokens), 1 failed ones: " in out
    assert "1 turns hold their messages' text; 1 set beside" in out
    assert out.splitlines()[-1].startswith("proven")


def test_every_broken_promise_is_a_line_with_its_place(tmp_path, capsys):
    changed = {**record(), "rollout_id": "g/7", "turns": 2}
    path = write(tmp_path / "rollouts.jsonl", record(), changed, {"type": "rollout"})
    assert main(["verify", path]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "line 2: g/7: conservation: the rollout has 2 turns, its segments 1"
    assert lines[1] == "line 3: record: the field 'messages' is missing"
    assert lines[-1] == "REFUTED: 2 broken promises"


@pytest.mark.parametrize("arguments", [["verify", "nowhere.jsonl"], ["check-template", "./a/b/c"]])
def test_unreadable_input_is_one_clear_line(arguments, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("treadle-loop: ")
    assert len(captured.err.splitlines()) == 1


def test_bad_usage_exits_2():
    with pytest.raises(SystemExit) as exit_:
        main(["verify"])
    assert exit_.value.code == 2


def test_help_needs_no_tokenizer_library():
    code = (
        "import sys\nfrom treadle_agent_loop.cli import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit as end:\n"
        "    assert not end.code\nassert 'transformers' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "check-template" in done.stdout


def test_the_module_is_the_command(folder):
    command = [sys.executable, "-m", "treadle_agent_loop", "check-template", folder]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "append-only, usable"


def test_a_template_that_ignores_tools_is_not_usable(tmp_path, folder, capsys):
    template = tmp_path / "t.jinja"
    template.write_text(
        "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n"
        "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
    )
    assert main(["check-template", folder, "--chat-template", str(template)]) == 1
    said = capsys.readouterr().out.splitlines()
    assert said[-1].endswith("NOT usable with tools")
    (line,) = [line for line in said if line.startswith("tools=:")]
    assert "IGNORED: the template writes nothing of them" in line
    assert "--chat-template" in line


@pytest.mark.parametrize(
    ("name", "rewritten"),
    [
        ("append", set()),
        ("default_system", set()),
        ("headers", set()),
        ("forgets_thinking", {"thinking"}),
    ],
)
def test_what_the_toy_templates_do_is_found(name, rewritten):
    report = check_template(toy_tokenizer(name))
    found = {case for case, entry in report.cases.items() if entry.outcome == "rewritten"}
    assert rewritten <= found
    assert report.appends == (not rewritten)
    assert report.usable


def test_stripped_content_default_prompts_and_soft_boundaries_are_found():
    assert check_template(toy_tokenizer("strips")).strips_content
    append = check_template(toy_tokenizer("append"))
    assert not append.strips_content
    assert append.default_system == ""
    assert append.cases["truncated turn"].closes == 1
    assert "small model" in check_template(toy_tokenizer("default_system")).default_system
    assert check_template(toy_tokenizer("plain")).cases["truncated turn"].soft > 0


@pytest.mark.parametrize(
    ("name", "appends", "usable"),
    [
        ("Qwen-Qwen2.5-7B-Instruct.jinja", None, True),
        ("Qwen-Qwen3-0.6B.jinja", False, True),
        ("google-gemma-2-2b-it.jinja", None, False),
    ],
)
def test_real_templates_are_judged(shared, name, appends, usable):
    template = (shared / "chat_templates" / name).read_text()
    folder = shared / "tokenizers" / "qwen2"
    report = check_template(ChatTokenizer.load(folder, chat_template=template))
    assert report.usable is usable
    if appends is not None:
        assert report.appends is appends
