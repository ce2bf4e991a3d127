import json
import subprocess
import sys

import numpy as np
import pytest
from safetensors.numpy import load_file

from treadle_embedded import BundleError, bundle_path
from treadle_embedded.export import export
from treadle_embedded.network import Network


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    target = tmp_path_factory.mktemp("export") / "model"
    command = [sys.executable, "-m", "treadle_embedded", "export", str(target)]
    subprocess.run(command, check=True, timeout=60)
    return target


@pytest.fixture(scope="module")
def config(folder):
    return json.loads((folder / "config.json").read_text())


def rms_norm(x, weight, epsilon):
    return x / np.sqrt((x * x).mean(-1, keepdims=True) + epsilon) * weight


def rotate(x, theta):
    """Rotary positions as Qwen2 has them; `x` is (positions, heads, size)."""
    size = x.shape[-1]
    angles = np.arange(len(x))[:, None] * theta ** (-np.arange(0, size, 2) / size)
    angles = np.concatenate([angles, angles], -1)[:, None]
    half = np.concatenate([-x[..., size // 2 :], x[..., : size // 2]], -1)
    return x * np.cos(angles) + half * np.sin(angles)


def qwen2_logits(weights, config, ids):
    """Run a Qwen2 by its published definition, in plain numpy."""
    heads, kv_heads = config["num_attention_heads"], config["num_key_value_heads"]
    size, epsilon = config["hidden_size"] // heads, config["rms_norm_eps"]
    length = len(ids)
    future = np.triu(np.full((length, length), -np.inf), 1)
    x = weights["model.embed_tokens.weight"][ids]
    for index in range(config["num_hidden_layers"]):
        part = {
            name.removeprefix(f"model.layers.{index}."): value for name, value in weights.items()
        }
        y = rms_norm(x, part["input_layernorm.weight"], epsilon)
        q, k, v = (
            (
                y @ part[f"self_attn.{letter}_proj.weight"].T
                + part[f"self_attn.{letter}_proj.bias"]
            ).reshape(length, -1, size)
            for letter in "qkv"
        )
        q, k = rotate(q, config["rope_theta"]), rotate(k, config["rope_theta"])
        k, v = (np.repeat(z, heads // kv_heads, axis=1) for z in (k, v))
        scores = np.einsum("qhd,khd->hqk", q, k) / np.sqrt(size) + future
        scores = np.exp(scores - scores.max(-1, keepdims=True))
        scores /= scores.sum(-1, keepdims=True)
        y = np.einsum("hqk,khd->qhd", scores, v).reshape(length, -1)
        x = x + y @ part["self_attn.o_proj.weight"].T
        y = rms_norm(x, part["post_attention_layernorm.weight"], epsilon)
        gate = y @ part["mlp.gate_proj.weight"].T
        gate = gate / (1 + np.exp(-gate)) * (y @ part["mlp.up_proj.weight"].T)
        x = x + gate @ part["mlp.down_proj.weight"].T
    return rms_norm(x, weights["model.norm.weight"], epsilon) @ (
        weights["model.embed_tokens.weight"].T
    )


def test_the_exported_weights_compute_the_bundles_logits(folder, config):
    weights = load_file(folder / "model.safetensors")
    ids = np.random.default_rng(5).integers(0, config["vocab_size"], 40).tolist()
    bundled = Network(bundle_path()).extend(0, 0, ids)
    assert np.abs(qwen2_logits(weights, config, ids) - bundled).max() < 1e-3


def test_the_folder_is_what_transformers_names_a_qwen2(folder, config):
    assert config["architectures"] == ["Qwen2ForCausalLM"]
    names = set(load_file(folder / "model.safetensors"))
    assert "model.layers.3.self_attn.k_proj.bias" in names
    assert len(names) == 2 + 12 * config["num_hidden_layers"]
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        assert (folder / name).read_bytes() == (bundle_path() / name).read_bytes()


def test_exporting_again_replaces_the_files(folder):
    before = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(b"old")
    export(folder)
    assert (folder / "model.safetensors").read_bytes() == before


@pytest.mark.parametrize("damage", ["absent", "text", "cut"])
def test_a_bundle_that_is_none_is_reported(tmp_path, damage):
    bundle = tmp_path / "bundle"
    bundle.mkdir()
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        (bundle / name).write_bytes((bundle_path() / name).read_bytes())
    network = (bundle_path() / "model.onnx").read_bytes()
    if damage != "absent":
        (bundle / "model.onnx").write_bytes(b"not a model" if damage == "text" else network[:9999])
    with pytest.raises(BundleError, match=r"model\.onnx"):
        export(tmp_path / "out", bundle=bundle)
    assert not (tmp_path / "out").exists()


def test_a_folder_that_cant_be_written_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    command = [sys.executable, "-m", "treadle_embedded", "export", str(tmp_path / "file" / "sub")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert "choose another folder" in done.stderr
