"""Which known turn a conversation goes on from: by messages and by ids, always the longest."""

import itertools
import random
from datetime import datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from treadle_agent_loop import ChatTokenizer, SamplingParams, tool
from treadle_agent_loop.testing.families import FAMILIES
from treadle_agent_loop.testing.simulation import LocalEngine, LocalTokenClient
from treadle_agent_loop.testing.simulation.writing import Writer, tool_schema
from treadle_agent_loop.testing.templates import TEMPLATES
from treadle_agent_loop.testing.tokenizers import family_tokenizer, toy_tokenizer
from treadle_agent_loop.tokens.delta import Ending, find_delta, quick_delta

HELLO = {"role": "user", "content": "Hello."}
MORE = {"role": "user", "content": "More."}
AGAIN = {"role": "user", "content": "Again."}


@tool
async def echo(text: str) -> str:
    """Say it back."""
    return text


def open_session(texts, tokenizer=None):
    tokenizer = tokenizer or toy_tokenizer()
    said = itertools.chain(texts, itertools.repeat("The end."))
    engine = LocalEngine(lambda prompt: tokenizer.encode(f"{next(said)}<|im_end|>"))
    return LocalTokenClient(engine, tokenizer=tokenizer).session()


async def ask(session, *messages, tools=()):
    return (await session.complete(messages, tools, SamplingParams())).message


def shape(session):
    return [(segment.origin, segment.parent, segment.turns) for segment in session.segments()]


async def test_reasoning_moved_into_the_content_is_found_by_ids():
    session = open_session(["<think>\nHm.\n</think>\n\nYes."])
    answer = await ask(session, HELLO)
    assert answer["reasoning_content"] == "Hm."
    moved = {"role": "assistant", "content": "<think>\nHm.\n</think>\n\nYes."}
    await ask(session, HELLO, moved, MORE)
    assert shape(session) == [("start", None, (0, 1))]


async def test_a_call_written_as_content_is_found_by_ids():
    text = '\n<tool_call>\n{"name": "echo", "arguments": {"text": "a"}}\n</tool_call>'
    session = open_session([f"Yes.{text}"])
    answer = await ask(session, HELLO, tools=(echo.schema,))
    assert answer["tool_calls"]
    written = {"role": "assistant", "content": f"Yes.{text}"}
    await ask(session, HELLO, written, MORE, tools=(echo.schema,))
    assert shape(session) == [("start", None, (0, 1))]


async def test_tools_that_come_back_continue_the_sequence_that_had_them():
    session = open_session(["One.", "Two.", "Three."])
    first = await ask(session, HELLO, tools=(echo.schema,))
    second = await ask(session, HELLO, first, MORE)
    await ask(session, HELLO, first, MORE, second, AGAIN, tools=(echo.schema,))
    assert shape(session) == [("start", None, (0, 2)), ("rewrite", 0, (1,))]


async def test_the_longest_known_beginning_wins_over_the_first():
    session = open_session(["One.", "Two.", "Three.", "Four."])
    first = await ask(session, HELLO)
    second = await ask(session, HELLO, first, MORE)
    third = await ask(session, HELLO, first, AGAIN)
    await ask(session, HELLO, first, MORE, second, AGAIN)
    await ask(session, HELLO, first, AGAIN, third, MORE)
    assert shape(session) == [("start", None, (0, 1, 3)), ("fork", 0, (2, 4))]


async def test_the_longest_ids_win_over_a_shorter_beginning_that_messages_tell():
    session = open_session(["One.", "<think>\nHm.\n</think>\n\nTwo.", "Three."])
    first = await ask(session, HELLO)
    await ask(session, HELLO, first, MORE)
    moved = {"role": "assistant", "content": "<think>\nHm.\n</think>\n\nTwo."}
    await ask(session, HELLO, first, MORE, moved, AGAIN)
    assert shape(session) == [("start", None, (0, 1, 2))]


async def test_of_equal_answers_the_one_with_the_same_reasoning_goes_on():
    thoughts = ["<think>\nA.\n</think>\n\nYes.", "<think>\nB.\n</think>\n\nYes."]
    for chosen in (0, 1):
        session = open_session(thoughts)
        answers = [await ask(session, HELLO), await ask(session, HELLO)]
        await ask(session, HELLO, answers[chosen], MORE)
        segments = session.segments()
        assert segments[chosen].turns == (chosen, 2)
        assert [segment.origin for segment in segments] == ["start", "new_history"]


async def test_of_equal_answers_one_that_nothing_goes_on_from_yet_is_taken():
    session = open_session(["Yes.", "Yes."])
    answers = [await ask(session, HELLO), await ask(session, HELLO)]
    await ask(session, HELLO, answers[0], MORE)
    await ask(session, HELLO, answers[1], AGAIN)
    assert sorted(segment.turns for segment in session.segments()) == [(0, 3), (1, 2)]


async def test_a_sub_agent_opens_a_linked_segment_and_the_main_one_goes_on():
    session = open_session(["One.", "Two.", "Three."])
    first = await ask(session, HELLO)
    await ask(session, {"role": "system", "content": "You help."}, MORE)
    await ask(session, HELLO, first, MORE)
    assert shape(session) == [("start", None, (0, 2)), ("new_history", 0, (1,))]
    report = session.report()
    assert report.sampled == report.trained


@pytest.mark.parametrize("name", FAMILIES)
@settings(max_examples=25)
@given(seed=st.integers(0, 2**32))
def test_the_quick_delta_is_the_one_that_two_renderings_show(name, seed):
    rng = random.Random(seed)
    family = FAMILIES[name]
    tokenizer = family_tokenizer(family)
    writer = Writer(family, tokenizer, rng)
    calls = [
        {
            "id": f"call0000{number}",
            "type": "function",
            "function": {"name": "echo", "arguments": {"text": writer.text(2)}},
        }
        for number in range(rng.choice((0, 1, 1, 2)))
    ]
    answer = {"role": "assistant", "content": writer.text(4)}
    if calls:
        answer["tool_calls"] = calls
    new = [
        {"role": "tool", "tool_call_id": entry["id"], "content": writer.text(3)} for entry in calls
    ] or [{"role": "user", "content": writer.text(3)}]
    tools = (tool_schema("echo"),)
    before = [HELLO]
    messages = [*before, answer, *new]
    prompt = tokenizer.render(before, tools, generation_prompt=True)
    current = tokenizer.render(messages, tools, generation_prompt=True)
    if not current.startswith(prompt):
        return
    known = {
        "current": current,
        "begin": len(prompt),
        "ending": Ending(control=rng.choice((family.close, None)), text=""),
        "closers": tokenizer.closers,
    }
    quick = quick_delta(content=tokenizer.guarded_content(new[0]), calls=len(calls), **known)
    if quick is not None:
        assert quick == find_delta(
            marked=tokenizer.render(messages, tools, generation_prompt=True, mark=2),
            without_new=lambda: tokenizer.render(messages[:2], tools, generation_prompt=False),
            turn_tail=tokenizer.turn_tail,
            **known,
        )


class _Counting(ChatTokenizer):
    rendered = 0

    def render(self, *args, **options):
        self.rendered += 1
        return super().render(*args, **options)


def _counting(template):
    plain = toy_tokenizer()
    return _Counting(plain._tokenizer, chat_template=template)


async def test_going_on_from_a_turn_renders_once():
    tokenizer = _counting(TEMPLATES["append"])
    session = open_session(["One.", "Two."], tokenizer)
    first = await ask(session, HELLO)
    assert tokenizer.closers
    before = tokenizer.rendered
    await ask(session, HELLO, first, MORE)
    assert tokenizer.rendered == before + 1


async def test_a_template_that_writes_the_time_is_told_one_time_for_the_whole_rollout():
    clock = "{{- '<|im_start|>system\nIt is ' + strftime_now('%H:%M:%S.%f') + '<|im_end|>\n' }}"
    session = open_session(["One.", "Two."], _counting(clock + TEMPLATES["append"]))
    first = await ask(session, HELLO)
    await ask(session, HELLO, first, MORE)
    assert shape(session) == [("start", None, (0, 1))]


def test_a_tokenizer_whose_template_asks_no_time_is_not_copied():
    tokenizer = toy_tokenizer()
    assert tokenizer.at(datetime(2020, 1, 1)) is tokenizer
