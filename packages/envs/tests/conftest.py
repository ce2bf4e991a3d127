"""Shared by the tests of this package: async tests, data files, a real trajectory API."""

import asyncio
import inspect
import json
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from treadle_agent_loop.testing import ToyServer
from treadle_agent_loop.tokens.chat_tokenizer import ChatTokenizer

REPOSITORY = Path(__file__).parents[3]
PROBLEMS = Path(__file__).parent / "data" / "problems.jsonl"


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run `async def` tests, with a limit, on a loop of their own."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    names = inspect.signature(pyfuncitem.obj).parameters
    arguments = {name: pyfuncitem.funcargs[name] for name in names}

    async def bounded() -> None:
        async with asyncio.timeout(120):
            await pyfuncitem.obj(**arguments)

    asyncio.run(bounded())
    return True


@pytest.fixture
def problems() -> Path:
    """A small data file in GSM8K's form, written for this repository."""
    return PROBLEMS


@pytest.fixture
def shared_gsm8k() -> Path:
    """The real GSM8K test file, where it lies beside the repository."""
    named = os.environ.get("TREADLE_SHARED")
    folders = [REPOSITORY.parent / "shared", REPOSITORY.parents[1] / "shared"]
    for folder in [Path(named)] if named else folders:
        if (folder / "gsm8k" / "test.jsonl").is_file():
            return folder / "gsm8k" / "test.jsonl"
    pytest.skip("no shared/gsm8k/test.jsonl beside the repository")


Until = Callable[[Callable[[], object]], Awaitable[None]]


@pytest.fixture
def until() -> Until:
    """Wait, with a limit, until a condition holds."""

    async def wait(condition: Callable[[], object]) -> None:
        async with asyncio.timeout(60):
            while not condition():  # noqa: ASYNC110 - the condition may be another process's
                await asyncio.sleep(0.02)

    return wait


@pytest.fixture
def children() -> Callable[[], set[int]]:
    """List the living descendants of this process, zombies left out."""

    def alive() -> set[int]:
        parents: dict[int, int] = {}
        for stat in Path("/proc").glob("[0-9]*/stat"):
            try:
                state, parent, *_ = stat.read_text().rpartition(")")[2].split()
            except (FileNotFoundError, ProcessLookupError):
                continue
            if state != "Z":
                parents[int(stat.parent.name)] = int(parent)
        found = {os.getpid()}
        while more := {pid for pid, parent in parents.items() if parent in found} - found:
            found |= more
        return found - {os.getpid()}

    if not Path("/proc/self/stat").exists():
        pytest.skip("needs /proc to see which processes live")
    return alive


class Trainer:
    """A trainer as the trajectory API knows one: registers, then asks for batches."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.groups: list[dict[str, object]] = []

    async def start(self, *, batch_size: int = 4, max_token_len: int = 4096) -> None:
        async with aiohttp.ClientSession() as session:
            registration = {
                "wandb_group": "g",
                "wandb_project": "p",
                "batch_size": batch_size,
                "max_token_len": max_token_len,
                "checkpoint_dir": "",
                "save_checkpoint_interval": -1,
                "starting_step": 0,
                "num_steps": 1000,
            }
            async with session.post(f"{self.url}/register", json=registration) as response:
                response.raise_for_status()
        await self.take()

    async def take(self) -> None:
        """Take every batch there is."""
        async with aiohttp.ClientSession() as session:
            while True:
                async with session.get(f"{self.url}/batch") as response:
                    batch = (await response.json())["batch"]
                if not batch:
                    return
                self.groups.extend(batch)


class Api:
    """A real trajectory API in a process of its own, and its trainer."""

    def __init__(self, port: int | None = None) -> None:
        self.port = _free_port() if port is None else port
        self.url = f"http://127.0.0.1:{self.port}"
        self.trainer = Trainer(self.url)
        command = [sys.executable, "-m", "uvicorn", "atroposlib.api:app", "--port", str(self.port)]
        self._process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        _wait_for_port(self.port)

    def stop(self) -> None:
        """End it; safe to call twice."""
        self._process.kill()
        self._process.wait(timeout=20)


@pytest.fixture
def start_api() -> Iterator[Callable[[int | None], Api]]:
    """Start trajectory APIs, on a free port or a given one."""
    started: list[Api] = []

    def start(port: int | None) -> Api:
        started.append(Api(port))
        return started[-1]

    yield start
    for api in started:
        api.stop()


@pytest.fixture(scope="session")
def long_lived_api() -> Iterator[Api]:
    """One trajectory API for all tests that don't stop it."""
    api = Api()
    yield api
    api.stop()


@pytest.fixture
def trainer(long_lived_api: Api) -> Iterator[Trainer]:
    """A trainer of a trajectory API that has no state yet."""
    yield Trainer(long_lived_api.url)
    asyncio.run(_forget(long_lived_api.url))


async def _forget(url: str) -> None:
    async with aiohttp.ClientSession() as session, session.get(f"{url}/reset_data") as answer:
        await answer.read()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_for_port(port: int) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise TimeoutError(f"nothing listens on port {port}")


CHAT_TEMPLATE = """\
{%- if tools %}<|im_start|>system
{{ messages[0].content }}

# Tools
{% for tool in tools %}{{ tool | tojson }}
{% endfor %}<|im_end|>
{% endif %}
{%- for message in messages %}
{%- if message.role == 'assistant' %}<|im_start|>assistant
{{ message.content }}
{%- for call in message.tool_calls or [] %}
<tool_call>
{"name": "{{ call.function.name }}", "arguments": {{ call.function.arguments | tojson }}}
</tool_call>
{%- endfor %}<|im_end|>
{% elif message.role == 'tool' %}<|im_start|>user
<tool_response>
{{ message.content }}
</tool_response><|im_end|>
{% elif message.role == 'user' %}<|im_start|>user
{{ message.content }}<|im_end|>
{% endif %}
{%- endfor %}
{%- if add_generation_prompt %}<|im_start|>assistant
{% endif %}"""


@pytest.fixture(scope="session")
def tokenizer_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A byte-level BPE tokenizer with a chat template, trained here, as a model folder."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    marks = ["<|im_start|>", "<|im_end|>"]
    trainer = trainers.BpeTrainer(
        vocab_size=600,
        special_tokens=marks,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(PROBLEMS.read_text().splitlines(), trainer)
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<|im_end|>")
    fast.chat_template = CHAT_TEMPLATE
    folder = tmp_path_factory.mktemp("tokenizer")
    fast.save_pretrained(folder)
    return folder


def solve(prompt: str) -> str:
    """Answer as the toy model does: call python with the question's two numbers, then box."""
    last = prompt.rpartition("<|im_start|>user\n")[2]
    if "<tool_response>" in last:
        result = last.split("<tool_response>\n")[1].split("\n")[0]
        return f"The answer is \\boxed{{{result}}}.<|im_end|>"
    numbers = re.findall(r"\d+", last)
    if len(numbers) < 2:
        return "Hello.<|im_end|>"
    first, second = numbers[:2]
    sign = "+" if "saved" in last else "-" if "leaked" in last else "*"
    code = json.dumps({"name": "python", "arguments": {"code": f"print({first}{sign}{second})"}})
    return f"<tool_call>\n{code}\n</tool_call><|im_end|>"


@pytest.fixture
def toy_server(tokenizer_folder: Path) -> Callable[..., ToyServer]:
    """Build servers of a toy model that solves the problems with its tool."""

    def build(**options: Any) -> ToyServer:
        tokenizer = ChatTokenizer.load(tokenizer_folder)
        return ToyServer(**{"tokenizer": tokenizer, "tokens": solve, **options})

    return build


def read_lines(path: Path) -> list[dict[str, object]]:
    """Return the records of a JSON-lines file."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.fixture
def lines_of() -> object:
    """The reader of JSON-lines files."""
    return read_lines
