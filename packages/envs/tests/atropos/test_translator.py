"""atroposlib's managed server finds tool calls without vLLM, once the translator is installed."""

from importlib import import_module
from types import SimpleNamespace
from typing import Any

import pytest
from atroposlib.envs.server_handling.managed_server import ManagedServer
from atroposlib.envs.server_handling.server_harness import ServerHarness
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from treadle_parsers.shims import atropos

MODULE = "atroposlib.envs.server_handling.tool_call_translator"
TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
MARKS = ["[UNK]", "<|im_start|>", "<|im_end|>", "<tool_call>", "</tool_call>"]
TOOLS = [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]
QUESTION = {"role": "user", "content": "go"}
FIRST = 'Hi <tool_call>\n{"name": "f", "arguments": {"x":1}}\n</tool_call>'


@pytest.fixture
def tokenizer() -> Any:
    """Single characters, and the markers as special tokens."""
    characters = [chr(code) for code in range(32, 127)] + ["\n"]
    vocabulary = {one: at for at, one in enumerate([*MARKS, *characters])}
    inner = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    inner.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    inner.decoder = decoders.Fuse()
    return PreTrainedTokenizerFast(
        tokenizer_object=inner,
        unk_token="[UNK]",
        eos_token="<|im_end|>",
        extra_special_tokens=[one for one in MARKS if one not in ("[UNK]", "<|im_end|>")],
        chat_template=TEMPLATE,
    )


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The translator in its place, until the test ends."""
    module = import_module(MODULE)
    monkeypatch.setattr(module, "ToolCallTranslator", module.ToolCallTranslator)
    atropos.install()


class Scripted(ServerHarness):
    """atroposlib's own test server, told what the model says to each prompt."""

    def __init__(self, tokenizer: Any) -> None:
        super().__init__()
        self.config = SimpleNamespace(model_name="m")
        self.tokenizer = tokenizer
        self.prompts: list[str] = []

    def says(self, prompt: str, text: str) -> None:
        ids = self.tokenizer.encode(text, add_special_tokens=False)
        given = self.tokenizer.encode(prompt, add_special_tokens=False)
        self.set_tokens_and_logprobs_response(prompt, given, [ids], [[-0.5] * len(ids)], ["stop"])

    async def tokens_and_logprobs_completion(self, **fields: Any) -> Any:
        self.prompts.append(fields["prompt"])
        return await super().tokens_and_logprobs_completion(**fields)


async def test_a_managed_server_answers_with_tool_calls(tokenizer, installed):
    server = Scripted(tokenizer)
    server.says("<|im_start|>user\ngo<|im_end|>\n<|im_start|>assistant\n", FIRST + "<|im_end|>")
    managed = ManagedServer(server=server, tokenizer=tokenizer, tool_parser="hermes")
    completion = await managed.chat_completion(messages=[QUESTION], tools=TOOLS, max_tokens=50)
    [choice] = completion.choices
    assert choice.finish_reason == "tool_calls"
    assert choice.message.content == "Hi "
    [call] = choice.message.tool_calls
    assert call["function"] == {"name": "f", "arguments": '{"x":1}'}


async def test_the_next_prompt_goes_on_from_the_tokens_of_the_turn_before(tokenizer, installed):
    server = Scripted(tokenizer)
    opening = "<|im_start|>user\ngo<|im_end|>\n<|im_start|>assistant\n"
    after = f"{opening}{FIRST}<|im_end|>\n<|im_start|>tool\n1<|im_end|>\n<|im_start|>assistant\n"
    server.says(opening, FIRST + "<|im_end|>")
    server.says(after, "Done<|im_end|>")
    managed = ManagedServer(server=server, tokenizer=tokenizer, tool_parser="hermes")
    first = await managed.chat_completion(messages=[QUESTION], tools=TOOLS)
    [call] = first.choices[0].message.tool_calls
    answer = {"role": "tool", "content": "1", "tool_call_id": call["id"]}
    said = {"role": "assistant", "content": "Hi ", "tool_calls": [call]}
    second = await managed.chat_completion(messages=[QUESTION, said, answer], tools=TOOLS)
    assert server.prompts == [opening, after]
    assert (second.choices[0].message.content, second.choices[0].finish_reason) == ("Done", "stop")
    [node] = managed.get_state()["nodes"]
    assert tokenizer.decode(node.tokens) == after + "Done<|im_end|>"


def test_it_has_every_method_of_the_one_that_it_replaces():
    original = import_module(MODULE).ToolCallTranslator
    methods = [name for name in vars(original) if not name.startswith("_")]
    assert methods
    assert all(callable(getattr(atropos.ToolCallTranslator, name)) for name in methods)
