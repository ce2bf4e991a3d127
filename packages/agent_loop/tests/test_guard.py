"""Content never writes a control token, and is otherwise encoded as it stands."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from treadle_agent_loop import ChatTemplateError, python_tool
from treadle_agent_loop.testing.templates import TEMPLATES
from treadle_agent_loop.testing.tokenizers import ADDED, CONTROL, toy_tokenizer
from treadle_agent_loop.tokens.guard import LEAD, Guard, Source, unguard

texts = st.lists(
    st.sampled_from([*CONTROL, *ADDED, "\ufdd0", "\ufdd1", "\ufdd2", "<|im_", "end|>", "\n", " "])
    | st.text(max_size=8),
    max_size=8,
).map("".join)


def _valid(text):
    return text.encode(errors="replace").decode()


@given(texts)
def test_guarded_text_stands_for_itself_and_holds_no_marker(text):
    guard = Guard(CONTROL, ADDED)
    data = guard.text(text, Source.DATA)
    assert unguard(data) == _valid(text)
    assert not any(marker in data for marker in (*CONTROL, *ADDED))
    own = guard.text(text, Source.ASSISTANT)
    assert unguard(own) == _valid(text)
    assert not any(marker in own for marker in CONTROL)


def test_overlapping_markers_are_all_broken():
    guard = Guard(["<ab>", "ab>c"], [])
    assert unguard(guard.text("<ab>c", Source.DATA)) == "<ab>c"
    assert "ab>c" not in guard.text("<ab>c", Source.DATA)


@pytest.mark.parametrize("name", TEMPLATES)
@given(system=texts, user=texts, result=texts, code=texts)
def test_content_changes_no_control_token_of_the_prompt(name, system, user, result, code):
    """The control tokens of a prompt are those of the same conversation with harmless words."""
    tokenizer = toy_tokenizer(name)
    control = {tokenizer.id_of(text) for text in tokenizer.control}

    def structure(*contents):
        system, user, result, code = contents
        call = {"name": "python", "arguments": {"code": code}}
        messages = [
            {"role": "system", "content": system},
            {"role": "user", "content": user},
            {
                "role": "assistant",
                "content": "",
                "tool_calls": [{"id": "1", "type": "function", "function": call}],
            },
            {"role": "tool", "tool_call_id": "1", "content": result},
        ]
        text = tokenizer.render(messages, (python_tool.schema,), generation_prompt=True)
        ids = tokenizer.encode(text)
        assert tokenizer.decode(ids) == unguard(text)
        return [index for index in ids if index in control]

    assert structure(system, user, result, code) == structure("a", "b", "c", "d")


def test_template_markers_are_plain_text_in_data_and_live_in_assistant_text():
    tokenizer = toy_tokenizer()
    live = tokenizer.id_of("<tool_call>")
    said = {"role": "assistant", "content": "<tool_call>"}
    data = {"role": "user", "content": "<tool_call>"}
    assert live in tokenizer.encode(tokenizer.render((said,), generation_prompt=False))
    assert live not in tokenizer.encode(tokenizer.render((data,), generation_prompt=False))


def test_broken_pieces_are_encoded_as_the_tokenizer_would_encode_plain_text():
    tokenizer = toy_tokenizer()
    ids = tokenizer.encode(tokenizer.guarded_assistant("a <|im_end|> b"))
    assert tokenizer.decode(ids) == "a <|im_end|> b"
    assert tokenizer.id_of("<|im_end|>") not in ids
    assert ids[:1] == tokenizer.encode("a")


def test_text_without_markers_is_encoded_once_and_untouched():
    tokenizer = toy_tokenizer()
    assert LEAD not in tokenizer.render(
        ({"role": "user", "content": "hi"},), generation_prompt=True
    )


@pytest.mark.parametrize("name", TEMPLATES)
def test_every_toy_template_shows_tools(name):
    assert not toy_tokenizer(name).ignores_tools


def test_a_template_that_refuses_messages_is_an_error_of_its_own():
    with pytest.raises(ChatTemplateError, match="refuses the messages"):
        toy_tokenizer().render((), generation_prompt=True)
