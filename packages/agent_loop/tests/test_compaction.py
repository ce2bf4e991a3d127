import asyncio
import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from treadle_agent_loop import (
    AgentLoop,
    ContextLengthError,
    FinishReason,
    SamplingParams,
    StopReason,
    TokenClient,
    Usage,
    tool,
)
from treadle_agent_loop.budgets import Budgets, ContextGauge, clamp, conversation_size
from treadle_agent_loop.compaction import Conversation, DropOldest, StopAtLimit, Summarise, split
from treadle_agent_loop.proof.texts import TextProof
from treadle_agent_loop.proof.tokens import check_tokens
from treadle_agent_loop.testing import ScriptedModel, ScriptedTurn, ToyServer, call
from treadle_agent_loop.testing.templates import CLOSES
from treadle_agent_loop.testing.tokenizers import toy_tokenizer

TASK = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Count."}]
FULL = ContextLengthError("the prompt is too long")


@tool
async def echo(text: str) -> str:
    """Say it back."""
    return text


def _counting(limit, *, summaries=True):
    """A model that calls `echo` until it has seen enough, and refuses long conversations."""
    asked = 0

    def answer(messages):
        nonlocal asked
        if len(messages) > limit:
            raise FULL
        last = messages[-1]
        if last["role"] == "user" and "summary" in str(last["content"]) and len(messages) > 2:
            return ScriptedTurn(content="I counted." if summaries else "")
        asked += 1
        return ScriptedTurn(calls=(call("echo", text=str(asked)), call("echo", text="again")))

    return ScriptedModel(answer)


def _is_well_formed(messages):
    """Every call has exactly one reply, right after its turn, and no reply lacks its call."""
    open_calls = []
    for message in messages:
        if message["role"] == "tool":
            assert message["tool_call_id"] == open_calls.pop(0)
        else:
            assert not open_calls
            open_calls = [entry["id"] for entry in message.get("tool_calls", ())]
    assert not open_calls


async def test_without_a_policy_a_full_context_ends_the_rollout():
    result = await AgentLoop(_counting(8), [echo], max_turns=9).run(TASK)
    assert result.stop_reason is StopReason.CONTEXT
    assert result.compactions == ()
    _is_well_formed(result.messages)


async def test_dropping_the_oldest_turns_keeps_the_task_and_whole_turns():
    model = _counting(12)
    loop = AgentLoop(model, [echo], max_turns=9, context_policy=DropOldest())
    result = await loop.run(TASK)
    assert result.stop_reason is StopReason.MAX_TURNS
    assert result.turns == 9
    assert len(result.compactions) >= 2
    first = result.compactions[0]
    assert (first.policy, first.reason) == ("drop_oldest", StopReason.CONTEXT)
    assert len(first.before) > first.kept + 2
    for request in model.requests:
        assert list(request[:2]) == TASK
        _is_well_formed(request)
    _is_well_formed(result.messages)
    replies = [record.result for record in result.tool_records if record.result != "again"]
    assert replies == [str(number) for number in range(1, 10)]


async def test_a_summary_is_a_turn_and_goes_into_the_task_once():
    model = _counting(10)
    loop = AgentLoop(model, [echo], max_turns=8, context_policy=Summarise(keep_turns=1))
    result = await loop.run(TASK)
    assert result.stop_reason is StopReason.MAX_TURNS
    kinds = [record.kind for record in result.turn_records]
    assert kinds.count("answer") == 8
    assert kinds.count("summary") == len(result.compactions) >= 2
    assert result.turns == len(kinds)
    assert [record.index for record in result.turn_records] == list(range(len(kinds)))
    opening = str(result.messages[1]["content"])
    assert opening.startswith("Count.")
    assert opening.count("I counted.") == 1
    _is_well_formed(result.messages)


async def test_a_model_that_writes_no_summary_loses_its_oldest_turns_instead():
    loop = AgentLoop(
        _counting(11, summaries=False), [echo], max_turns=6, context_policy=Summarise()
    )
    result = await loop.run(TASK)
    assert result.stop_reason is StopReason.MAX_TURNS
    assert result.messages[1] == TASK[1]


async def test_a_policy_that_cannot_help_ends_the_rollout():
    for policy in (DropOldest(), Summarise()):
        model = ScriptedModel([ScriptedTurn(calls=(call("echo", text="x"),))] + [_refusal()] * 20)
        result = await AgentLoop(model, [echo], context_policy=policy).run(TASK)
        assert result.stop_reason is StopReason.CONTEXT
        assert result.turns == 1


def _refusal():
    return ScriptedTurn(error=ContextLengthError("too long"))


async def test_an_answer_cut_by_the_window_is_asked_for_again_in_a_shorter_conversation():
    cut = ScriptedTurn(
        content="half an ans", finish_reason=FinishReason.LENGTH, cut_by_context=True
    )
    work = [ScriptedTurn(calls=(call("echo", text=str(n)),)) for n in range(3)]
    for policy, reason, kept in (
        (DropOldest(), StopReason.FINISHED, "the answer"),
        (StopAtLimit(), StopReason.CONTEXT, "half an ans"),
    ):
        model = ScriptedModel([*work, cut, "the answer"])
        result = await AgentLoop(model, [echo], context_policy=policy).run(TASK)
        assert (result.stop_reason, result.final_text) == (reason, kept)
        assert result.turn_records[3].kind == "cut"
        assert [record.index for record in result.turn_records] == list(range(result.turns))


async def test_the_context_budget_counts_what_the_next_prompt_will_have():
    def answer(messages):
        used = Usage(prompt_tokens=conversation_size(messages) // 4, completion_tokens=10)
        return ScriptedTurn(calls=(call("echo", text="x" * 400),), usage=used)

    loop = AgentLoop(ScriptedModel(answer), [echo], max_turns=20, max_context_tokens=600)
    result = await loop.run(TASK)
    assert result.stop_reason is StopReason.CONTEXT_BUDGET
    assert 1 < result.turns < 20
    model = ScriptedModel(answer)
    loop = AgentLoop(
        model, [echo], max_turns=20, max_context_tokens=600, context_policy=DropOldest()
    )
    result = await loop.run(TASK)
    assert result.stop_reason is StopReason.MAX_TURNS
    assert {record.reason for record in result.compactions} == {StopReason.CONTEXT_BUDGET}
    assert all(conversation_size(request) // 4 <= 660 for request in model.requests)


async def test_the_generation_budget_bounds_all_turns_together():
    seen = []

    class Counting(ScriptedModel):
        def session(self):
            session = super().session()
            complete = session.complete

            async def watched(messages, tools, sampling):
                seen.append(sampling.max_tokens)
                return await complete(messages, tools, sampling)

            session.complete = watched
            return session

    turn = ScriptedTurn(calls=(call("echo", text="x"),), usage=Usage(completion_tokens=40))
    loop = AgentLoop(
        Counting([turn] * 9),
        [echo],
        sampling=SamplingParams(max_tokens=50),
        max_generated_tokens=100,
    )
    result = await loop.run(TASK)
    assert seen == [50, 50, 20]
    assert result.stop_reason is StopReason.GENERATION_BUDGET
    assert result.turns == 3


def test_budgets_that_mean_nothing_are_refused():
    for name in ("max_turns", "tool_seconds", "generated_tokens", "context_tokens"):
        with pytest.raises(ValueError, match=f"{name} must be positive"):
            Budgets(**{name: 0})
    assert clamp(SamplingParams(), Budgets(generated_tokens=5), 5) is None
    with pytest.raises(ValueError, match="keep_turns"):
        Summarise(keep_turns=-1)


def test_the_gauge_guesses_before_it_has_read_anything():
    assert ContextGauge().estimate([{"role": "user", "content": "x" * 300}]) == 100


_turns = st.lists(st.lists(st.integers(0, 50), min_size=0, max_size=3), max_size=8)


@given(_turns, st.integers(0, 400))
def test_dropping_turns_never_splits_one_and_always_shortens(sizes, room):
    messages = list(TASK)
    for number, replies in enumerate(sizes):
        calls = [{"id": f"{number}.{n}", "function": {}} for n in range(len(replies))]
        messages.append({"role": "assistant", "content": str(number), "tool_calls": calls})
        messages += [
            {"role": "tool", "tool_call_id": f"{number}.{n}", "content": "x" * size}
            for n, size in enumerate(replies)
        ]
    conversation = split(messages, opening=2, task=tuple(TASK))
    assert list(conversation.messages) == messages
    shortened = asyncio.run(DropOldest().shorten(conversation, room, _unasked))
    if len(sizes) <= 1:
        assert shortened is None
    else:
        assert shortened.opening == tuple(TASK)
        assert 1 <= len(shortened.turns) < len(sizes)
        assert shortened.turns == conversation.turns[-len(shortened.turns) :]
        _is_well_formed(shortened.messages)


async def _unasked(messages):
    raise AssertionError("the model isn't asked")


async def test_stopping_is_the_policy_none():
    assert StopAtLimit().name == "none"
    empty = Conversation(task=(), opening=(), turns=())
    assert await StopAtLimit().shorten(empty, 0, _unasked) is None


@pytest.mark.parametrize("policy", [DropOldest(), Summarise()], ids=lambda policy: policy.name)
@pytest.mark.parametrize("template", ["append", "forgets_thinking", "headers", "no_close"])
async def test_a_shortened_history_opens_a_linked_segment_and_no_token_is_lost(policy, template):
    tokenizer = toy_tokenizer(template)
    close = CLOSES.get(template, "<|im_end|>") or "<|observation|>"

    numbers = itertools.count()

    def model(prompt):
        if prompt.rindex("user") > prompt.rindex("echo") and "Write a summary" in prompt[-600:]:
            return f"I counted.{close}"
        words = f"{next(numbers)} one two three four five " * 6
        body = f'{{"name": "echo", "arguments": {{"text": "{words}"}}}}'
        return f"<tool_call>\n{body}\n</tool_call>{close}"

    async with (
        ToyServer(tokenizer=tokenizer, tokens=model, max_model_len=1_500) as server,
        TokenClient(base_url=server.base_url, model="toy", tokenizer=tokenizer) as client,
    ):
        sampling = SamplingParams(max_tokens=300)
        loop = AgentLoop(client, [echo], max_turns=12, sampling=sampling, context_policy=policy)
        result = await loop.run(TASK)
    assert result.stop_reason is StopReason.MAX_TURNS
    assert result.compactions
    ledger = result.ledger
    assert ledger.sampled == ledger.trained == result.usage.completion_tokens
    assert sorted(turn for segment in result.segments for turn in segment.turns) == list(
        range(result.turns)
    )
    assert [s.origin for s in result.segments].count("new_history") >= len(result.compactions)
    saved = _saved(result)
    assert list(check_tokens(saved)) == []
    proof = TextProof(tokenizer)
    assert list(proof.check(saved)) == []
    assert proof.turns > 0


def _saved(result):
    from treadle_agent_loop.proof.saved import SavedRollout

    return SavedRollout(
        rollout_id="r",
        turns=result.turns,
        completion_tokens=result.usage.completion_tokens,
        messages=result.messages,
        segments=result.segments,
        ledger=result.ledger,
    )


@settings(max_examples=25)
@given(
    template=st.sampled_from(["append", "forgets_thinking", "headers", "no_close", "plain"]),
    policy=st.sampled_from([DropOldest(), Summarise(), Summarise(keep_turns=0), StopAtLimit()]),
    window=st.integers(700, 2_500),
    budget=st.none() | st.integers(400, 2_000),
    generated=st.none() | st.integers(200, 3_000),
    sizes=st.lists(st.integers(0, 300), min_size=1, max_size=8),
)
def test_conservation_holds_whatever_is_cut_dropped_or_summarised(
    template, policy, window, budget, generated, sizes
):
    tokenizer = toy_tokenizer(template)
    close = CLOSES.get(template, "<|im_end|>") or "<|observation|>"
    answers = itertools.cycle(sizes)

    def model(prompt):
        words = f"{next(answers)} loom " * next(answers)
        body = f'{{"name": "echo", "arguments": {{"text": "{words[:400]}"}}}}'
        return f"<think>Hm.</think>{words[:50]}<tool_call>\n{body}\n</tool_call>{close}"

    async def run():
        async with (
            ToyServer(tokenizer=tokenizer, tokens=model, max_model_len=window) as server,
            TokenClient(base_url=server.base_url, model="toy", tokenizer=tokenizer) as client,
        ):
            loop = AgentLoop(
                client,
                [echo],
                max_turns=8,
                sampling=SamplingParams(max_tokens=250),
                max_context_tokens=budget,
                max_generated_tokens=generated,
                context_policy=policy,
            )
            return await loop.run(TASK)

    result = asyncio.run(run())
    assert result.ledger.sampled == result.usage.completion_tokens
    assert list(check_tokens(_saved(result))) == []
    assert list(TextProof(tokenizer).check(_saved(result))) == []
    assert [record.index for record in result.turn_records] == list(range(result.turns))
    assert len(result.tool_records) <= sum(record.tool_calls for record in result.turn_records)
    _is_well_formed(result.messages)
    for compaction in result.compactions:
        _is_well_formed(compaction.before)
    if generated is not None:
        assert result.usage.completion_tokens <= generated
