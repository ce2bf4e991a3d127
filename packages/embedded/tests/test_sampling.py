import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from treadle_embedded import Sampling
from treadle_embedded.sampling import Sampler, processed

# Whole multiples of 2**-10: logits are equal or far enough apart for exp() to tell them apart, so
# that "the likeliest" has one meaning.
logit_lists = st.lists(st.integers(-30_000, 30_000), min_size=2, max_size=40).map(
    lambda values: np.array(values, np.float32) / 1024
)
temperatures = st.floats(min_value=0.05, max_value=5)


@given(logit_lists, temperatures, st.floats(min_value=0.01, max_value=1), st.integers(0, 50))
def test_probabilities_sum_to_one_and_the_likeliest_token_always_stays(logits, heat, top_p, top_k):
    sampling = Sampling(temperature=heat, top_p=top_p, top_k=top_k)
    logprobs = processed(logits, sampling)
    assert np.exp(logprobs).sum() == pytest.approx(1)
    assert np.isfinite(logprobs[logits.argmax()])
    assert (logprobs <= 1e-9).all()


@given(logit_lists, st.integers(0, 2**32))
def test_the_reported_logprob_is_that_of_the_drawn_token(logits, seed):
    sampling = Sampling(temperature=0.7, top_p=0.9, seed=seed)
    drawn = Sampler(sampling).draw(logits)
    assert drawn.logprob == processed(logits, sampling)[drawn.token]
    assert math.isfinite(drawn.logprob)


@given(logit_lists)
def test_without_limits_the_distribution_is_the_softmax(logits):
    values = logits.astype(np.float64)
    expected = values - np.log(np.exp(values - values.max()).sum()) - values.max()
    assert np.allclose(processed(logits, Sampling(temperature=1.0)), expected)


@given(logit_lists)
def test_temperature_zero_takes_the_likeliest_with_the_softmax_logprob(logits):
    drawn = Sampler(Sampling(temperature=0, top_p=0.1, top_k=1)).draw(logits)
    assert drawn.token == int(logits.argmax())
    assert drawn.logprob == processed(logits, Sampling(temperature=1.0))[drawn.token]


@pytest.mark.parametrize("heat", [0.0, 1e-308, 1e-6, 1e-4, 100.0])
@pytest.mark.parametrize("top_p", [1e-300, 0.5])
@pytest.mark.parametrize("seed", [None, -1, 2**70])
def test_extreme_settings_still_draw_a_token_with_a_finite_logprob(heat, top_p, seed):
    logits = np.array([30, -30, 29.9, 0], np.float32)
    drawn = Sampler(Sampling(temperature=heat, top_p=top_p, seed=seed)).draw(logits)
    assert -100 < drawn.logprob <= 1e-12


def test_top_k_keeps_k_tokens():
    logits = np.arange(10, dtype=np.float32)
    logprobs = processed(logits, Sampling(top_k=3))
    assert np.isfinite(logprobs).nonzero()[0].tolist() == [7, 8, 9]


def test_top_p_keeps_the_smallest_set_that_reaches_p():
    logits = np.log(np.array([0.5, 0.3, 0.15, 0.05], np.float32))
    for top_p, kept in ((0.4, 1), (0.5, 1), (0.6, 2), (0.81, 3), (0.96, 4)):
        assert np.isfinite(processed(logits, Sampling(top_p=top_p))).sum() == kept


def test_draws_follow_the_probabilities():
    logits = np.log(np.array([0.6, 0.3, 0.1, 1e-30], np.float32))
    sampler = Sampler(Sampling(seed=1))
    drawn = np.bincount([sampler.draw(logits).token for _ in range(4000)], minlength=4) / 4000
    assert np.abs(drawn - [0.6, 0.3, 0.1, 0]).max() < 0.03


def test_the_likeliest_tokens_are_reported_in_order():
    logits = np.log(np.array([0.1, 0.6, 0.3], np.float32))
    drawn = Sampler(Sampling(seed=1, top_logprobs=2)).draw(logits)
    assert [candidate.token for candidate in drawn.top] == [1, 2]
    assert drawn.top[0].logprob == pytest.approx(math.log(0.6), abs=1e-6)
