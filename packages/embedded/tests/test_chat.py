import json
import math
from concurrent.futures import ThreadPoolExecutor

import pytest

from treadle_embedded import TRAINED_TOOL, bundle_path
from treadle_embedded.prompt import ChatTemplate
from treadle_embedded.vocabulary import Vocabulary

VOCABULARY = Vocabulary(bundle_path())


def test_the_model_calls_python_and_boxes_the_result(ask, messages):
    answer = ask()
    choice = answer.choices[0]
    (call,) = choice.message.tool_calls
    assert (choice.finish_reason, call.type, call.function.name) == (
        "tool_calls",
        "function",
        "python",
    )
    code = json.loads(call.function.arguments)["code"]
    assert "42 + 35" in code
    assert "print(" in code
    history = [*messages, choice.message.model_dump(exclude_none=True)]
    history.append({"role": "tool", "tool_call_id": call.id, "content": "77"})
    last = ask(messages=history).choices[0]
    assert last.finish_reason == "stop"
    assert "\\boxed{77}" in last.message.content
    assert last.message.tool_calls is None


def test_call_ids_differ_between_answers(ask):
    answers = [ask().choices[0].message.tool_calls[0].id for _ in range(3)]
    assert len(set(answers)) == 3


def test_without_tools_the_text_is_not_read_for_calls(ask):
    for overrides in ({"tools": None}, {"tool_choice": "none"}):
        message = ask(**overrides).choices[0].message
        assert message.tool_calls is None
        assert message.content


def test_the_prompt_ids_are_the_rendered_template(ask, messages):
    answer = ask(extra_body={"return_token_ids": True})
    text = ChatTemplate(bundle_path()).render(messages, [TRAINED_TOOL])
    assert answer.prompt_token_ids == VOCABULARY.encode(text)
    assert answer.usage.prompt_tokens == len(answer.prompt_token_ids)
    ids = answer.choices[0].token_ids
    assert answer.usage.completion_tokens == len(ids)
    assert ids[-1] == VOCABULARY.id_of("<|im_end|>")


def test_token_ids_come_only_when_asked_for(ask):
    answer = ask()
    assert getattr(answer, "prompt_token_ids", None) is None
    assert getattr(answer.choices[0], "token_ids", None) is None


def test_logprobs_belong_to_the_tokens(ask):
    answer = ask(
        temperature=1.0, logprobs=True, top_logprobs=3, extra_body={"return_token_ids": True}
    )
    choice = answer.choices[0]
    entries = choice.logprobs.content
    assert [VOCABULARY.text_of(token) for token in choice.token_ids] == [e.token for e in entries]
    for entry in entries:
        assert -50 < entry.logprob <= 0
        assert bytes(entry.bytes).decode() == entry.token
        assert len(entry.top_logprobs) == 3
        assert entry.top_logprobs[0].logprob >= entry.logprob
        assert sum(math.exp(top.logprob) for top in entry.top_logprobs) <= 1 + 1e-9


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_a_stream_adds_up_to_the_whole_answer(ask, temperature):
    options = {
        "temperature": temperature,
        "logprobs": True,
        "extra_body": {"return_token_ids": True},
    }
    whole = ask(**options)
    chunks = list(ask(stream=True, stream_options={"include_usage": True}, **options))
    *rows, tail = chunks
    assert tail.choices == []
    assert tail.usage == whole.usage
    assert rows[0].choices[0].delta.role == "assistant"
    assert rows[0].prompt_token_ids == whole.prompt_token_ids
    choices = [row.choices[0] for row in rows]
    assert [c.finish_reason for c in choices if c.finish_reason] == [whole.choices[0].finish_reason]
    content = "".join(choice.delta.content or "" for choice in choices)
    assert content == (whole.choices[0].message.content or "")
    calls = [call for choice in choices for call in choice.delta.tool_calls or []]
    (expected,) = whole.choices[0].message.tool_calls
    assert [call.function.name for call in calls if call.id] == [expected.function.name]
    assert "".join(call.function.arguments for call in calls) == expected.function.arguments
    ids = [token for choice in choices for token in getattr(choice, "token_ids", None) or []]
    assert ids == whole.choices[0].token_ids
    logprobs = [e.logprob for c in choices if c.logprobs for e in c.logprobs.content]
    assert logprobs == [entry.logprob for entry in whole.choices[0].logprobs.content]


def test_arguments_flow_while_they_are_written(ask):
    parts = [
        call.function.arguments
        for chunk in ask(stream=True)
        for call in chunk.choices[0].delta.tool_calls or []
    ]
    assert len(parts) > 5


def test_a_seed_repeats_an_answer_and_its_choices_differ(ask):
    def texts(seed):
        answer = ask(temperature=2.0, n=4, seed=seed, tools=None)
        return [choice.message.content for choice in answer.choices]

    first = texts(3)
    assert first == texts(3)
    assert len(set(first)) > 1
    assert texts(4)[:3] == first[1:]


def test_requests_made_together_get_the_answers_of_requests_made_alone(ask):
    def text(seed):
        return ask(temperature=1.5, seed=seed, tools=None).choices[0].message.content

    alone = [text(seed) for seed in range(12)]
    with ThreadPoolExecutor(12) as pool:
        assert list(pool.map(text, range(12))) == alone


def test_a_cut_call_is_answered_as_written_with_finish_reason_length(ask):
    whole = ask().choices[0].message.tool_calls[0].function.arguments
    for stream in (False, True):
        answer = ask(max_tokens=16, stream=stream)
        if stream:
            choices = [chunk.choices[0] for chunk in answer]
            calls = [call for c in choices for call in c.delta.tool_calls or []]
            arguments = "".join(call.function.arguments for call in calls)
            finish = choices[-1].finish_reason
        else:
            arguments = answer.choices[0].message.tool_calls[0].function.arguments
            finish = answer.choices[0].finish_reason
        assert finish == "length"
        assert whole.startswith(arguments)
        assert len(arguments) < len(whole)


def test_a_stop_string_is_cut_off(ask, messages):
    call = ask().choices[0].message.model_dump(exclude_none=True)
    result = {"role": "tool", "tool_call_id": "x", "content": "77"}
    choice = ask(messages=[*messages, call, result], stop=["box", "77"]).choices[0]
    assert choice.finish_reason == "stop"
    assert choice.stop_reason == "box"
    assert choice.message.content.endswith("\\")


def test_content_parts_and_the_developer_role_are_understood(ask):
    parts = [{"type": "text", "text": "Tom has 42 apples and "}, {"type": "text", "text": "..."}]
    answer = ask(
        messages=[{"role": "developer", "content": "Hi"}, {"role": "user", "content": parts}],
        extra_body={"return_token_ids": True},
        tools=None,
    )
    text = "".join(VOCABULARY.text_of(token) for token in answer.prompt_token_ids)
    assert text.startswith("<|im_start|>system\nHi<|im_end|>\n<|im_start|>user\nTom has 42 apples")


def test_a_plain_server_answers_without_token_ids(plain_client, messages):
    answer = plain_client.chat.completions.create(
        model="treadle-embedded",
        messages=messages,
        tools=[TRAINED_TOOL],
        temperature=0,
        extra_body={"return_token_ids": True},
    )
    assert answer.choices[0].message.tool_calls[0].function.name == "python"
    assert getattr(answer, "prompt_token_ids", None) is None
    assert getattr(answer.choices[0], "token_ids", None) is None
