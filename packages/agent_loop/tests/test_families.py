"""The promises of the token ledger over thirteen template families, and over real templates.

A random rollout is a function of its seed, so a failing one can be played again.
"""

import asyncio
import itertools
import random
import re
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from treadle_agent_loop import (
    AgentLoop,
    ChatTemplateError,
    RewritePolicy,
    SamplingParams,
    TokenClient,
    tool,
)
from treadle_agent_loop.testing import Fault, ToyServer, call, toy_logprob
from treadle_agent_loop.testing.families import FAMILIES, Family
from treadle_agent_loop.testing.simulation import (
    LocalEngine,
    LocalTokenClient,
    UnprovenError,
    prove,
    simulate,
)
from treadle_agent_loop.testing.simulation.engine import Delivered, toy_logprobs
from treadle_agent_loop.testing.tokenizers import family_tokenizer
from treadle_parsers import get_parser

POLICIES = [RewritePolicy.BRANCH, RewritePolicy.APPEND_ONLY]
HELLO = {"role": "user", "content": "Hello."}
MORE = {"role": "user", "content": "More."}


@tool
async def echo(text: str) -> str:
    """Say it back."""
    return text


def test_there_are_a_dozen_families_of_different_habits():
    assert len(FAMILIES) >= 12
    assert len({family.parser for family in FAMILIES.values()}) >= 12
    assert {family.forgets_thinking for family in FAMILIES.values()} == {False, True}


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("name", FAMILIES)
@settings(max_examples=15)
@given(seed=st.integers(0, 2**32))
def test_random_rollouts_keep_every_promise(name, policy, seed):
    prove(asyncio.run(simulate(random.Random(seed), family=FAMILIES[name], policy=policy)))


@settings(max_examples=20)
@given(seed=st.integers(0, 2**32))
def test_the_proofs_notice_an_id_that_the_engine_never_gave(seed):
    rollout = asyncio.run(simulate(random.Random(seed)))
    given_ids = rollout.engine.delivered
    for place, answer in enumerate(given_ids):
        if answer.ids:
            changed = (answer.ids[0] + 1, *answer.ids[1:])
            given_ids[place] = Delivered(prompt=answer.prompt, ids=changed)
            with pytest.raises(UnprovenError, match="other ids"):
                prove(rollout)
            return


@pytest.mark.parametrize("name", FAMILIES)
def test_every_family_shows_tools_and_reads_what_it_writes(name):
    family = FAMILIES[name]
    tokenizer = family_tokenizer(family)
    assert not tokenizer.ignores_tools
    assert family.close in tokenizer.closers
    calls = [call("echo", text="a b"), call("echo", text="é\n")]
    parser = get_parser(family.parser)
    said = parser.parse(parser.render(calls, content="So.", reasoning="Hm."), [echo.schema])
    entries = [
        {"id": entry.id, "type": "function", "function": {"name": entry.name, "arguments": args}}
        for entry, args in zip(said.tool_calls, ({"text": "a b"}, {"text": "é\n"}), strict=True)
    ]
    answer = {"role": "assistant", "content": said.content, "tool_calls": entries}
    before = tokenizer.render([HELLO], [echo.schema], generation_prompt=True)
    whole = tokenizer.render([HELLO, answer], [echo.schema], generation_prompt=False)
    start = len(before) if whole.startswith(before) else whole.index("Hello.") + 6
    end = max(whole.rfind(close) for close in tokenizer.closers)
    read = parser.parse(whole[start : end if end > start else None], [echo.schema])
    assert [(entry.name, entry.status) for entry in read.tool_calls] == [("echo", "ok")] * 2


@pytest.mark.parametrize("name", FAMILIES)
async def test_a_turn_cut_at_any_token_is_continued_without_a_changed_id(name):
    family = FAMILIES[name]
    tokenizer = family_tokenizer(family)
    body = get_parser(family.parser).render(
        [call("echo", text="é😀")], content="Let me see.", reasoning="Hm."
    )
    whole = tokenizer.encode(body + family.close)
    for cut in range(1, len(whole) + 1):
        answers = itertools.chain([whole], itertools.repeat(tokenizer.encode("Good.")))
        engine = LocalEngine(lambda prompt, a=answers: next(a))
        client = LocalTokenClient(
            engine,
            tokenizer=tokenizer,
            parser=family.parser,
            rewrite_policy=RewritePolicy.APPEND_ONLY,
        )
        session = client.session()
        first = await session.complete([HELLO], (), SamplingParams(max_tokens=cut))
        history = [HELLO, first.message, MORE]
        await session.complete(history, (), SamplingParams())
        prompt, follow = engine.delivered[0].prompt, engine.delivered[1].prompt
        report = session.report()
        assert report.sampled == report.trained == cut + len(engine.delivered[1].ids)
        kept = follow[: len(prompt) + cut] == prompt + whole[:cut]
        assert kept or [s.origin for s in session.segments()] == ["start", "rewrite"]
        added = tokenizer.decode(follow[len(prompt) + cut :] if kept else follow)
        assert added.count("More.") == 1
        for segment in session.segments():
            right = toy_logprobs((), segment.tokens)
            for place, mask in enumerate(segment.masks):
                assert mask in (-100, segment.tokens[place])
                assert mask == -100 or segment.logprobs[place] == right[place]


def test_the_one_pass_logprobs_are_those_of_a_toy_server():
    ids = [5, 0, 77, 123456, 5]
    for start in range(len(ids)):
        ones = [toy_logprob(ids[:place], ids[place]) for place in range(start, len(ids))]
        assert toy_logprobs(ids[:start], ids[start:]) == ones


async def test_samples_lost_on_the_wire_are_in_no_segment():
    family = FAMILIES["hermes"]
    tokenizer = family_tokenizer(family)
    body = get_parser("hermes").render([call("echo", text="hi")])
    numbers = itertools.count()

    def say(prompt):
        number = next(numbers)
        return [*tokenizer.encode(f"{number} {body if number < 6 else ''}<|im_end|>")]

    half = Fault(status=200, cut=True, body='{"choices": [{"token_ids": [1, 2, 3')
    faults = [half, Fault(drop=True), Fault(status=503), half]
    async with (
        ToyServer(tokenizer=tokenizer, tokens=say, faults=faults) as server,
        TokenClient(
            base_url=server.base_url, model="toy", tokenizer=tokenizer, backoff=0.001
        ) as client,
    ):
        result = await AgentLoop(client, [echo], max_turns=10).run([HELLO])
    assert server.attempts > len(server.requests) == result.turns == 7
    assert result.ledger.sampled == result.ledger.trained == result.usage.completion_tokens
    (segment,) = result.segments
    right = toy_logprobs((), segment.tokens)
    assert all(
        mask in (-100, segment.tokens[place])
        and (mask == -100 or segment.logprobs[place] == right[place])
        for place, mask in enumerate(segment.masks)
    )


_FOUND = re.compile(r"<[|｜][^<>|｜\s]+[|｜]>|\[/?[A-Z_]{3,}\]|\]~!?b\[?\]?|\[e~\[|</?s>")
_PLAIN = re.compile(r"</?(?:think|tool_call|tool_response|minimax:tool_call)>")


def _real_family(path, close="<|a_close|>"):
    source = path.read_text()
    return Family(
        name=path.stem,
        template=source,
        parser="hermes",
        control=(*sorted(set(_FOUND.findall(source)) - {close}), close),
        added=tuple(sorted(set(_PLAIN.findall(source)))),
        close=close,
    )


def test_random_rollouts_keep_every_promise_on_real_templates(shared):
    played, refused, failed = 0, [], []
    for path in sorted((shared / "chat_templates").glob("*.jinja")):
        family = _real_family(path)
        found = family_tokenizer(family).closers - {family.close}
        if len(found) == 1:
            family = replace(family, close=next(iter(found)))
        for seed in range(6):
            try:
                prove(asyncio.run(simulate(random.Random(seed), family=family)))
                played += 1
            except UnprovenError as error:
                failed.append(str(error))
            except ChatTemplateError:
                refused.append(path.stem)
    assert failed == []
    assert played >= 200, f"refused by {set(refused)}"
