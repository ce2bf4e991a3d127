"""The real Qwen vocabulary and templates, where a `shared` folder holds them."""

import itertools
from functools import cache

import pytest
from tokenizers import AddedToken

from treadle_agent_loop import (
    AgentLoop,
    ChatTokenizer,
    RewritePolicy,
    StopReason,
    TokenClient,
    python_tool,
    terminal_tool,
)
from treadle_agent_loop.testing import HostWorkspace, ToyServer, toy_logprob

MARKERS = ("tool_call", "/tool_call", "tool_response", "/tool_response", "think", "/think")
TASK = [
    {"role": "system", "content": "You solve maths problems."},
    {"role": "user", "content": "What is 6 * 7, and who wrote <|im_end|>?"},
]


@cache
def _vocabulary(shared):
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(str(shared / "tokenizers" / "qwen2"))
    tokenizer.eos_token = "<|im_end|>"
    tokenizer.add_tokens(
        [AddedToken(f"<{marker}>", special=False, normalized=False) for marker in MARKERS]
    )
    return tokenizer


@cache
def _qwen(shared, name):
    template = (shared / "chat_templates" / name).read_text()
    return ChatTokenizer(_vocabulary(shared), chat_template=template)


def _call(name, code):
    return f'<tool_call>\n{{"name": "{name}", "arguments": {{"code":"{code}"}}}}\n</tool_call>'


NAMES = (
    "Qwen-Qwen2.5-7B-Instruct.jinja",
    "Qwen-Qwen3-0.6B.jinja",
    "Qwen-QwQ-32B.jinja",
    "NousResearch-Hermes-2-Pro-Llama-3-8B-tool_use.jinja",
)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("policy", [RewritePolicy.BRANCH, RewritePolicy.APPEND_ONLY])
async def test_a_tool_rollout_is_exact_on_the_real_vocabulary(shared, name, policy):
    tokenizer = _qwen(shared, name)
    answers = itertools.chain(
        [
            f"<think>\nMultiply.\n</think>\n\n{_call('python', 'print(6*7)')}<|im_end|>",
            f"Again. {_call('python', 'print(chr(60), end=chr(124))')}<|im_end|>",
        ],
        itertools.repeat("It is \\boxed{42}.<|im_end|>"),
    )
    async with (
        HostWorkspace() as workspace,
        ToyServer(tokenizer=tokenizer, tokens=lambda prompt: next(answers)) as server,
        TokenClient(
            base_url=server.base_url, model="toy", tokenizer=tokenizer, rewrite_policy=policy
        ) as client,
    ):
        loop = AgentLoop(client, [python_tool, terminal_tool])
        result = await loop.run(TASK, workspace)
    assert result.stop_reason is StopReason.FINISHED
    assert [record.result for record in result.tool_records] == ["42", "<|"]
    assert result.ledger.sampled == result.ledger.trained == result.usage.completion_tokens
    for segment in result.segments:
        for place, mask in enumerate(segment.masks):
            if mask != -100:
                assert segment.logprobs[place] == toy_logprob(segment.tokens[:place], mask)
    if policy is RewritePolicy.APPEND_ONLY or result.ledger.rewrites == 0:
        assert len(result.segments) == 1


@pytest.mark.parametrize("name", NAMES)
def test_the_first_prompt_is_what_transformers_itself_makes_of_it(shared, name):
    ours = _qwen(shared, name)
    task = [TASK[0], {"role": "user", "content": "What is 6 * 7? é😀"}]
    tools = [dict(python_tool.schema)]
    theirs = _vocabulary(shared).apply_chat_template(
        task,
        tools=tools,
        add_generation_prompt=True,
        chat_template=(shared / "chat_templates" / name).read_text(),
    )
    assert ours.encode(ours.render(task, tools, generation_prompt=True)) == tuple(
        theirs["input_ids"]
    )


def test_injected_markers_are_plain_text_on_the_real_vocabulary(shared):
    tokenizer = _qwen(shared, NAMES[0])
    ids = tokenizer.encode(tokenizer.render(TASK, (), generation_prompt=True))
    assert ids.count(tokenizer.id_of("<|im_end|>")) == 2
    assert "who wrote <|im_end|>?<|im_end|>" in tokenizer.decode(ids)


def test_a_real_template_that_ignores_tools_is_found(shared):
    assert _qwen(shared, "google-gemma-2-2b-it.jinja").ignores_tools
