import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoTokenizer

from treadle_embedded import TRAINED_SYSTEM, TRAINED_TOOL, RequestError, bundle_path
from treadle_embedded.prompt import ChatTemplate
from treadle_embedded.vocabulary import Vocabulary

QUESTION = "How many?"
MESSAGES = [
    {"role": "system", "content": TRAINED_SYSTEM},
    {"role": "user", "content": QUESTION},
]
TEMPLATE = ChatTemplate(bundle_path())
TERMINAL = {"type": "function", "function": {"description": "before the name", "name": "terminal"}}
ARGUMENTS = '{"code":  "print(\\"é\\" + 1)"}'


@pytest.fixture(scope="session")
def auto():
    return AutoTokenizer.from_pretrained(bundle_path())


def call(arguments):
    function = {"name": "python", "arguments": arguments}
    return {"role": "assistant", "content": "", "tool_calls": [{"function": function}]}


CONVERSATIONS = {
    "question": MESSAGES,
    "no system": MESSAGES[1:],
    "call and result": [*MESSAGES, call(ARGUMENTS), {"role": "tool", "content": "77"}],
    "arguments as an object": [*MESSAGES, call({"code": "print('é')"})],
    "two calls, two results": [
        *MESSAGES,
        {
            "role": "assistant",
            "content": "Let me see.",
            "tool_calls": call(ARGUMENTS)["tool_calls"] * 2,
        },
        {"role": "tool", "content": "1"},
        {"role": "tool", "content": "2"},
        {"role": "assistant", "content": "\\boxed{3}"},
        {"role": "user", "content": "Thanks"},
    ],
    "odd text": [{"role": "user", "content": " <b>&amp; {{ x }} {% raw %} \n\n"}],
}


@pytest.mark.parametrize("name", CONVERSATIONS)
@pytest.mark.parametrize(
    "tools", [None, [TRAINED_TOOL], [TERMINAL, TRAINED_TOOL]], ids=["0", "1", "2"]
)
@pytest.mark.parametrize("prompt", [True, False])
def test_transformers_renders_the_same(auto, name, tools, prompt):
    messages = CONVERSATIONS[name]
    ours = TEMPLATE.render(messages, tools, add_generation_prompt=prompt)
    theirs = auto.apply_chat_template(
        messages, tools=tools, add_generation_prompt=prompt, tokenize=False
    )
    assert ours == theirs


def test_transformers_tokenizes_the_same(auto):
    text = TEMPLATE.render(CONVERSATIONS["two calls, two results"], [TRAINED_TOOL])
    assert auto(text)["input_ids"] == Vocabulary(bundle_path()).encode(text)
    assert auto.decode(auto(text)["input_ids"]) == text


def test_the_pinned_prompt_is_what_the_model_was_trained_on():
    assert TEMPLATE.render(MESSAGES, [TRAINED_TOOL]) == (
        "<|im_start|>system\nYou solve maths problems. Use the python tool to calculate, then give "
        "the final answer in \\boxed{}.\n\n# Tools\n\n<tools>\n"
        '{"type": "function", "function": {"name": "python", "description": "Run a Python script '
        'and return what it prints.", "parameters": {"type": "object", "properties": {"code": '
        '{"type": "string", "description": "The script. Print the result."}}, "required": '
        '["code"]}}}\n</tools>\n\nCall a tool like this:\n<tool_call>\n'
        '{"name": "...", "arguments": {...}}\n</tool_call><|im_end|>\n'
        f"<|im_start|>user\n{QUESTION}<|im_end|>\n<|im_start|>assistant\n"
    )


def test_arguments_are_rendered_as_they_were_written():
    text = TEMPLATE.render([*MESSAGES, call(ARGUMENTS)], [TRAINED_TOOL])
    assert f'<tool_call>\n{{"name": "python", "arguments": {ARGUMENTS}}}\n</tool_call>' in text


roles = st.sampled_from(["user", "assistant", "tool"])
messages = st.lists(
    st.fixed_dictionaries({"role": roles, "content": st.text(max_size=12)}), min_size=1, max_size=6
)


@given(messages, messages)
def test_a_longer_conversation_only_appends(start, more):
    turn = {"role": "assistant", "content": "done"}
    before = TEMPLATE.render([*start, turn], [TRAINED_TOOL], add_generation_prompt=False)
    after = TEMPLATE.render([*start, turn, *more], [TRAINED_TOOL], add_generation_prompt=True)
    assert after.startswith(before)


def test_a_message_without_content_is_refused():
    with pytest.raises(RequestError, match="chat template"):
        TEMPLATE.render([{"role": "user", "content": 7}])
