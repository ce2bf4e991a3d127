import numpy as np
import pytest

from treadle_embedded import BundleError, bundle_path
from treadle_embedded.network import CHUNK, Network

PROMPTS = [[5 + (7 * i * j + i) % 900 for i in range(n)] for j, n in enumerate((30, 9, 70, 1), 1)]


@pytest.fixture(scope="module")
def network():
    return Network(bundle_path(), rows=4)


def test_a_token_at_a_time_gives_the_logits_of_the_whole(network):
    whole = network.extend(0, 0, PROMPTS[0])
    network.extend(0, 0, PROMPTS[0][:10])
    steps = [network.step([token], [at])[0] for at, token in enumerate(PROMPTS[0])][10:]
    assert np.abs(whole[10:] - np.array(steps)).max() < 1e-3


def test_a_row_is_not_touched_by_the_rows_beside_it(network):
    alone = []
    for prompt in PROMPTS:
        network.extend(0, 0, prompt)
        alone.append(network.step([11], [len(prompt)])[0])
    for row, prompt in enumerate(PROMPTS):
        network.extend(row, 0, prompt)
    together = network.step([11] * 4, [len(prompt) for prompt in PROMPTS])
    assert np.abs(together - np.array(alone)).max() < 1e-4


def test_a_moved_row_goes_on_as_before(network):
    network.extend(3, 0, PROMPTS[2])
    network.extend(0, 0, PROMPTS[2])
    expected = network.step([11], [70])[0]
    network.extend(0, 0, PROMPTS[0])
    network.move(3, 0, 70)
    assert np.array_equal(network.step([11], [70])[0], expected)


def test_prompts_longer_than_a_chunk_give_one_row_of_logits_per_token(network):
    prompt = [5 + i % 900 for i in range(2 * CHUNK + 3)]
    logits = network.extend(1, 0, prompt)
    assert logits.shape == (len(prompt), network.vocabulary)
    network.extend(1, 0, prompt[:-1])
    again = network.extend(1, len(prompt) - 1, prompt[-1:])[0]
    assert np.abs(again - logits[-1]).max() < 1e-3


def test_a_folder_without_a_model_is_refused(tmp_path):
    with pytest.raises(BundleError, match=r"config\.json"):
        Network(tmp_path)
    (tmp_path / "config.json").write_text((bundle_path() / "config.json").read_text())
    with pytest.raises(BundleError, match=r"model\.onnx"):
        Network(tmp_path)
