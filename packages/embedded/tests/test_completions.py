import re

import pytest

from treadle_embedded import TRAINED_TOOL, bundle_path
from treadle_embedded.prompt import ChatTemplate
from treadle_embedded.vocabulary import Vocabulary

VOCABULARY = Vocabulary(bundle_path())
TOKENS = {"return_token_ids": True, "skip_special_tokens": False}


@pytest.fixture(scope="module")
def prompt(messages):
    return VOCABULARY.encode(ChatTemplate(bundle_path()).render(messages, [TRAINED_TOOL]))


def test_ids_go_in_and_ids_with_logprobs_come_out(write, prompt):
    answer = write(prompt, max_tokens=200, logprobs=1, extra_body=TOKENS)
    choice = answer.choices[0]
    assert choice.prompt_token_ids == prompt
    assert choice.finish_reason == "stop"
    assert choice.stop_reason is None
    assert choice.token_ids[-1] == VOCABULARY.id_of("<|im_end|>")
    logprobs = choice.logprobs
    assert len(logprobs.token_logprobs) == len(logprobs.tokens) == len(choice.token_ids)
    assert all(-50 < value <= 0 for value in logprobs.token_logprobs)
    assert logprobs.tokens == [VOCABULARY.text_of(token) for token in choice.token_ids]
    assert choice.text == "".join(logprobs.tokens[:-1])
    assert choice.text.startswith("<tool_call>\n")
    assert answer.usage.completion_tokens == len(choice.token_ids)
    for token, value, top in zip(
        logprobs.tokens, logprobs.token_logprobs, logprobs.top_logprobs, strict=True
    ):
        assert top[token] == value
        assert max(top.values()) >= value


def test_the_next_turn_can_be_sent_as_ids(write, prompt):
    first = write(prompt, max_tokens=200, temperature=0, extra_body=TOKENS).choices[0]
    reply = VOCABULARY.encode(
        "\n<|im_start|>user\n<tool_response>\n77\n</tool_response><|im_end|>\n"
        "<|im_start|>assistant\n"
    )
    longer = prompt + first.token_ids + reply
    second = write(longer, max_tokens=200, temperature=0, extra_body=TOKENS).choices[0]
    assert second.prompt_token_ids == longer
    assert "\\boxed{77}" in second.text


def test_text_and_ids_of_one_prompt_give_one_answer(write, prompt):
    text = "".join(map(VOCABULARY.text_of, prompt))
    by_text = write(text, max_tokens=30, extra_body=TOKENS).choices[0]
    by_ids = write(prompt, max_tokens=30, extra_body=TOKENS).choices[0]
    assert by_text.prompt_token_ids == prompt
    assert by_text.token_ids == by_ids.token_ids


def test_chat_and_completion_draw_the_same_tokens(write, ask, prompt):
    chat = ask(temperature=1.0, extra_body=TOKENS).choices[0]
    assert write(prompt, max_tokens=500, extra_body=TOKENS).choices[0].token_ids == chat.token_ids


def test_several_prompts_and_choices_come_in_order(write, prompt):
    answer = write([prompt, prompt[:50]], n=2, max_tokens=4, extra_body=TOKENS)
    assert [choice.index for choice in answer.choices] == [0, 1, 2, 3]
    assert [c.prompt_token_ids for c in answer.choices] == [prompt] * 2 + [prompt[:50]] * 2
    assert answer.usage.prompt_tokens == len(prompt) + 50
    texts = write(["Tom has", "Mia has"], max_tokens=4, extra_body=TOKENS)
    assert [c.prompt_token_ids for c in texts.choices] == [
        VOCABULARY.encode("Tom has"),
        VOCABULARY.encode("Mia has"),
    ]


def test_a_stop_string_is_cut_from_the_text_and_kept_in_the_ids(write, prompt):
    choice = write(prompt, temperature=0, max_tokens=99, stop=["name"], extra_body=TOKENS).choices[
        0
    ]
    assert (choice.finish_reason, choice.stop_reason) == ("stop", "name")
    assert choice.text == '<tool_call>\n{"'
    assert "".join(map(VOCABULARY.text_of, choice.token_ids)).endswith("name")


def test_a_stop_id_ends_an_answer_and_is_named(write, prompt):
    stop = VOCABULARY.id_of("</tool_call>")
    choice = write(prompt, max_tokens=200, extra_body=TOKENS | {"stop_token_ids": [stop]}).choices[
        0
    ]
    assert (choice.finish_reason, choice.stop_reason) == ("stop", stop)
    assert choice.token_ids[-1] == stop


def test_max_tokens_ends_an_answer_with_length(write, prompt):
    choice = write(prompt, max_tokens=5, extra_body=TOKENS).choices[0]
    assert (choice.finish_reason, len(choice.token_ids)) == ("length", 5)
    assert len(write(prompt, extra_body=TOKENS).choices[0].token_ids) == 16


def test_tokens_can_be_named_by_id(write, prompt):
    options = TOKENS | {"return_tokens_as_token_ids": True}
    choice = write(prompt, max_tokens=3, logprobs=0, extra_body=options).choices[0]
    assert choice.logprobs.tokens == [f"token_id:{token}" for token in choice.token_ids]


def test_special_tokens_are_skipped_unless_asked_for(write):
    wild = {"n": 16, "max_tokens": 200, "temperature": 100}
    shown = write("Tom", **wild, extra_body=TOKENS).choices
    hidden = write("Tom", **wild, extra_body={"return_token_ids": True}).choices
    assert [choice.token_ids for choice in shown] == [choice.token_ids for choice in hidden]
    markers = ("<|im_start|>", "<|endoftext|>")
    assert any(marker in choice.text for choice in shown for marker in markers)
    for with_markers, without in zip(shown, hidden, strict=True):
        text = with_markers.text
        for marker in markers:
            text = text.replace(marker, "")
        assert re.sub(r"[^ -~]", "", text) == re.sub(r"[^ -~]", "", without.text)


def test_a_stream_adds_up_to_the_whole_answer(write, prompt):
    options = {"max_tokens": 60, "n": 2, "logprobs": 1, "extra_body": TOKENS}
    whole = write(prompt, **options)
    chunks = list(write(prompt, stream=True, stream_options={"include_usage": True}, **options))
    assert chunks[-1].usage == whole.usage
    for expected in whole.choices:
        mine = [c for chunk in chunks for c in chunk.choices if c.index == expected.index]
        assert mine[0].prompt_token_ids == prompt
        assert "".join(choice.text for choice in mine) == expected.text
        assert [token for choice in mine for token in choice.token_ids] == expected.token_ids
        offsets = [at for choice in mine for at in choice.logprobs.text_offset]
        assert offsets == expected.logprobs.text_offset
        assert mine[-1].finish_reason == expected.finish_reason


def test_a_plain_server_takes_texts_only(plain_client):
    answer = plain_client.completions.create(
        model="treadle-embedded", prompt="Tom has", extra_body=TOKENS
    )
    assert answer.choices[0].text
    assert getattr(answer.choices[0], "token_ids", None) is None
