import asyncio
from contextlib import aclosing

import numpy as np
import pytest

from treadle_embedded import (
    TRAINED_SYSTEM,
    TRAINED_TOOL,
    ContextLengthError,
    EmbeddedModel,
    FinishReason,
    ModelClosedError,
    Sampling,
    bundle_path,
)
from treadle_embedded.network import Network
from treadle_embedded.problems import generate
from treadle_embedded.sampling import processed

LONG = Sampling(temperature=100, seed=1, max_tokens=1500)


def prompts(model, count):
    return [
        model.vocabulary.encode(
            model.template.render(
                [
                    {"role": "system", "content": TRAINED_SYSTEM},
                    {"role": "user", "content": problem.question},
                ],
                [TRAINED_TOOL],
            )
        )
        for problem in generate(count, 21)
    ]


async def draw(model, prompt, sampling):
    async with aclosing(model.generate(prompt, sampling)) as outcomes:
        *tokens, finish = [outcome async for outcome in outcomes]
    return tokens, finish


def ended(model, **options):
    return Sampling(stop_ids=frozenset({model.end_of_turn}), **options)


def test_answers_made_together_are_those_made_alone():
    async def run():
        async with EmbeddedModel(rows=8) as model:
            jobs = [
                (prompt, ended(model, seed=index, temperature=1.3))
                for index, prompt in enumerate(prompts(model, 12))
            ]
            alone = [await draw(model, *job) for job in jobs]
            together = await asyncio.gather(*(draw(model, *job) for job in jobs))
            assert [[t.token for t in tokens] for tokens, _ in together] == [
                [t.token for t in tokens] for tokens, _ in alone
            ]
            assert [finish for _, finish in together] == [finish for _, finish in alone]

    asyncio.run(run())


@pytest.mark.parametrize("temperature", [1.0, 0.7, 2.0, 0.0])
def test_logprobs_are_those_of_a_whole_run_over_prompt_and_answer(temperature):
    async def run():
        async with EmbeddedModel() as model:
            prompt = prompts(model, 1)[0]
            sampling = ended(model, seed=5, temperature=temperature, top_p=0.95)
            tokens, finish = await draw(model, prompt, sampling)
            return prompt, tokens, finish, sampling

    prompt, tokens, finish, sampling = asyncio.run(run())
    assert finish is FinishReason.STOP
    ids = [token.token for token in tokens]
    logits = Network(bundle_path()).extend(0, 0, prompt + ids)[len(prompt) - 1 : -1]
    expected = [processed(row, sampling)[i] for row, i in zip(logits, ids, strict=True)]
    assert np.abs(np.array(expected) - [token.logprob for token in tokens]).max() < 1e-3


def test_an_answer_ends_with_its_stop_id_or_at_max_tokens():
    async def run():
        async with EmbeddedModel() as model:
            prompt = prompts(model, 1)[0]
            tokens, finish = await draw(model, prompt, ended(model, temperature=0))
            assert (tokens[-1].token, finish) == (model.end_of_turn, FinishReason.STOP)
            tokens, finish = await draw(model, prompt, ended(model, temperature=0, max_tokens=3))
            assert (len(tokens), finish) == (3, FinishReason.LENGTH)

    asyncio.run(run())


def test_a_full_context_ends_an_answer():
    async def run():
        async with EmbeddedModel() as model:
            prompt = [20] * (model.context - 3)
            tokens, finish = await draw(model, prompt, LONG)
            assert (len(tokens), finish) == (3, FinishReason.LENGTH)
            with pytest.raises(ContextLengthError, match="maximum context length is 2048"):
                await draw(model, [20] * model.context, LONG)

    asyncio.run(run())


def test_leaving_an_answer_frees_its_row():
    async def run():
        async with EmbeddedModel(rows=1) as model:
            async with aclosing(model.generate([20, 21], LONG)) as outcomes:
                await anext(outcomes)
            # One row: this one begins when the first has gone.
            await draw(model, [20], Sampling(max_tokens=2))
            assert model.statistics().drawn_tokens < 1000

    asyncio.run(run())


def test_more_answers_than_rows_wait_and_all_are_made():
    async def run():
        async with EmbeddedModel(rows=2) as model:
            made = await asyncio.gather(
                *(draw(model, [20 + i], Sampling(seed=i, max_tokens=5)) for i in range(9))
            )
            assert [len(tokens) for tokens, _ in made] == [5] * 9
            assert model.statistics().drawn_tokens == 45

    asyncio.run(run())


def test_closing_ends_running_and_later_answers():
    async def run():
        model = EmbeddedModel(rows=1)
        first = asyncio.create_task(draw(model, [20], LONG))
        second = asyncio.create_task(draw(model, [21], LONG))
        async with aclosing(model.generate([22], LONG)):
            await asyncio.gather(model.aclose(), model.aclose())
        for task in (first, second):
            with pytest.raises(ModelClosedError):
                await task
        with pytest.raises(ModelClosedError, match="open a new one"):
            await draw(model, [20], LONG)

    asyncio.run(run())
