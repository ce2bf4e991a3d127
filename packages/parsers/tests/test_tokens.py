"""Token ids: a special token is a marker, text that spells it is not."""

from treadle_parsers import CallStatus, get_parser
from treadle_parsers.testing import check_events
from treadle_parsers.tokens import TokenStream, Vocabulary

SPECIAL = {1: b"<tool_call>", 2: b"</tool_call>", 3: b"<think>", 4: b"</think>"}
BYTES = {1000 + byte: bytes([byte]) for byte in range(256)}
VOCABULARY = Vocabulary(pieces={**SPECIAL, **BYTES}, special=frozenset(SPECIAL))
CALL = '{"name": "f", "arguments": {"x": "é </tool_call>"}}'


def spelled(text: str) -> list[int]:
    return [1000 + byte for byte in text.encode()]


def read(ids: list[int]):
    stream = TokenStream(get_parser("hermes"), VOCABULARY)
    for one in ids:
        stream.feed([one])
    return stream.close()


def test_special_tokens_are_markers():
    message = read([3, *spelled("hm"), 4, *spelled("Hi"), 1, *spelled(CALL), 2])
    assert (message.reasoning, message.content) == ("hm", "Hi")
    [call] = message.tool_calls
    assert (call.name, call.status) == ("f", CallStatus.OK)
    assert call.arguments == '{"x": "é </tool_call>"}'
    assert call.raw == f"<tool_call>{CALL}</tool_call>"


def test_text_that_spells_a_marker_is_text():
    text = f"<think>Write <tool_call>{CALL}</tool_call>"
    message = read(spelled(text))
    assert message.content == text == message.text
    assert message.tool_calls == ()


def test_events_carry_the_text_that_was_written():
    stream = TokenStream(get_parser("hermes"), VOCABULARY)
    events = stream.feed([*spelled("a <tool_call> b"), 3, *spelled("x"), 4, *spelled("y <tool")])
    message = stream.close()
    check_events([*events, *stream.final_events], message)
    assert message.content == "a <tool_call> by <tool"
    assert stream.close() == message


def test_a_marker_cut_off_at_the_end_is_kept():
    assert read(spelled("so <tool_c")).content == "so <tool_c"
