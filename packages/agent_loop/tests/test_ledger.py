"""The token ledger's promises, over every toy template.

A toy server's logprob of a token is a function of all ids before it, so a segment whose trained
positions carry the right logprobs holds exactly the ids that the model saw and sampled, in their
places.
"""

import asyncio
import itertools
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from treadle_agent_loop import (
    AgentLoop,
    HistoryRewrittenError,
    RewritePolicy,
    SamplingParams,
    StopReason,
    TokenClient,
    TokenProtocolError,
    tool,
)
from treadle_agent_loop.testing import ToyServer, toy_logprob
from treadle_agent_loop.testing.templates import CLOSES, TEMPLATES
from treadle_agent_loop.testing.tokenizers import ADDED, CONTROL, toy_tokenizer

words = st.lists(
    st.sampled_from([*CONTROL[:4], *ADDED, " ", "\n", "\n\n", "user: ", "é", "😀", "{", '"', "</"])
    | st.text(max_size=6),
    max_size=6,
).map("".join)


@tool
async def echo(text: str) -> str:
    """Say it back."""
    return text


def close_of(name):
    return CLOSES.get(name, "<|im_end|>")


def call_text(arguments):
    return f'\n<tool_call>\n{{"name": "echo", "arguments": {arguments}}}\n</tool_call>'


def check_segments(result, requests):
    """Prove prefix, provenance, conservation and evidence of one rollout from what it exported."""
    trained = 0
    for segment in result.segments:
        assert len(segment.tokens) == len(segment.masks) == len(segment.logprobs)
        for place, (mask, logprob) in enumerate(zip(segment.masks, segment.logprobs, strict=True)):
            if mask == -100:
                assert logprob == 1.0
                continue
            trained += 1
            assert mask == segment.tokens[place]
            assert logprob == toy_logprob(segment.tokens[:place], mask)
            assert math.isfinite(logprob)
            assert logprob <= 0
    assert result.ledger.trained == trained
    assert result.ledger.sampled == trained + sum(result.ledger.dropped.values())
    assert result.ledger.sampled == result.usage.completion_tokens
    turns = [turn for segment in result.segments for turn in segment.turns]
    assert sorted(turns) == list(range(result.turns))
    for request in requests:
        prompt = tuple(request["prompt"])
        assert any(segment.tokens[: len(prompt)] == prompt for segment in result.segments)


def model_turn(name, close):
    """What a model may write: prose, thoughts, calls good and bad, closed or not."""
    think = words.map(lambda text: f"<think>\n{text}\n</think>\n\n")
    arguments = words.map(lambda text: f'{{"text":  "{text.encode().hex()}"}}') | words
    calls = st.lists(arguments.map(call_text), max_size=3).map("".join)
    body = st.tuples(think | st.just(""), words, calls).map("".join)
    return st.tuples(body, st.sampled_from([close, close, close, "", "<|endoftext|>"]))


def sampled_ids(tokenizer, text, cuts):
    """Encode text in pieces: sampled ids needn't be what the tokenizer would make of the whole."""
    points = sorted({min(cut, len(text)) for cut in cuts} | {0, len(text)})
    pieces = [text[a:b] for a, b in itertools.pairwise(points)]
    return [index for piece in pieces for index in tokenizer.encode(piece)]


@pytest.mark.parametrize("policy", [RewritePolicy.BRANCH, RewritePolicy.APPEND_ONLY])
@pytest.mark.parametrize("name", TEMPLATES)
@settings(max_examples=15)
@given(data=st.data())
def test_random_rollouts_keep_every_promise(name, policy, data):
    tokenizer = toy_tokenizer(name)
    turns = st.tuples(
        model_turn(name, close_of(name) or "<|endoftext|>"),
        st.lists(st.integers(0, 80), max_size=6),
    )
    script = data.draw(st.lists(turns, min_size=1, max_size=5), label="turns")
    limit = data.draw(st.integers(1, 60) | st.just(4096), label="max_tokens")
    opening = [{"role": "user", "content": data.draw(words, label="user")}]
    if data.draw(st.booleans(), label="system"):
        opening.insert(0, {"role": "system", "content": data.draw(words)})
    answers = iter(script)

    def say(prompt):
        (body, close), cuts = next(answers, (("The end.", close_of(name) or ""), []))
        return [*sampled_ids(tokenizer, body, cuts), *tokenizer.encode(close)]

    async def run():
        async with (
            ToyServer(tokenizer=tokenizer, tokens=say) as server,
            TokenClient(
                base_url=server.base_url, model="toy", tokenizer=tokenizer, rewrite_policy=policy
            ) as client,
        ):
            loop = AgentLoop(client, [echo], sampling=SamplingParams(max_tokens=limit))
            result = await loop.run(opening)
        check_segments(result, server.requests)
        if policy is RewritePolicy.APPEND_ONLY and result.ledger.rewrites == 0:
            assert len(result.segments) == 1

    asyncio.run(run())


def canonical_answer(tokenizer, messages, tools, answer, close):
    """The ids a model writes that writes exactly as its template does."""
    prompt = tokenizer.render(messages, tools, generation_prompt=True)
    text = tokenizer.render([*messages, answer], tools, generation_prompt=False)
    assert text.startswith(prompt)
    body = text[len(prompt) :]
    if close is not None:
        body = body[: body.rfind(close) + len(close)]
    return list(tokenizer.encode(body))


@pytest.mark.parametrize("name", ["append", "strips", "default_system", "headers", "brackets"])
@settings(max_examples=20)
@given(
    contents=st.lists(st.text('abc {}\\"é\n<>', min_size=1, max_size=12), min_size=2, max_size=6)
)
def test_a_canonical_rollout_is_the_templates_own_rendering_id_for_id(name, contents):
    """The oracle is the template over the whole conversation, cut only where sampling began."""
    tokenizer = toy_tokenizer(name)
    conversation = [{"role": "user", "content": "Go on."}]
    said = iter(contents)
    prompts = []

    def say(prompt):
        prompts.append(tokenizer.render(conversation, (echo.schema,), generation_prompt=True))
        content = next(said, None)
        answer = {"role": "assistant", "content": content or "The end."}
        if content is not None:
            function = {"name": "echo", "arguments": {"text": content}}
            answer["tool_calls"] = [{"id": "x", "type": "function", "function": function}]
        ids = canonical_answer(tokenizer, conversation, (echo.schema,), answer, close_of(name))
        conversation.append(answer)
        if content is not None:
            conversation.append({"role": "tool", "tool_call_id": "x", "content": content})
        return ids

    async def run():
        async with (
            ToyServer(tokenizer=tokenizer, tokens=say) as server,
            TokenClient(base_url=server.base_url, model="toy", tokenizer=tokenizer) as client,
        ):
            return await AgentLoop(client, [echo]).run(conversation[:1])

    result = asyncio.run(run())
    assert result.stop_reason is StopReason.FINISHED
    whole = tokenizer.render(conversation, (echo.schema,), generation_prompt=False)
    ends = [0, *map(len, prompts), len(whole)]
    pieces = (tokenizer.encode(whole[a:b]) for a, b in itertools.pairwise(ends))
    expected = tuple(itertools.chain.from_iterable(pieces))
    (segment,) = result.segments
    assert expected[: len(segment.tokens)] == segment.tokens
    assert tokenizer.decode(expected[len(segment.tokens) :]).strip() == ""
    assert set(result.ledger.divergences) <= {"whitespace", "arguments"}


@pytest.mark.parametrize("name", ["append", "headers", "brackets", "no_close", "plain"])
async def test_a_turn_cut_at_any_token_is_closed_once_and_continued(name):
    tokenizer = toy_tokenizer(name)
    body = "Let me see." + call_text('{"text": "é😀"}')
    whole = tokenizer.encode(body)
    close = close_of(name)
    for cut in range(1, len(whole) + 1):
        ids = whole[:cut]
        answers = iter([list(whole), [*tokenizer.encode("Good."), *tokenizer.encode(close or "")]])
        async with (
            ToyServer(tokenizer=tokenizer, tokens=lambda prompt, a=answers: next(a)) as server,
            TokenClient(base_url=server.base_url, model="toy", tokenizer=tokenizer) as client,
        ):
            session = client.session()
            messages = [{"role": "user", "content": "Hi."}]
            first = await session.complete(messages, (), SamplingParams(max_tokens=cut))
            messages += [first.message, {"role": "user", "content": "Go on."}]
            await session.complete(messages, (), SamplingParams())
        prompt = tuple(server.requests[0]["prompt"])
        follow = tuple(server.requests[1]["prompt"])
        assert follow[: len(prompt) + cut] == prompt + ids
        added = tokenizer.decode(follow[len(prompt) + cut :])
        assert added.count(close) == (2 if name != "brackets" else 1) if close else True
        assert "Go on." in added
        assert session.report().synthesised == (1 if close else 0)
        assert session.report().divergences["eos"] >= 1
        assert sum(len(segment.turns) for segment in session.segments()) == 2


async def _ask(session, messages, **sampling):
    return await session.complete(messages, (), SamplingParams(**sampling))


async def _talk(tokenizer, say, conversations, **options):
    """Answer a list of conversations in one session; each is a function of the earlier answers."""
    async with (
        ToyServer(tokenizer=tokenizer, tokens=say) as server,
        TokenClient(
            base_url=server.base_url, model="toy", tokenizer=tokenizer, **options
        ) as client,
    ):
        session = client.session()
        answers = []
        for conversation in conversations:
            turn = await _ask(session, conversation(answers))
            answers.append(turn.message)
        return session, server.requests


HELLO = {"role": "user", "content": "Hello."}
MORE = {"role": "user", "content": "More."}


def _thinking(prompt):
    return "<think>\nHm, hm.\n</think>\n\nAnswer.<|im_end|>"


FOLLOW_UP = (lambda a: [HELLO], lambda a: [HELLO, a[0], MORE])


async def test_dropped_thinking_opens_a_new_segment_and_both_are_trained():
    session, requests = await _talk(toy_tokenizer("forgets_thinking"), _thinking, FOLLOW_UP)
    first, second = session.segments()
    assert (first.origin, second.origin, second.parent) == ("start", "rewrite", 0)
    assert (first.turns, second.turns) == ((0,), (1,))
    tokenizer = toy_tokenizer("forgets_thinking")
    assert tokenizer.decode(requests[1]["prompt"]).count("Hm, hm.") == 0
    report = session.report()
    assert (report.rewrites, report.sampled) == (1, report.trained)


async def test_append_only_keeps_the_thinking_that_was_sampled():
    session, _ = await _talk(
        toy_tokenizer("forgets_thinking"),
        _thinking,
        FOLLOW_UP,
        rewrite_policy=RewritePolicy.APPEND_ONLY,
    )
    (segment,) = session.segments()
    tokenizer = toy_tokenizer("forgets_thinking")
    assert tokenizer.decode(segment.tokens) == (
        "<|im_start|>user\nHello.<|im_end|>\n<|im_start|>assistant\n"
        "<think>\nHm, hm.\n</think>\n\nAnswer.<|im_end|>\n"
        "<|im_start|>user\nMore.<|im_end|>\n<|im_start|>assistant\n"
        "<think>\nHm, hm.\n</think>\n\nAnswer.<|im_end|>"
    )
    assert session.report().rewrites == 1


async def test_refuse_says_what_happened():
    with pytest.raises(HistoryRewrittenError, match="choose the policy"):
        await _talk(
            toy_tokenizer("forgets_thinking"),
            _thinking,
            FOLLOW_UP,
            rewrite_policy=RewritePolicy.REFUSE,
        )


async def test_tools_that_come_and_go_open_a_new_segment():
    tokenizer = toy_tokenizer()
    async with (
        ToyServer(tokenizer=tokenizer, tokens=lambda prompt: "Yes.<|im_end|>") as server,
        TokenClient(base_url=server.base_url, model="toy", tokenizer=tokenizer) as client,
    ):
        session = client.session()
        turn = await session.complete([HELLO], (echo.schema,), SamplingParams())
        await session.complete([HELLO, turn.message, MORE], (), SamplingParams())
    assert [segment.origin for segment in session.segments()] == ["start", "rewrite"]


async def test_a_prefilled_thinking_block_is_rendered_and_its_text_is_reasoning():
    tokenizer = toy_tokenizer("prefills_thinking")
    session, _ = await _talk(
        tokenizer, lambda prompt: "Hm.\n</think>\n\nAnswer.<|im_end|>", FOLLOW_UP
    )
    (segment,) = session.segments()
    think = tokenizer.id_of("<think>")
    assert think in segment.tokens
    assert think not in segment.masks


async def test_a_reserialised_history_keeps_the_sampled_ids():
    tokenizer = toy_tokenizer()

    def say(prompt):
        return "Sure. " + call_text('{"b":1,   "a": [2]}') + "<|im_end|>"

    def rewritten(answers):
        call = answers[0]["tool_calls"][0]
        function = {"name": "echo", "arguments": '{"a":[2],"b":1}'}
        answer = {
            "role": "assistant",
            "content": answers[0]["content"].rstrip() + "  ",
            "tool_calls": [{**call, "id": "renamed", "function": function}],
        }
        return [HELLO, answer, {"role": "tool", "tool_call_id": "renamed", "content": "ok"}]

    session, requests = await _talk(tokenizer, say, [lambda a: [HELLO], rewritten])
    (segment,) = session.segments()
    assert segment.turns == (0, 1)
    assert '{"b":1,   "a": [2]}' in tokenizer.decode(requests[1]["prompt"])


async def test_an_edited_history_opens_a_linked_segment():
    edited = {"role": "assistant", "content": "I never said that."}
    session, _ = await _talk(
        toy_tokenizer(),
        lambda prompt: "Hi.<|im_end|>",
        [lambda a: [HELLO], lambda a: [HELLO, edited, MORE]],
    )
    segments = session.segments()
    assert [(s.origin, s.parent) for s in segments] == [("start", None), ("new_history", 0)]


async def test_going_on_from_an_earlier_turn_forks_and_trains_each_turn_once():
    other = {"role": "user", "content": "Other."}
    session, requests = await _talk(
        toy_tokenizer(),
        lambda prompt: "Hi.<|im_end|>",
        [*FOLLOW_UP, lambda a: [HELLO, a[0], other]],
    )
    first, fork = session.segments()
    assert (first.turns, fork.turns, fork.origin, fork.parent) == ((0, 1), (2,), "fork", 0)
    shared = len(requests[0]["prompt"]) + 3
    assert fork.tokens[:shared] == first.tokens[:shared]
    report = session.report()
    assert report.sampled == report.trained


async def test_concurrent_requests_of_one_session_are_kept_apart():
    tokenizer = toy_tokenizer()
    async with (
        ToyServer(tokenizer=tokenizer, tokens=lambda prompt: "Hi.<|im_end|>") as server,
        TokenClient(base_url=server.base_url, model="toy", tokenizer=tokenizer) as client,
    ):
        session = client.session()
        first = await _ask(session, [HELLO])
        history = [HELLO, first.message]
        await asyncio.gather(*(_ask(session, [*history, MORE]) for _ in range(5)))
    report = session.report()
    assert report.sampled == report.trained
    turns = sorted(turn for segment in session.segments() for turn in segment.turns)
    assert turns == list(range(6))


async def test_a_stop_string_keeps_its_ids_and_the_turn_is_closed_for_it():
    tokenizer = toy_tokenizer()
    session, requests = await _talk(tokenizer, lambda prompt: "One. STOP", FOLLOW_UP)
    follow = tokenizer.decode(requests[1]["prompt"])
    assert "One. STOP<|im_end|>\n<|im_start|>user\nMore." in follow
    assert session.report().synthesised == 1


async def test_another_end_token_is_kept_and_the_templates_close_follows():
    tokenizer = toy_tokenizer()
    _, requests = await _talk(tokenizer, lambda prompt: "One.<|endoftext|>", FOLLOW_UP)
    follow = tokenizer.decode(requests[1]["prompt"])
    assert "One.<|endoftext|><|im_end|>\n<|im_start|>user\nMore." in follow


async def test_a_template_without_control_tokens_is_flagged_as_soft():
    tokenizer = toy_tokenizer("plain")
    session, requests = await _talk(tokenizer, lambda prompt: "One.\n\n", FOLLOW_UP)
    follow = tokenizer.decode(requests[1]["prompt"])
    assert follow == "user: Hello.\n\nassistant: One.\n\nuser: More.\n\nassistant: "
    assert session.report().soft_boundaries == 1


@pytest.mark.parametrize(
    ("lie", "reason"),
    [
        (lambda values: None, "no_logprobs"),
        (lambda values: values[1:], "misaligned_logprobs"),
        (lambda values: [None, *values[1:]], "not_finite"),
        (lambda values: [math.nan, *values[1:]], "not_finite"),
        (lambda values: [0.5, *values[1:]], "positive_logprob"),
        (lambda values: [*values[:-1], -9999.0], "clamped_logprob"),
    ],
)
async def test_unsound_logprobs_make_the_sequence_context_only(lie, reason):
    tokenizer = toy_tokenizer()
    async with (
        ToyServer(tokenizer=tokenizer, tokens=lambda p: "Hi.<|im_end|>", logprobs=lie) as server,
        TokenClient(base_url=server.base_url, model="toy", tokenizer=tokenizer) as client,
    ):
        session = client.session()
        first = await _ask(session, [HELLO])
        server.logprobs = None
        await _ask(session, [HELLO, first.message, MORE])
    (segment,) = session.segments()
    assert set(segment.masks) == {-100}
    assert set(segment.logprobs) == {1.0}
    assert segment.turns == ()
    report = session.report()
    assert report.trained == 0
    assert report.dropped[reason] + report.dropped["tainted_sequence"] == report.sampled


async def test_an_echoed_prompt_that_differs_is_an_error():
    tokenizer = toy_tokenizer()
    server = ToyServer(
        tokenizer=tokenizer, tokens=lambda prompt: "Hi.", echo=lambda prompt: [0, *prompt]
    )
    async with (
        server,
        TokenClient(base_url=server.base_url, model="toy", tokenizer=tokenizer) as client,
    ):
        with pytest.raises(TokenProtocolError, match="differ from position 0"):
            await _ask(client.session(), [HELLO])
